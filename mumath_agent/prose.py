"""Read the prose of a solution: what belongs to it, and where it ends.

Only the prose can hold an answer. What a model thought (in `<think>` tags), what it showed in a fenced block, and what
it wrote after its answer, when it went on with a question of its own, don't belong to it.
"""

import re
from collections.abc import Iterator, Sequence

_FENCE = "```"
_THINK, _THOUGHT = "<think>", "</think>"
_ANSWERED = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])|\banswer\s+is\b", re.IGNORECASE)
_WORD = r"(?:(?:next|new|another|follow[- ]?up)[ \t]+)?(?:question|problem|exercise|user|human|q)"
_NUMBER = r"(?:[ \t]*(?:\#|no\.?|number)?[ \t]*\d{1,4})?"
_NEXT_QUESTION = re.compile(
    rf"^[ \t>]*(?:"
    rf"(?:\#{{1,6}}[ \t]*)?\**{_WORD}{_NUMBER}\**[ \t]*[:：]"  # Question 2: …
    rf"|(?:\#{{1,6}}[ \t]*\**|\*\*){_WORD}{_NUMBER}[ \t.)]*\**[ \t]*$"  # ### Problem
    rf"|\#{{1,6}}[ \t]*(?:instruction|input)s?\b"
    rf"|Q{_NUMBER}[.)][ \t]"
    rf")|<\|user\|>|<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|\[INST\]",
    re.IGNORECASE | re.MULTILINE,
)
"""How a model begins a question that nobody asked, once it has answered the one it was asked."""


_OR = r"(?:\bor\b(?!,?\s+(?:rather|equivalent|simply|about|approx))|\\l?or\b|\\vee\b)"
_ONLY_OR = re.compile(rf"(?:[\s$,;{{}}()\[\]*\\]|{_OR}|text|quad|f?boxed)*", re.IGNORECASE)
_SENTENCE = re.compile(rf"[^.!?\n]*{_OR}[^.!?\n]*", re.IGNORECASE)
_DOUBT = re.compile(r"\b(?:either|maybe|perhaps|possibly|(?:could|might|may) be)\b[^.!?\n]*\Z", re.IGNORECASE)
_DOUBT_CHARS = 200


def prose(rationale: str) -> str:
    """Return the lines of a rationale that the model says, without its reasoning and its fenced blocks."""
    said = rationale.rpartition(_THOUGHT)[2].partition(_THINK)[0]
    return "\n".join(_prose_lines(said))


def next_question(text: str) -> int | None:
    """Return where the model goes on with another question after an answer; None if it doesn't."""
    answered = _ANSWERED.search(text)
    begun = _NEXT_QUESTION.search(text, answered.end()) if answered else None
    return begun.start() if begun else None


def before_next_question(texts: Sequence[str]) -> list[str]:
    """Return the texts up to where the model goes on with another question after an answer."""
    for number, text in enumerate(texts):
        if (end := next_question(text)) is not None:
            return [*texts[:number], text[:end]]
    return list(texts)


def are_alternatives(text: str, one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether the answers at two spans of `text` are a hedge: "or" stands between them, and nothing firmer."""
    between = text[one[1] : other[0]]
    if len(between) > _DOUBT_CHARS or not re.search(_OR, between, re.IGNORECASE):
        return False
    before = text[max(0, one[0] - _DOUBT_CHARS) : one[0]]
    return bool(_ONLY_OR.fullmatch(between) or (_SENTENCE.fullmatch(between) and _DOUBT.search(before)))


def _prose_lines(text: str) -> Iterator[str]:
    """Yield the lines outside of fenced blocks. An unclosed block goes on to the end, as in Markdown."""
    inside = False
    for line in text.split("\n"):
        mark = line.strip()
        if mark.startswith(_FENCE) and "`" not in mark[len(_FENCE) :].lstrip("`"):
            inside = not inside
        elif not inside:
            yield line
