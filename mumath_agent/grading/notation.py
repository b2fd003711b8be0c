r"""Bring the many spellings of an answer to one: `\dfrac12`, `\left( 3\,\text{cm} \right)`, `2*sqrt(3)`, `$5.`.

Also tells mathematics from words. Deleting a sign that has a meaning makes different answers equal (ToRA's grader
deletes all brackets, commas and "and", which turned \frac{1}{23} into \frac{12}{3}), so nothing is deleted here but
layout, math delimiters, brackets around a whole answer, and the full stop.
"""

import re

from mumath_agent.grading.characters import in_ascii
from mumath_agent.grading.phrases import in_digits, without_saying
from mumath_agent.grading.printed import closing, in_latex

TEXT = r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}"

_ROW_END = re.compile(r"(?<!\\)\\(?=[-\d])")
_THIN_GROUP = re.compile(r"(?<=\d)(?:\\[,; ]|,?\s*\\!|~)\s*(?=\d{3}(?!\d))")
_SPACED_GROUPS = re.compile(r"(?<![\d.,/^_}\\])\d{1,3}(?: \d{3})+(?![\d/])(?!\s*\\frac)")
_DOLLARS = re.compile(r"^\$(?=\s*[\d.,]+(?:[^$\\]*)$)")
"""A dollar sign that no other closes is the currency's."""
_RATIO_IN_WORDS = re.compile(r"\d[\d.]*(?: to \d[\d.]*)+")
_END_OF_LINE = re.compile(r"(?<=[^\s\\])(?:\s*\\\\|\s*,)+$")
_LAYOUT = re.compile(
    r"\\(?:left|right|big|Big|bigg|Bigg)[lr]?(?![a-zA-Z])\.?|\\(?:displaystyle|textstyle|limits)(?![a-zA-Z])"
    r"|\\(?:color|textcolor)\s*\{\w+\}|\\underline(?=\s*\{)"
    r"|(?<!\\)\\[,!;: ()\[\]]|\\q?quad(?![a-zA-Z])|(?<!\\)\$|~|\s|\\(?:boxed|fbox)(?=\s*\{)"
)
_SPELLINGS = [
    (re.compile(r"\^\\circ(?![a-zA-Z])|\^\{\s*\\circ\s*\}|\\degree(?![a-zA-Z])"), r"^{\\circ}"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\%|\s+percent\b|\\text\s*\{\s*percent\s*\}"), "%"),
    (re.compile(r"\\l(?:eq|eqslant)(?![a-zA-Z])|<="), r"\\le "),
    (re.compile(r"\\g(?:eq|eqslant)(?![a-zA-Z])|>="), r"\\ge "),
    # 5!=120 is a factorial and its value.
    (re.compile(r"\\neq(?![a-zA-Z])|(?<![\d)}])!="), r"\\ne "),
    (re.compile(r"\\dot\s*\{?(\d)\}?(?:(\d*)\\dot\s*\{?(\d)\}?)?"), r"\\overline{\1\2\3}"),
    (re.compile(r"(?<=[\d.])\\(?:bar|overline)\s*(?:\{\s*(\d+)\s*\}|(\d))"), r"\\overline{\1\2}"),
    (re.compile(r"\\lt(?![a-zA-Z])"), "<"),
    (re.compile(r"\\gt(?![a-zA-Z])"), ">"),
    (re.compile(r"\\varnothing(?![a-zA-Z])|\\\{\s*\\\}"), r"\\emptyset "),
    (re.compile(r"\\(?:langle)(?![a-zA-Z])"), "("),
    (re.compile(r"\\(?:rangle)(?![a-zA-Z])"), ")"),
    (re.compile(r"\\lbrace(?![a-zA-Z])"), r"\\{"),
    (re.compile(r"\\rbrace(?![a-zA-Z])"), r"\\}"),
    (re.compile(r"\\(?:lvert|rvert|vert)(?![a-zA-Z])"), "|"),
    (re.compile(r"\\colon(?![a-zA-Z])"), ":"),
    # Infinity is never included, so the kind of bracket doesn't matter.
    (re.compile(r"\[\s*(?=-\s*\\infty)"), "("),
    (re.compile(r"\\infty\s*\]"), r"\\infty)"),
    # Bold type and arrows don't change a letter; math-verify drops \mathbf{i} and what follows.
    (re.compile(r"\\(?:mathbf|boldsymbol|bm|vec|hat)\s*\{(\w)\}"), r"\1"),
    (re.compile(r"\\sqrt\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    # math-verify reads 2(3) as the mixed number 2 + 3.
    (re.compile(r"((?<![_^\w}.])\d+|\))\s*\("), r"\1\\cdot("),
    # x^{1}2 isn't x^12: the brace goes only if no digit or letter follows.
    (re.compile(r"([_^])\{(\w)\}(?!\w)"), r"\1\2"),
]
_COMMAND_WITH_ARGUMENTS = re.compile(r"\\(frac|sqrt)(?![a-zA-Z])\s*(?:\[[^\]]*\])?")
_ARGUMENT = re.compile(r"\\[a-zA-Z]+|\w")
_TEXT_ONLY = re.compile(TEXT)
_JOINED = re.compile(r"\s*,?\s*(?:\\(?:text|mbox|mathrm)\s*\{\s*,?\s*(?:and|or)\s*\}|\b(?:and|or)\b)\s*")
_RELATION = re.compile(r"[<>]|\\[lg]e(?![a-zA-Z])|\\ne(?![a-zA-Z])")
_EXACT = re.compile(r"\d|\\pi|\\sqrt")
# "a gain of -20" keeps its space, because "COVID-19" has no minus sign.
_SPACES = re.compile(r"\s+(?!(?<=[a-z]{2}\s)-\.?\d)(?=\W|_)|(?<=[^\w\s])\s+")
_BASE_IN_WORDS = re.compile(
    r"(?<=\w)_\{?\s*\\(?:text|mathrm|textrm|mbox)\{\s*(?:base\s*\}?\s*)?([a-z]+|\d+)\s*\}\s*\}?"
)
_BRACKETED_NUMERAL = re.compile(r"\(\s*(\w+)\s*\)(?=\s*_)")
_BUILT_SET = re.compile(
    r"^\\\{\s*[a-z]\s*(?:\\in\s*\\mathbb\s*\{?R\}?)?\s*(?:\\mid(?![a-zA-Z])|\||:)\s*([^|{}]*[<>\\][^|{}]*?)\s*\\\}$"
)
r"""\{x\mid x>1\} is the inequality in it."""
_BASES = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_BASE_OF = {word: str(base) for base, word in enumerate(_BASES, start=2)} | {"sixteen": "16"}
_PLAIN_BASE = re.compile(rf"(?<=\w)_\{{\s*({'|'.join(_BASE_OF)})\s*\}}")
_PROSE = re.compile(r"(?<![\\a-zA-Z{])[a-zA-Z]{4,}")
_NO_NUMBER = re.compile(r"(?<![_^])\d\s+\d|\.\d+\.\d")
_WORDS = re.compile(
    r"(?=.*[^\W\d_]{3})[^\W\d_][^\d\\{}^_=<>+*/]+|(?=.*[^\W\d_]{4})[^\W\d_][^\\{}^_=<>*]+|no", re.IGNORECASE
)
_LETTERS = re.compile(r"\\[a-zA-Z]+|[a-zA-Z]")
"""A command, or a letter."""
_CAPITALS = re.compile(r"[A-Z]{2,}")
_LETTERS_OF_PRODUCTS = ("abcdxyz", "klmnpqrst", "uvwxyz", "ijk")
"""Three letters of one of these may be a product of variables; others are a word such as "two"."""
_TERMS = re.compile(r"[^\W_]+|(?<=\d)[./:,](?=\d)|(?<![^\W_])[-+](?=\.?\d)")
_GROUP = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_GROUPS = {"(": "()", "{": "{}", "[": "[]"}


def normalised(text: str) -> str:
    """Return `text` in the one spelling that is compared, read as a number, and sent to math-verify."""
    text = _DOLLARS.sub(r"\\$", _END_OF_LINE.sub("", text.strip()))
    text = " ".join(in_ascii(text.strip("$ ")).split()).strip("$ ")
    text = whole[1].strip() if (whole := _TEXT_ONLY.fullmatch(text)) else text
    if (said := without_saying(text)) != text:
        text = in_ascii(said.strip("$ .")).strip("$ ")
    text = in_latex(text)
    if "matrix}" in text:
        text = _ROW_END.sub(r"\\\\", text)  # recorded files lost half of the \\ that ends a row
    text = " ".join(
        _LAYOUT.sub(" ", _THIN_GROUP.sub("", text)).split()
    )  # no pattern has to handle several spaces
    if _RATIO_IN_WORDS.fullmatch(text):
        text = text.replace(" to ", ":")
    text = _SPACED_GROUPS.sub(lambda match: match[0].replace(" ", ""), text)
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    text = _BUILT_SET.sub(r"\1", _BRACKETED_NUMERAL.sub(r"\1", text))
    text = _BASE_IN_WORDS.sub(lambda base: f"_{{{_BASE_OF.get(base[1], base[1])}}}", text)
    text = _PLAIN_BASE.sub(lambda base: f"_{{{_BASE_OF[base[1]]}}}", text)
    text = _with_braces(text)
    if not has_relation(text):
        text = _JOINED.sub(", ", text)
    return in_digits(_bare(_SPACES.sub("", _exact_side(text))))


def has_relation(text: str) -> bool:
    """Tell whether `text` contains an inequality."""
    return _RELATION.search(text) is not None


def is_mathematics(text: str) -> bool:
    """Tell whether math-verify may read `text`: it takes words for products of letters and "12 345" for 12 + 345."""
    return not _PROSE.search(text) and not _NO_NUMBER.search(text) and _is_balanced(text)


def is_words(text: str) -> bool:
    """Tell whether `text` is a word or a sentence, to be compared as such."""
    return _WORDS.fullmatch(text) is not None


def is_letters(text: str) -> bool:
    """Tell whether `text` is letters that stand for themselves, as in ASA, HTH and "two", and not for a product."""
    if _CAPITALS.fullmatch(text):
        return True
    is_short = len(text) == 3 and text.isascii() and text.isalpha() and text.islower()
    return is_short and not any(set(text) <= set(letters) for letters in _LETTERS_OF_PRODUCTS)


def spelling(text: str) -> str:
    """Return the letters and numbers of a text; spaces and punctuation count only where they are part of a number."""
    found = ""
    for term in _TERMS.findall(_GROUP.sub("", text).casefold()):
        found += f" {term}" if found[-1:].isdigit() and term[0].isdigit() else term
    return found


def without_text(text: str) -> str:
    r"""Return `text` with `\text{…}` and the like replaced by their contents."""
    return _SPACES.sub("", _TEXT_ONLY.sub(r" \1 ", text).strip())


def without_capitals(answer: str, target: str) -> tuple[str, str]:
    r"""Return both with other letters for capitals whose small letter occurs, too: math-verify takes R for r.

    So `\pi(R^2-r^2)` isn't 0.
    """
    letters = {found for text in (answer, target) for found in _LETTERS.findall(text) if len(found) == 1}
    unused = [letter for letter in "qwhkvuzsjgypmcbafdltnxr" if not {letter, letter.upper()} & letters]
    twofold = sorted(letter for letter in letters if letter.isupper() and letter.lower() in letters)
    if not twofold or len(twofold) > len(unused):
        return answer, target
    names = dict(zip(twofold, unused, strict=False))

    def renamed(text: str) -> str:
        return _LETTERS.sub(lambda found: names.get(found[0], found[0]), text)

    return renamed(answer), renamed(target)


def _exact_side(text: str) -> str:
    r"""Return the exact side of `\frac{1}{3}\approx0.33`, and the value of `x\approx0.33`."""
    sides = re.split(r"\\(?:approx|simeq)(?![a-zA-Z])", text)
    return sides[0] if _EXACT.search(sides[0]) else sides[-1]


def _bare(text: str) -> str:
    r"""Return `text` without what may surround a whole answer: full stops, "=", \text{…}, brackets without a list."""
    before = None
    while text != before:
        before = text
        text = text.strip(" ;").lstrip("=").strip()
        if not text.endswith((".m.", ".M.")):
            text = text.rstrip(". ")
        if whole := _TEXT_ONLY.fullmatch(text):
            text = whole[1].strip()
        text = _without_brackets(text)
    return text


def _without_brackets(text: str) -> str:
    is_set = text.startswith("\\{")
    inside = text[2:-2] if is_set else text[1:-1]
    pair = _GROUPS.get(text[is_set : is_set + 1])
    if pair is None or "," in inside or inside.strip() in ("", r"\emptyset"):
        return text
    return inside if closing(text, int(is_set), pair) == len(text) - 1 else text


def _with_braces(text: str) -> str:
    r"""Return `text` with braces around each argument of `\frac12`, `\frac\pi4` and `\sqrt2`."""
    marks: dict[int, str] = {}
    for command in _COMMAND_WITH_ARGUMENTS.finditer(text):
        at = command.end()
        for _ in range(2 if command[1] == "frac" else 1):
            at += len(text[at:]) - len(text[at:].lstrip())
            if text[at : at + 1] == "{":
                at = closing(text, at, "{}") + 1
            elif argument := _ARGUMENT.match(text, at):
                marks[argument.start()] = marks.get(argument.start(), "") + "{"
                marks[argument.end()] = "}" + marks.get(argument.end(), "")
                at = argument.end()
            else:
                break
    return "".join(marks.get(i, "") + text[i : i + 1] for i in range(len(text) + 1)) if marks else text


def _is_balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0
