"""Read an answer out of the few words that a model puts around it: "The answer is 7.", "seven", "negative 5".

Only words that change nothing are taken away; a denial, a hedge or a comparison stays, and is no number then.
"""

import re

_QUALITY = r"(?:(?:final|correct|right|best)\s+)?"
_KIND = r"(?:answer|choice|option)"
_SAID_BEFORE = re.compile(
    r"(?:\*\*)?(?:(?:so|thus|hence|therefore),?\s+)?(?:"
    rf"(?:(?:the|my|our)\s+)?{_QUALITY}(?:{_KIND}|ans|result|solution|value)(?:\s+is\b\s*:?|\s*[:=])"
    r"|it\s+is|we\s+(?:get|have|find)|exactly)\s*(?:\*\*\s+)?(.+)",
    re.IGNORECASE | re.DOTALL,
)
_SAID_BEHIND = re.compile(
    rf"(.+?)\s+is\s+(?:the\s+{_QUALITY}{_KIND}|(?:the\s+)?(?:correct|right)(?:\s+(?:{_KIND}|one))?)\W*",
    re.IGNORECASE,
)
_SAID_IN_TEXT = re.compile(r"\\text\s*\{([^{}]*(?:is|are|[:=])\s*)\}(?=.)")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_VALUES = {word: value for value, word in enumerate(("zero", *_ONES, *_TEENS))} | {
    word: 10 * tens for tens, word in enumerate(_TENS, start=2)
}
_IN_WORDS = re.compile(
    r"(?:(minus|negative)\s+)?"
    rf"(?:((?:{'|'.join(_TENS)})[-\s](?:{'|'.join(_ONES)})|{'|'.join(_VALUES)})"
    r"|an?(?=\s+(?:hundred|thousand|million|billion|dozen)\Z))"
    r"((?:\s+[a-z]+){0,3})",
    re.IGNORECASE,
)
_SIGN = re.compile(r"(?:minus|negative)\s+(?=\d)", re.IGNORECASE)
_NO_SOLUTION = re.compile(r"(?:there\s+(?:is|are)\s+)?no\s+solutions?(?:\s+exists?)?", re.IGNORECASE)


def without_saying(text: str) -> str:
    """Return the answer in "The answer is 7.", "Answer: 7" or "B is correct", else the text."""
    text = _SAID_IN_TEXT.sub(r"\1", text, count=1) if text.startswith(r"\text") else text
    said = _SAID_BEFORE.fullmatch(text) or _SAID_BEHIND.fullmatch(text)
    return said[1] if said else text


def in_digits(text: str) -> str:
    r"""Return "seven days" as "7 days", "negative 5" as "-5" and "no solution" as `\emptyset`; else the text."""
    if not text[:1].isalpha():
        return text
    if _NO_SOLUTION.fullmatch(text):
        return r"\emptyset"
    if (words := _IN_WORDS.fullmatch(text)) is None:
        return f"-{text[sign.end() :]}" if (sign := _SIGN.match(text)) else text
    value = sum(_VALUES[word] for word in re.split(r"[-\s]+", (words[2] or "one").lower()))
    return f"{'-' if words[1] else ''}{value}{words[3]}"
