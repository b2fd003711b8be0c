"""Rewrite what Python and sympy print as LaTeX: `[Fraction(1, 2), sqrt(3)]`, `x**2`, `Interval.open(0, oo)`.

This is the first step of `notation`, because a program's output is often the answer. It looks only at characters.
"""

import re
from collections.abc import Callable
from itertools import islice

_NAME = r"(?<![\\a-zA-Z_.])"
_SCALAR = re.compile(rf"{_NAME}(?:np\.(?:float|int)\d+|(?:decimal\.)?Decimal|mpf)\('?([^()']*)'?\)")
_FRACTION = re.compile(rf"{_NAME}(?:fractions\.)?(?:Fraction|Rational)\((-?\d+)(?:,\s*(\d+))?\)")
_INTERVAL = re.compile(
    rf"{_NAME}Interval(?:\.(open|Lopen|Ropen))?\(([^(),]*(?:\([^()]*\))?[^(),]*),([^(),]*(?:\([^()]*\))?[^(),]*)\)"
)
_ENDS = {"open": "()", "Lopen": "(]", "Ropen": "[)", None: "[]"}
_MATRIX = re.compile(rf"(?:{_NAME}(?:Matrix|array)\(\s*)?\[\s*(\[[^\[\]]*\](?:,?\s*\[[^\[\]]*\])*)\s*\]\)?")
_FINITE_SET, _SET_OPENS = re.compile(rf"{_NAME}FiniteSet\("), re.compile(r"(?<![\\\w^_{}])\{")
_SOLUTION = re.compile(r"\{([a-zA-Z]\w*: [^{}:]+(?:, [a-zA-Z]\w*: [^{}:]+)*)\}")
_SOLUTIONS = re.compile(rf"\[?{_SOLUTION.pattern}(?:, {_SOLUTION.pattern})*\]?")
_OF_ONE = re.compile(r"\(([^(),]+),\)")
_SET_CALL = re.compile(r"(?:frozen)?set\(\s*[\[{(](.+)[\]})]\s*\)")
_EMPTY = re.compile(r"\[\s*\]|set\(\)|EmptySet")
_COMPLEX = re.compile(r"\(?(?:[-+]?[\d.]+)?\s*[-+]?\s*[\d.]+j\)?")
_SQRT, _POWER = re.compile(rf"{_NAME}sqrt\("), re.compile(r"\*\*\s*\(")
_SPELLINGS = [
    (re.compile(r"\*\*\s*(-?\d+(?:\.\d+)?|[a-zA-Z]\b)"), r"^{\1}"),
    (re.compile(rf"{_NAME}oo(?![a-zA-Z])|(?<![\\a-zA-Z])inf(?:inity)?(?![a-zA-Z])"), r"\\infty "),
    (re.compile(r"(?<=[*+-])(\s*)I\b|\bI(?=\*)"), r"\1i"),
    (re.compile(rf"{_NAME}exp\(([^()]*)\)"), r"e^{\1}"),
    # sympy's log is the natural one.
    (re.compile(r"(?<![\\a-zA-Z])log(?=\()"), r"\\ln "),
    (re.compile(r"(?<![\\a-zA-Z])(pi|sin|cos|tan|sec|csc|cot|log|ln|exp)(?![a-zA-Z])"), r"\\\1 "),
    (re.compile(r"\*"), r"\\cdot "),
]


def in_latex(text: str) -> str:
    """Return `text` with Python's notation rewritten as LaTeX; LaTeX stays as it is."""
    if _EMPTY.fullmatch(text):
        return r"\emptyset"
    if _SOLUTIONS.fullmatch(text):
        text = _solved(_SOLUTION.findall(text))
    if call := _SET_CALL.fullmatch(text):
        text = rf"\{{{call[1]}\}}"
    text = _OF_ONE.sub(r"\1", text)
    if matrix := _MATRIX.fullmatch(text):
        text = _latex_matrix(matrix[1])
    if _COMPLEX.fullmatch(text):
        text = text.replace("j", "i")
    text = _SCALAR.sub(r"\1", text)
    text = _FRACTION.sub(lambda match: rf"\frac{{{match[1]}}}{{{match[2] or 1}}}", text)
    text = _INTERVAL.sub(lambda match: f"{_ENDS[match[1]][0]}{match[2]},{match[3]}{_ENDS[match[1]][1]}", text)
    text = _with_arguments(text, _FINITE_SET, lambda items: rf"\{{{items}\}}")
    text = _with_set(text)
    text = _with_arguments(text, _SQRT, lambda argument: rf"\sqrt{{{argument}}}")
    text = _with_arguments(text, _POWER, lambda argument: f"^{{{argument}}}")
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    return text


def _solved(found: list[str]) -> str:
    """Return `x = 1, y = 2` for one solution, and for several their values, or points of them."""
    if len(found) == 1:
        return found[0].replace(":", " =")
    points = [sorted(part.split(": ", 1) for part in solution.split(", ")) for solution in found]
    values = [", ".join(value for _, value in point) for point in points]
    return ", ".join(
        value if len(point) == 1 else f"({value})" for value, point in zip(values, points, strict=True)
    )


def _with_set(text: str) -> str:
    """Rewrite the set that Python prints as `{1, 2}`, at the end of a text."""
    for opens in islice(_SET_OPENS.finditer(text), 3):
        inside = text[opens.end() : -1]
        if "," in inside and closing(text, opens.start(), "{}") == len(text) - 1:
            return rf"{text[: opens.start()]}\{{{inside}\}}"
    return text


def closing(text: str, start: int, pair: str) -> int:
    """Return where the bracket that opens at `start` closes, or the length of `text` if it doesn't."""
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] == pair[0]) - (text[position] == pair[1])
        if depth == 0:
            return position
    return len(text)


def _latex_matrix(rows: str) -> str:
    cells = [re.split(r",\s*|\s+", row.strip(" ,")) for row in re.findall(r"\[([^\[\]]*)\]", rows)]
    body = r"\\".join("&".join(row) for row in cells)
    return rf"\begin{{pmatrix}}{body}\end{{pmatrix}}"


def _with_arguments(text: str, call: re.Pattern[str], spelled: Callable[[str], str]) -> str:
    """Replace each `call`, which ends with "(", and its argument by `spelled(argument)`, innermost first."""
    for match in reversed(list(call.finditer(text))):
        end = closing(text, match.end() - 1, "()")
        if end < len(text):
            text = text[: match.start()] + spelled(text[match.end() : end]) + text[end + 1 :]
    return text
