"""Read the answer of a recorded attempt and grade it: the one rule for new runs, regrading, selection and replay."""

from collections.abc import Callable
from dataclasses import replace

from mumath_agent.answers import extract_answer
from mumath_agent.grading import Grader
from mumath_agent.records import BROKEN, Answer, RunRecord, StopReason
from mumath_agent.transcript import Transcript

AnswerOf = Callable[[Transcript], Answer | None]
"""A task's rule: which words of a transcript are its answer."""

_ENDED_BY_ITSELF = (StopReason.ANSWERED, StopReason.NO_ANSWER)


def with_answer(record: RunRecord, answer_of: AnswerOf = extract_answer) -> RunRecord:
    """Return the record with the answer that `answer_of` finds, and the stop reason that follows from it.

    Only an attempt that ended by itself has an answer: one that a limit cut off has none, whatever its text holds. The
    record of an attempt that machinery ended stays as it is.
    """
    attempt = record.trajectory
    if attempt.stop_reason in BROKEN:
        return record
    if attempt.stop_reason not in _ENDED_BY_ITSELF:
        return replace(record, trajectory=replace(attempt, answer=None))
    answer = answer_of(attempt.transcript)
    stop = StopReason.ANSWERED if answer else StopReason.NO_ANSWER
    return replace(record, trajectory=replace(attempt, answer=answer, stop_reason=stop))


async def graded(record: RunRecord, grader: Grader, answer_of: AnswerOf = extract_answer) -> RunRecord:
    """Return the record with its answer read afresh and a verdict on it.

    The verdict is None where there is nothing to compare: no gold answer, or an attempt that machinery ended.
    """
    record = with_answer(record, answer_of)
    attempt, target = record.trajectory, record.problem.target
    if target is None or attempt.stop_reason in BROKEN:
        return replace(record, verdict=None)
    found = attempt.answer.text if attempt.answer else None
    return replace(record, verdict=await grader.grade(found, target))
