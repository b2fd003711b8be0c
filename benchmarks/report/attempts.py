"""Classify attempts: what became of each, whether it is scored, and which problem it belongs to.

`figures`, `compare` and the viewer all use these functions, so their numbers agree. An attempt is scored if it has a
verdict: one that broken machinery ended, or that was never graded, says nothing about the model.
"""

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from mumath_agent.records import BROKEN, AnswerSource, Outcome, RunRecord, Settings, StopReason


class Cause(StrEnum):
    """What became of an attempt. Every attempt has exactly one."""

    CORRECT = "correct"
    WRONG = "wrong"
    NO_ANSWER = "no answer"
    """The model ended its text without one."""
    TURN_LIMIT = "turn limit"
    TOKEN_LIMIT = "token limit"
    TIME_OUT = "time-out"
    """The attempt reached its limit of time (`Limits.wall_s`)."""
    KERNEL_DIED = "kernel died"
    UNGRADED = "ungraded"
    """There is an answer, but the grader couldn't decide."""
    NO_VERDICT = "no verdict"
    """It wasn't graded: there is no gold answer, or the run was never graded."""
    BROKEN = "broken machinery"


Attempts = tuple[RunRecord, ...]
"""All at one problem."""

_WITH_ANSWER = {
    Outcome.CORRECT: Cause.CORRECT,
    Outcome.INCORRECT: Cause.WRONG,
    Outcome.UNGRADED: Cause.UNGRADED,
}
_WITHOUT_ANSWER = {
    StopReason.MAX_TURNS: Cause.TURN_LIMIT,
    StopReason.MAX_TOKENS: Cause.TOKEN_LIMIT,
    StopReason.WALL_CLOCK: Cause.TIME_OUT,
    StopReason.KERNEL_DIED: Cause.KERNEL_DIED,
}


def cause_of(record: RunRecord) -> Cause:
    """Return what became of an attempt. An answer that was graded counts as such, however the attempt ended."""
    if record.trajectory.stop_reason in BROKEN:
        return Cause.BROKEN
    if record.verdict is None:
        return Cause.NO_VERDICT
    if record.verdict.outcome is Outcome.NO_ANSWER:
        return _WITHOUT_ANSWER.get(record.trajectory.stop_reason, Cause.NO_ANSWER)
    return _WITH_ANSWER[record.verdict.outcome]


def is_scored(record: RunRecord) -> bool:
    """Tell whether an attempt counts in accuracies."""
    return cause_of(record) not in (Cause.BROKEN, Cause.NO_VERDICT)


def is_correct(record: RunRecord) -> bool:
    """Return the lenient score: right, wherever the answer was found."""
    return cause_of(record) is Cause.CORRECT


def is_strictly_correct(record: RunRecord) -> bool:
    """Return the strict score: right, and in a box."""
    answer = record.trajectory.answer
    return is_correct(record) and answer is not None and answer.found_in is AnswerSource.BOXED


def may_be_correct(record: RunRecord) -> bool:
    """Tell whether an attempt is right, or has an answer the grader couldn't decide on."""
    return cause_of(record) in (Cause.CORRECT, Cause.UNGRADED)


def by_problem(records: Iterable[RunRecord]) -> dict[tuple[str, str], Attempts]:
    """Return the attempts at each problem, by its id and question, in the order of the first ones."""
    gathered: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        gathered.setdefault((record.problem.id, record.problem.question), []).append(record)
    return {problem: tuple(attempts) for problem, attempts in gathered.items()}


def tags_of(record: RunRecord) -> dict[str, str]:
    """Return a problem's tags by key: "level:3" is 3 under "level"."""
    return {key: value for key, mark, value in (tag.partition(":") for tag in record.problem.tags) if mark}


def tag_order(value: str) -> tuple[int, str]:
    """Return a key that sorts the values of a tag: numbers by their size, after words."""
    return len(value) if value.isdigit() else 0, value


def without_seed(settings: Settings) -> Settings:
    """Return the settings that attempts of one run have in common: each has a seed of its own."""
    return replace(settings, sampling=replace(settings.sampling, seed=None))
