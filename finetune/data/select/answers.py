"""Whose answer is right: by the target where one is known, by the majority where not.

The majority is MuMath's pseudo-answer, counted by equality of answers instead of spelling. It has to be larger than
any other class and to hold a share of all attempts at the question, those without an answer included; with a share of
1 this is MathCoder's rule that all samples agree. Attempts with a fault of form have no vote. Solutions in words and
with programs vote together, so that a stage-1 file beside a stage-2 file gives the pseudo-answers of MuMath-Code.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import anyio

from finetune.data.select.attempts import Attempt
from finetune.data.select.reasons import Fault, Faults, Reason
from mumath_agent.grading import Grader, vote_classes
from mumath_agent.records import Outcome

T = TypeVar("T")

_REASONS = {
    Outcome.INCORRECT: Reason.WRONG,
    Outcome.NO_ANSWER: Reason.NO_ANSWER,
    Outcome.UNGRADED: Reason.UNGRADED,
}


async def answer_faults(
    attempts: Sequence[Attempt], grader: Grader, *, min_share: float, min_votes: int, concurrency: int
) -> Faults:
    """The attempts that are faulty in form or have an answer that isn't right."""
    faults = {position: one.fault for position, one in enumerate(attempts) if one.fault is not None}
    known: list[int] = []
    unknown: dict[str, list[int]] = {}
    for position, one in enumerate(attempts):
        if one.target is None:
            unknown.setdefault(one.question, []).append(position)
        elif position not in faults:
            known.append(position)
    outcomes = await _outcomes([attempts[position] for position in known], grader, concurrency)
    for position, outcome in zip(known, outcomes, strict=True):
        if outcome in _REASONS:
            faults[position] = _against_target(attempts[position], _REASONS[outcome])

    async def vote(positions: list[int]) -> None:
        faults.update(await _vote(attempts, positions, grader, min_share=min_share, min_votes=min_votes))

    await _each(unknown.values(), vote, concurrency)
    return faults


async def _outcomes(attempts: Sequence[Attempt], grader: Grader, concurrency: int) -> list[Outcome]:
    """Of the records, else graded; equal answers to one target are graded once."""
    owed = {(one.answer, one.target): Outcome.UNGRADED for one in attempts if one.outcome is None}

    async def grade(pair: tuple[str | None, str | None]) -> None:
        answer, target = pair
        assert target is not None
        owed[pair] = (await grader.grade(answer, target)).outcome

    await _each(list(owed), grade, concurrency)
    return [one.outcome or owed[one.answer, one.target] for one in attempts]


async def _vote(
    attempts: Sequence[Attempt], positions: list[int], grader: Grader, *, min_share: float, min_votes: int
) -> Faults:
    """The faults that the vote on one question finds."""
    voters = [position for position in positions if attempts[position].fault is None]
    classes = await vote_classes([attempts[position].answer for position in voters], grader)
    made = sum(not _is_broken(attempts[position]) for position in positions)
    largest, second = (len(found) for found in (*classes, (), ())[:2])
    if largest == second or largest < min_votes or largest < min_share * made:
        detail = f"{largest} of {made} agree, {second} on another answer"
        return {position: Fault(reason=Reason.NO_MAJORITY, detail=detail) for position in voters}
    majority = {voters[member] for member in classes[0]}
    winner = attempts[min(majority)].answer
    return {
        position: Fault(reason=Reason.OUTVOTED, detail=f"{attempts[position].answer}, most have {winner}")
        for position in voters
        if position not in majority
    }


def _is_broken(attempt: Attempt) -> bool:
    return attempt.fault is not None and attempt.fault.reason is Reason.BROKEN


def _against_target(attempt: Attempt, reason: Reason) -> Fault:
    return Fault(
        reason=reason, detail=f"{attempt.answer}, not {attempt.target}" if reason is Reason.WRONG else ""
    )


async def _each(items: Iterable[T], work: Callable[[T], Awaitable[None]], concurrency: int) -> None:
    """Do `work` on every item, `concurrency` at a time."""
    queue = iter(items)

    async def worker() -> None:
        for item in queue:
            await work(item)

    async with anyio.create_task_group() as workers:
        for _ in range(concurrency):
            workers.start_soon(worker)
