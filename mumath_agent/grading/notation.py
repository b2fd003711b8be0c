r"""One spelling for what is written in many: `\dfrac12`, `\left( 3\,\text{cm} \right)`, `2*sqrt(3)`, `$5.`.

Rewrites text and tells kinds of text apart. Deleting a sign that carries meaning makes different answers equal
(ToRA's grader deletes all brackets, commas and "and": \frac{1}{23} became \frac{12}{3}), so nothing is deleted here but
layout, currency signs, units after a number, and the full stop.
"""

import re
from itertools import accumulate

_LAYOUT = re.compile(
    r"\\(?:left|right|big|Big|bigg|Bigg)(?![a-zA-Z])\.?|\\(?:displaystyle|textstyle|limits)(?![a-zA-Z])"
    r"|(?<!\\)\\[,!;: ()\[\]]|\\q?quad(?![a-zA-Z])|\\?\$|~|\s"
)
_THIN_GROUP = re.compile(r"(?<=\d)\\,(?=\d{3}(?!\d))")
_SPELLINGS = [
    (re.compile(r"[−–]"), "-"),
    (re.compile(r"π"), r"\\pi "),
    (re.compile(r"×"), r"\\times "),
    (re.compile(r"°|\^\\circ(?![a-zA-Z])|\^\{\\circ\}|\\degree(?![a-zA-Z])"), r"^{\\circ}"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\%|\s+percent\b"), "%"),
    (re.compile(r"\\frac\s*(\d)\s*(\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*(\d)\s*\{"), r"\\frac{\1}{"),
    (re.compile(r"\\frac(\{[^{}]*\})\s*(\d)"), r"\\frac\1{\2}"),
    (re.compile(r"\\sqrt\s*(\d)"), r"\\sqrt{\1}"),
    # Python's spelling, as sympy prints it.
    (re.compile(r"\*\*\s*(-?\d+|[a-zA-Z]\b|\([^()]*\))"), r"^{\1}"),
    (re.compile(r"(?<![\\a-zA-Z])sqrt\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![\\a-zA-Z])(pi|sin|cos|tan|log|ln|exp)(?![a-zA-Z])"), r"\\\1 "),
    (re.compile(r"\*"), r"\\cdot "),
    # math-verify reads 2(3) as the mixed number 2 + 3.
    (re.compile(r"(?<=[\d)])\s*\("), r"\\cdot("),
    # x^{1}2 is no x^12: the brace goes only where nothing it could swallow follows.
    (re.compile(r"([_^])\{(\w)\}(?!\w)"), r"\1\2"),
]
_TEXT = r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}"
_TEXT_ONLY = re.compile(_TEXT)
_SPACES = re.compile(r"\s+(?=\W|_)|(?<=[^\w\s])\s+")
_UNIT_WORDS = re.compile(
    rf"(?P<value>[\d}})%])\s*(?:{_TEXT}|(?<=[\s%])[a-zA-Z]{{3,}}(?:\s+[a-zA-Z]+)*|(?<=\s)(?:[cmk]m|[mk]g|ml|ft))"
    r"(?:\^\{?\d\}?)?$"
)
# A word that changes the number, or joins it to another.
_COUNTING_WORD = re.compile(
    r"\b(?:and|or|to|by|hundred|thousand|million|billion|trillion|dozen|half|halves|third|thirds)s?\b",
    re.IGNORECASE,
)
_PROSE = re.compile(r"(?<![\\a-zA-Z{])[a-zA-Z]{4,}")
_BASED = re.compile(r"\d\w*_\{?\d+\}?")


def normalised(text: str) -> str:
    """`text` in the one spelling that is compared, read as numbers, and sent to math-verify."""
    text = _LAYOUT.sub(" ", _THIN_GROUP.sub("", text)).strip()
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    text = _without_unit(text.strip().rstrip(".").strip())
    if whole := _TEXT_ONLY.fullmatch(text):
        text = whole[1].strip()
    return _SPACES.sub("", text)


def is_mathematics(text: str) -> bool:
    """Whether math-verify may read it: it takes words for products of letters and "12 345" for 12 + 345."""
    return not _PROSE.search(text) and not re.search(r"\d\s+\d|\.\d+\.\d", text) and _is_balanced(text)


def brackets(text: str) -> str:
    """What holds the items of a list: "()", "[)", …; "{}" for a set and for a bare list; "" where there is no list."""
    depths = list(accumulate((character in "([{") - (character in ")]}") for character in text))
    commas = {depth for character, depth in zip(text, depths, strict=True) if character == ","}
    if 0 in commas:
        return "{}"
    start = 1 if text.startswith("\\{") else 0
    is_one_group = text[start : start + 1] in tuple("([{") and 0 not in depths[start:-1] and depths[-1] == 0
    return text[start] + text[-1] if is_one_group and 1 in commas else ""


def is_based(text: str) -> bool:
    """Whether it is a numeral that names its base, such as 10001_2."""
    return _BASED.fullmatch(text) is not None


def _without_unit(text: str) -> str:
    unit = _UNIT_WORDS.search(text)
    if _COUNTING_WORD.search(text):
        return _TEXT_ONLY.sub(r" \1 ", text).strip()
    return text[: unit.end("value")] if unit else text


def _is_balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0
