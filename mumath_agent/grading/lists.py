"""Take answers apart: items in brackets, a label such as `x=`, an inequality that is an interval.

This works on normalised text and looks only at characters.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

SET = "{}"
"""The brackets of a set and of items without brackets: neither has an order."""

_LABEL = re.compile(
    r"((?:[a-zA-Z(),'\s]|\\[a-zA-Z]+(?![a-zA-Z])|\{[a-zA-Z ]*\}|_\w|_\{\w+\}|\^\{?-1\}?)+?)"
    r"(?:=|\\in(?![a-zA-Z])\s*|\\equiv\s*)"
)
_COMPUTES = re.compile(r"\\(?:frac|sqrt|pi|cdot|times|sin|cos|tan|log|ln|pm|le|ge|ne)(?![a-zA-Z])")
_VARIABLE = r"([a-zA-Z]|\\(?!le|ge)[a-zA-Z]+)"
_END = r"((?:[^<>\\]|\\(?!le|ge|ne|text|or)[a-zA-Z]+(?![a-zA-Z]))+?)"
_ORDER = r"(<|>|\\le|\\ge)\s*"
_ONE_END = re.compile(rf"{_VARIABLE}\s*{_ORDER}{_END}|{_END}{_ORDER}{_VARIABLE}")
_AROUND_ZERO = re.compile(rf"\|\s*{_VARIABLE}\s*\|\s*{_ORDER}(?!-){_END}")
_TWO_ENDS = re.compile(rf"{_END}{_ORDER}{_VARIABLE}\s*{_ORDER}{_END}")
_BOTH = re.compile(r"\\(?:text|mathrm)\{and\}|\\land(?![a-zA-Z])|\band\b")
_ALTERNATIVES = re.compile(r"\\(?:text|mathrm)\{or\}|\\(?:lor|cup)(?![a-zA-Z])|\bor\b")
_PM = re.compile(r"\\pm(?![a-zA-Z])")
_MATRIX = re.compile(r"\\begin\{([pb]?matrix)\}((?:(?!\\begin).)*)\\end\{\1\}")
_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The items of a list and their brackets: "()", "[)", …; `SET` for a set and for a bare list.

    A matrix is the list of its entries, and its shape stands for the brackets.
    """

    brackets: str
    texts: tuple[str, ...]


def brackets(text: str) -> str:
    """Return the brackets of a list, or "" if `text` isn't a list."""
    depths = _depths(text)
    commas = {depth for character, depth in zip(text, depths, strict=True) if character == ","}
    if 0 in commas:
        return SET
    start = 1 if text.startswith("\\{") else 0
    is_one_group = text[start : start + 1] in tuple("([{") and 0 not in depths[start:-1] and depths[-1] == 0
    return text[start] + text[-1] if is_one_group and 1 in commas else ""


@lru_cache(maxsize=1024)
def items(text: str) -> Items | None:
    r"""Return the items of a list, with `3\pm1` as two of them, or None if `text` isn't a list."""
    if matrix := _MATRIX.fullmatch(text):
        rows = [row.split("&") for row in re.split(r"\\\\", matrix[2].removesuffix(r"\\"))]
        entries = tuple(entry.strip() for row in rows for entry in row)
        return Items(brackets="x".join(str(len(row)) for row in rows), texts=entries)
    texts, held_by = _split(text), brackets(text)
    if len(texts) == 1 and held_by == SET:
        texts = _split(_inside_set(text))
    elif len(texts) == 1 and held_by and not _PM.search(text):
        return Items(brackets=held_by, texts=_split(text[1:-1]))
    texts = tuple(sign for item in texts for sign in _both_signs(item))
    return Items(brackets=SET, texts=texts) if len(texts) > 1 or held_by else None


def _inside_set(text: str) -> str:
    if text.startswith("\\{"):
        return text[2:].removesuffix("\\}")
    return text[1:-1] if text.startswith("{") else text


def nesting(text: str) -> int:
    """Return how many brackets are open at once."""
    return max(_depths(text), default=0)


def split_label(text: str) -> tuple[str, str]:
    r"""Split `x=5` into "x" and "5", `\angle ABC=90` and `x\in(1,2)` likewise; without a label that is ""."""
    label = _LABEL.match(text)
    is_open = label is not None and label[1].count("(") != label[1].count(")")  # P(X=2)
    if label is None or is_open or "=" in text[label.end() :] or _COMPUTES.search(label[1]):
        return "", text
    return label[1].strip(), text[label.end() :].strip()


def point(listed: Items) -> Items | None:
    """Return the point (2,3) that "x=2, y=3" names, in the order of the letters, or None."""
    labelled = sorted(split_label(item) for item in listed.texts)
    names = {name for name, _ in labelled}
    if listed.brackets != SET or "" in names or len(names) < len(labelled):
        return None
    return Items(brackets="()", texts=tuple(value for _, value in labelled))


def as_interval(text: str) -> str | None:
    r"""Return (-\infty,3) for `x<3`, [1,2) for `1\le x<2`, the union for `x<1 or x>2`, and None for other text."""
    found = named_interval(text)
    return found and found[1]


def named_interval(text: str) -> tuple[str, str] | None:
    """Return the variable of an inequality and the interval, or union of them, that it lies in."""
    found = [_interval(part.strip()) for part in _ALTERNATIVES.split(text)]
    names = {part[0] for part in found if part}
    if not all(found) or len(names) > 1:
        return None
    return names.pop(), r"\cup".join(part[1] for part in found if part)


def _interval(text: str) -> tuple[str, str] | None:
    if len(parts := _BOTH.split(text)) == 2:
        return _between(*(_interval(part.strip()) for part in parts))
    if two := _TWO_ENDS.fullmatch(text):
        low, first, name, second, high = two.groups()
        if first in (">", r"\ge"):
            low, first, second, high = high, _FLIPPED[second], _FLIPPED[first], low
        if {first, second} <= {"<", r"\le"}:
            return name, f"{'(' if first == '<' else '['}{low},{high}{')' if second == '<' else ']'}"
        return None
    if around := _AROUND_ZERO.fullmatch(text):
        name, order, end = around.groups()
        opens, closes = ("(", ")") if order in "<>" else ("[", "]")
        if order in ("<", r"\le"):
            return name, f"{opens}-({end}),{end}{closes}"
        return name, rf"(-\infty,-({end}){closes}\cup{opens}{end},\infty)"
    one = _ONE_END.fullmatch(text)
    if one is None:
        return None
    name = one[1] or one[6]
    order, end = (one[2], one[3]) if one[1] else (_FLIPPED[one[5]], one[4])
    return name, {
        "<": rf"(-\infty,{end})",
        r"\le": rf"(-\infty,{end}]",
        ">": rf"({end},\infty)",
        r"\ge": rf"[{end},\infty)",
    }[order]


def _between(one: tuple[str, str] | None, other: tuple[str, str] | None) -> tuple[str, str] | None:
    """Return the interval that `x>1 and x<4` is, or None."""
    if one is None or other is None or one[0] != other[0]:
        return None
    low, high = (other[1], one[1]) if one[1].startswith(r"(-\infty,") else (one[1], other[1])
    if not (high.startswith(r"(-\infty,") and low.endswith(r",\infty)")):
        return None
    return one[0], low.removesuffix(r"\infty)") + high.removeprefix(r"(-\infty,")


def _depths(text: str) -> list[int]:
    return list(accumulate((character in "([{") - (character in ")]}") for character in text))


def _split(text: str) -> tuple[str, ...]:
    """Split `text` at the commas outside brackets."""
    cuts = [
        i for i, (c, depth) in enumerate(zip(text, _depths(text), strict=True)) if c == "," and depth == 0
    ]
    parts = (text[start + 1 : end] for start, end in zip([-1, *cuts], [*cuts, len(text)], strict=True))
    return tuple(part.strip() for part in parts if part.strip())


def _both_signs(text: str) -> tuple[str, ...]:
    if not _PM.search(text):
        return (text,)
    upper, lower = (
        _PM.sub(first, text).replace(r"\mp", second) for first, second in (("+", "-"), ("-", "+"))
    )
    return tuple(re.sub(r"\s*([-+])\s*", r"\1", sign).lstrip("+") for sign in (upper, lower))
