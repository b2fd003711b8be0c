"""Replay early stop on recorded attempts: what it would have left unwritten, and whether the answer is the same.

It is replayed twice, with the attempts one after the other and all at once at one speed (a token each in turn); the
solver is between the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.report.attempts import Attempts as AtProblem
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome, RunRecord
from mumath_agent.runs.voting import Count
from mumath_agent.solutions import Attempts

ENOUGH = (0.95, 0.9)
"""The values of `Attempts.enough` that are replayed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStop:
    """What stopping early would have saved."""

    name: str
    tokens: int
    """Those that all attempts wrote."""
    saved: float
    """The share of them that wouldn't have been written."""
    same_answers: int
    """Problems with the answer that all attempts give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Where one way to stop early stopped at a problem."""

    tokens: int
    """That all attempts had written by then."""
    same_answer: bool


async def stops_of(attempts: AtProblem, answer: str | None, grader: Grader) -> dict[str, Stop]:
    """Return where each way to stop early stops; `answer` is the one that all attempts give."""
    how = Attempts(number=len(attempts))
    orders = {"one after the other": _in_order(attempts), "all at once": _by_length(attempts)}
    rules = {"decided": how} | {f"enough {enough:g}": replace(how, enough=enough) for enough in ENOUGH}
    return {
        f"{rule}, {name}": await _stopped(order, answer, stopping, grader)
        for rule, stopping in rules.items()
        for name, order in orders.items()
    }


def early_stop(name: str, tokens: int, stops: Sequence[Stop]) -> EarlyStop:
    """Return what a way to stop early saves of the `tokens` of all attempts."""
    written = sum(stop.tokens for stop in stops)
    return EarlyStop(
        name=name,
        tokens=tokens,
        saved=1 - written / tokens if tokens else 0.0,
        same_answers=sum(stop.same_answer for stop in stops),
    )


def tokens_of(record: RunRecord) -> int:
    """Return how many tokens an attempt wrote."""
    return sum(completion.completion_tokens for completion in record.trajectory.completions)


_Ends = list[tuple[RunRecord, int]]
"""Attempts in the order in which they end, each with the tokens that all have written by then."""


def _in_order(attempts: AtProblem) -> _Ends:
    ends = np.cumsum([tokens_of(record) for record in attempts])
    return [(record, int(end)) for record, end in zip(attempts, ends, strict=True)]


def _by_length(attempts: AtProblem) -> _Ends:
    lengths = [tokens_of(record) for record in attempts]
    order = sorted(attempts, key=lambda record: (tokens_of(record), record.sample))
    return [(record, sum(min(length, tokens_of(record)) for length in lengths)) for record in order]


async def _stopped(ends: _Ends, answer: str | None, how: Attempts, grader: Grader) -> Stop:
    count, tokens = Count(grader, how), 0
    for record, tokens in ends:  # noqa: B007 the last one counts
        await count.add(record)
        if count.decided():
            break
    found = count.answer
    same = found == answer or (
        found is not None
        and answer is not None
        and (await grader.grade(found, answer)).outcome is Outcome.CORRECT
    )
    return Stop(tokens=tokens, same_answer=same)
