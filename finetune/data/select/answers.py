"""Decide whose answer is right: by the target where one is known, by the majority where not.

The majority is MuMath's pseudo-answer, counted by equality of answers instead of spelling. It has to be larger than
any other class and to hold a share of all attempts at the question, those without an answer included; with a share of
1 this is MathCoder's rule that all samples agree. Attempts with a fault of form have no vote. Solutions in words and
with programs vote together, so that a stage-1 file beside a stage-2 file gives the pseudo-answers of MuMath-Code.

A target that the wording of a question may have lost (`UNCONFIRMED`) isn't believed alone: the majority must have it,
by the same rule, or all attempts at the question are dropped. One lucky attempt confirms nothing.
"""

from collections.abc import Sequence

from finetune.data.select.attempts import Attempt
from finetune.data.select.reasons import Fault, Faults, Reason
from mumath_agent.concurrency import for_each, map_each
from mumath_agent.grading import Grader, vote_classes
from mumath_agent.records import Outcome

_REASONS = {
    Outcome.INCORRECT: Reason.WRONG,
    Outcome.NO_ANSWER: Reason.NO_ANSWER,
    Outcome.UNGRADED: Reason.UNGRADED,
}


async def answer_faults(
    attempts: Sequence[Attempt], grader: Grader, *, min_share: float, min_votes: int, concurrency: int
) -> Faults:
    """Return the faults of attempts that are faulty in form or whose answer isn't right."""
    faults = {position: one.fault for position, one in enumerate(attempts) if one.fault is not None}
    known: list[int] = []
    unknown: dict[str, list[int]] = {}
    doubtful: dict[tuple[str, str], list[int]] = {}
    for position, one in enumerate(attempts):
        if one.target is None:
            unknown.setdefault(one.question, []).append(position)
            continue
        if one.unconfirmed:
            doubtful.setdefault((one.question, one.target), []).append(position)
        if position not in faults:
            known.append(position)
    outcomes = await _outcomes([attempts[position] for position in known], grader, concurrency)
    outcome_of = dict(zip(known, outcomes, strict=True))
    for position, outcome in outcome_of.items():
        if outcome in _REASONS:
            faults[position] = _against_target(attempts[position], _REASONS[outcome])

    async def vote(positions: list[int]) -> None:
        faults.update(await _vote(attempts, positions, grader, min_share=min_share, min_votes=min_votes))

    async def confirm(positions: list[int]) -> None:
        voted = await _vote(attempts, positions, grader, min_share=min_share, min_votes=min_votes)
        right = [p for p in positions if p in outcome_of and outcome_of[p] is Outcome.CORRECT]
        if not any(position not in voted for position in right):
            missed = Fault(
                reason=Reason.UNCONFIRMED, detail=f"{len(right)} of {len(positions)} have the target"
            )
            faults.update({p: missed for p in positions if attempts[p].fault is None})

    await for_each(unknown.values(), vote, concurrency=concurrency)
    await for_each(doubtful.values(), confirm, concurrency=concurrency)
    return faults


async def _outcomes(attempts: Sequence[Attempt], grader: Grader, concurrency: int) -> list[Outcome]:
    """Return the outcomes of the records, or grade; equal answers to one target are graded once."""
    owed = list(dict.fromkeys((one.answer, one.target or "") for one in attempts if one.outcome is None))

    async def grade(pair: tuple[str | None, str]) -> Outcome:
        return (await grader.grade(*pair)).outcome

    outcomes = dict(zip(owed, await map_each(owed, grade, concurrency=concurrency), strict=True))
    return [one.outcome or outcomes[one.answer, one.target or ""] for one in attempts]


async def _vote(
    attempts: Sequence[Attempt], positions: list[int], grader: Grader, *, min_share: float, min_votes: int
) -> Faults:
    """Return the faults that the vote on one question finds."""
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
