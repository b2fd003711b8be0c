r"""Decide which answer of a transcript is scored.

The rule of the library, for nearly all tasks, is the last box, then the last "the answer is", then the last printed
line (`mumath_agent.answers`). Two of MathCoder's sets need another one, because of how their gold answers are written.
"""

import re
from dataclasses import dataclass, replace

from mumath_agent.answers import boxed_answers, extract_answer
from mumath_agent.records import Answer, AnswerSource
from mumath_agent.runs.graded import AnswerOf
from mumath_agent.transcript import Kind, Transcript

_BRACKETED = re.compile(r"(?:\\left)?[\[(]([^\[\](){}]*?)(?:\\right)?[\])]")
_SPACED = re.compile(r"-?[\d./]+(?:\s+-?[\d./]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRule:
    """A rule, with a name of a few words."""

    words: str
    answer_of: AnswerOf


def first_box(transcript: Transcript) -> Answer | None:
    """Return the first box of the last prose that has boxes; without boxes, the usual answer."""
    answer = extract_answer(transcript)
    if answer is None or answer.found_in is not AnswerSource.BOXED:
        return answer
    for segment in reversed(transcript.segments):
        if segment.kind is Kind.RATIONALE and (boxes := boxed_answers(segment.text)):
            return replace(answer, text=boxes[0])
    return answer


def bare_list_answer(transcript: Transcript) -> Answer | None:
    """Return the usual answer; a list loses its brackets."""
    answer = extract_answer(transcript)
    return None if answer is None else replace(answer, text=bare_list(answer.text))


def bare_list(text: str) -> str:
    """Write `[2, 3]`, `(2, 3)` and `2 3` as `2, 3`, which the grader compares in any order."""
    if bracketed := _BRACKETED.fullmatch(text.strip()):
        text = bracketed[1].strip()
    return ", ".join(text.split()) if _SPACED.fullmatch(text) else text


LAST_ANSWER = AnswerRule(words="last", answer_of=extract_answer)
FIRST_BOX = AnswerRule(words="first of last boxes", answer_of=first_box)
BARE_LIST = AnswerRule(words="last, any brackets", answer_of=bare_list_answer)
