r"""Read plain LaTeX as a sympy expression, twenty times as fast as math-verify's grammar does.

Only what has one meaning is read: numbers, letters, \pi, the four operations, powers, \frac, \sqrt, \ln and the sine's
family, brackets, one equation sign. All else raises `Unread` and is left to math-verify. Like it, this takes capitals
for small letters (`notation.without_capitals` sees to those that matter), e for Euler's number and decimals for floats.

The worker loads this by its path: it imports nothing of this package.
"""

import re
from typing import Any

import sympy

_MOST_CHARS, _LARGEST_POWER, _MOST_DIGITS = 200, 1000, 100
_TOKEN = re.compile(
    r"\s*(?:(\d+(?:\.\d+)?|\.\d+)|(\\[a-zA-Z]+)|([a-zA-Z](?:_(?:\w|\{\w+\}))?)|([-+*/^(){}=\[\]]))"
)
_WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{3,}|\d\s+\d")
_CALLED = frozenset("fghpt")
"""Letters that a bracket may be the argument of."""
_FUNCTIONS = {
    r"\ln": sympy.log,
    r"\sin": sympy.sin,
    r"\cos": sympy.cos,
    r"\tan": sympy.tan,
    r"\cot": sympy.cot,
    r"\sec": sympy.sec,
    r"\csc": sympy.csc,
}
_TIMES = ("*", r"\cdot", r"\times")
_STARTS = ("number", "letter", "(", r"\pi", r"\frac", r"\sqrt", *_FUNCTIONS)
_END = ("end", "")

Token = tuple[str, str]
"""Its kind, which for signs and commands is the sign itself, and its text."""


class Unread(Exception):
    """The text isn't plain."""


def read(text: str) -> tuple[Any, ...]:
    """Return the expression or equation that a text is, alone in a tuple, as math-verify's reader does.

    Raises:
        Unread: it is neither, or may mean something else.
    """
    if len(text) > _MOST_CHARS or _WORD.search(text):
        raise Unread
    reader = _Reader(_tokens(text))
    found = reader.sum()
    if reader.next[0] == "=":
        reader.take()
        found = sympy.Eq(found, reader.sum(), evaluate=False)
    if reader.next is not _END:
        raise Unread
    return (found,)


def _tokens(text: str) -> list[Token]:
    found, at = list[Token](), 0
    text = text.rstrip()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise Unread
        number, command, letter, sign = token.groups()
        found.append(
            ("number", number) if number else ("letter", letter) if letter else (command or sign,) * 2
        )
        at = token.end()
    return found


class _Reader:
    """A recursive-descent reader."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def next(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def take(self, kind: str | None = None) -> str:
        found = self.next
        if found is _END or (kind is not None and found[0] != kind):
            raise Unread
        self._at += 1
        return found[1]

    def sum(self) -> Any:
        parts = [self._product(sign=self._sign())]
        while self.next[0] in ("+", "-"):
            parts.append(self._product(sign=-1 if self.take() == "-" else 1))
        return sympy.Add(*parts)

    def _sign(self) -> int:
        if self.next[0] in ("+", "-"):
            return -1 if self.take() == "-" else 1
        return 1

    def _product(self, sign: int) -> Any:
        parts = [sympy.Integer(sign), self._power()]
        while True:
            if self.next[0] in _TIMES:
                self.take()
                parts += [sympy.Integer(self._sign()), self._power()]
            elif self.next[0] == "/":
                self.take()
                parts.append(self._inverse(self._power()))
                if self.next[0] in _STARTS:
                    raise Unread  # 1/2x
            elif self.next[0] in _STARTS:
                parts.append(self._beside(self._tokens[self._at - 1]))
            else:
                return sympy.Mul(*parts)

    def _beside(self, before: Token) -> Any:
        """Read a factor without a sign of multiplication before it."""
        if self.next[0] == "number" or (self.next[0] == "(" and before[1][:1].lower() in _CALLED):
            raise Unread
        if self.next[0] == r"\frac" and before[0] == "number":
            raise Unread  # a mixed number, perhaps
        return self._power()

    def _power(self) -> Any:
        is_called = self.next[1].lower() in _CALLED
        base = self._atom()
        if self.next[0] != "^":
            return base
        self.take()
        exponent = self._exponent()
        if self.next[0] == "^" or (exponent.is_Integer and abs(exponent) > _LARGEST_POWER):
            raise Unread
        if (base == 0 and not exponent.is_positive) or (is_called and exponent == -1):
            raise Unread
        return sympy.Pow(base, exponent)

    def _exponent(self) -> Any:
        kind, text = self.next
        if kind == "{":
            return self._group("{", "}")
        if kind == "letter" or (kind == "number" and len(text) == 1):
            return self._atom()
        raise Unread

    def _atom(self) -> Any:
        kind, text = self.next
        if kind == "number":
            self.take()
            if len(text) > _MOST_DIGITS:
                raise Unread
            return sympy.Float(text) if "." in text else sympy.Integer(text)
        if kind == "letter":
            self.take()
            return sympy.E if text == "e" else sympy.Symbol(re.sub(r"[{}]", "", text.lower()))
        if kind in ("(", "{"):
            return self._group(kind, ")" if kind == "(" else "}")
        if kind == r"\pi":
            self.take()
            return sympy.pi
        if kind == r"\frac":
            self.take()
            above, below = self._group("{", "}"), self._group("{", "}")
            return sympy.Mul(above, self._inverse(below))
        if kind == r"\sqrt":
            self.take()
            index = self._group("[", "]") if self.next[0] == "[" else sympy.Integer(2)
            return sympy.Pow(self._group("{", "}"), self._inverse(index))
        if kind in _FUNCTIONS:
            return self._function()
        raise Unread

    def _function(self) -> Any:
        function = _FUNCTIONS[self.take()]
        power = sympy.Integer(1)
        if self.next[0] == "^":
            self.take()
            power = self._exponent()
            if not (power.is_Integer and power > 0):
                raise Unread  # an inverse function, perhaps
        if self.next[0] not in ("(", "{", "letter", r"\pi", r"\frac"):
            raise Unread
        argument = self._atom()
        if self.next[0] in (*_STARTS[: -len(_FUNCTIONS)], "^", "/"):
            raise Unread  # \sin xy
        return sympy.Pow(function(argument), power)

    def _group(self, opening: str, closing: str) -> Any:
        self.take(opening)
        found = self.sum()
        self.take(closing)
        return found

    @staticmethod
    def _inverse(number: Any) -> Any:
        if number == 0:
            raise Unread
        return sympy.Pow(number, -1)
