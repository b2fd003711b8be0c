r"""Find the value in an equation whose left side only names it: `f(2)=5`, `m+n=256+37=293`, `\sin A=\frac35`.

`x^2-5x+6=0` isn't the value 0, and `2x=10` isn't 10: what could be an equation to solve has no value here. This works
on normalised text and looks only at characters.
"""

import re

from mumath_agent.grading.numbers import number

_OPENING, _CLOSING = "([{", ")]}"
_COMPUTED = re.compile(r"\\(?:sum|prod|int|lim|binom|lfloor|lceil|gcd|max|min|det)(?![a-zA-Z])")
"""A left side that has a value by itself."""
_NAMED = [
    # Indices and primes belong to a name.
    (re.compile(r"_(?:\{[^{}]*\}|\\?\w+)|'+"), ""),
    (
        re.compile(
            r"\\(?:text|mathrm|mathbf|mathbb|operatorname|overline|vec|widehat|overrightarrow)\s*\{[^{}]*\}"
        ),
        "F",
    ),
    (re.compile(r"\\(?:[lr]?Vert|\|)"), "|"),
    (re.compile(r"\|[^|]*\|"), "F"),
    (re.compile(r"(?:m\s*)?\\(?:angle|triangle)\s*[A-Z]+|\[[A-Z]{3,}\]"), "F"),
    (
        re.compile(
            r"\\(?:arc)?(?:sin|cos|tan|cot|sec|csc|log|ln|lcm|deg|arg|Re|Im|Pr|dim|ker)(?![a-zA-Z])"
            r"\s*(?:\^\{?-?\d\}?\s*)?(?:\([^()]*\)|\{[^{}]*\}|(?:\d+(?:\^\{\\circ\})?|\\[a-zA-Z]+|[a-zA-Z])+)"
        ),
        "F",
    ),
]
_NAME = re.compile(r"(?:m\s*)?F|[a-zA-Z]+|\\[a-zA-Z]+")
_MOST_CALLS = 3
_AT_NUMBER = re.compile(r"\\?[a-zA-Z]+(?:\(|_\{?)[^()]*\d[^()]*[)}]?")
_CALL = re.compile(r"(?:[a-zA-Z]|\\[a-zA-Z]+)(?:\^\{?-1\}?)?\s*\([^()]*\)")
_LETTER = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]|\\(?:alpha|beta|gamma|theta|lambda|mu|phi|varphi|omega)")


def top_level(text: str, mark: str = "=") -> list[str]:
    """Split `text` at each mark that stands outside of brackets."""
    parts, depth, start = list[str](), 0, 0
    for position, character in enumerate(text):
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        elif character == mark and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    return [*parts, text[start:].strip()]


def value_behind(text: str) -> str | None:
    """Return the value that an equation, or a chain of them, ends with, if its left side only names or computes it."""
    sides = top_level(text)
    if len(sides) < 2 or not all(sides) or len(top_level(text, ",")) > 1:
        return None
    *others, value = sides
    numbers = [read.value for side in sides if (read := number(side)) is not None]
    if len(numbers) == len(sides) and len(set(numbers)) > 1:
        return None  # 13=12
    first = others[0]
    if len(sides) == 2 and is_name(value) and not has_letter(first):
        return first  # 5=x
    if has_letter(value):
        return value if len(sides) == 2 and is_name(first) else None
    is_shown = any(not has_letter(side) for side in others)  # m+n=256+37=293 has a step of numbers only
    return value if is_shown or is_name(first) or _COMPUTED.search(first) else None


def name_other_values(one: str, other: str) -> bool:
    """Tell whether two equations give the values of one function at two places: f(2)=5 and f(3)=5."""
    sides, others = top_level(one), top_level(other)
    if not len(sides) == len(others) == 2 or sides[0] == others[0]:
        return False
    return all(_AT_NUMBER.fullmatch(side[0]) for side in (sides, others))


def has_letter(text: str) -> bool:
    """Tell whether a variable occurs in `text`."""
    return _LETTER.search(text) is not None


def is_name(text: str) -> bool:
    r"""Tell whether `text` names one thing: x, x_1, f(2), |AB|, P(X=2), \angle ABC, \sin A."""
    return all(_NAME.fullmatch(part.strip()) for part in _reduced(text).split(":"))


def _reduced(text: str) -> str:
    for pattern, mark in _NAMED:
        text = pattern.sub(mark, text)
    for _ in range(_MOST_CALLS):  # g(f(1))
        text = _CALL.sub("F", text)
    return text.strip()
