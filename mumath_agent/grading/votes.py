"""Group the answers of several attempts by equality, not by spelling, so that votes can be counted.

Answers that are spelled alike once normalised are one candidate; the grader compares only candidates. The solver
decides who wins and when to stop.
"""

from collections.abc import Sequence

from mumath_agent.grading.notation import normalised
from mumath_agent.grading.pool import Grader
from mumath_agent.records import Outcome


async def vote_classes(answers: Sequence[str | None], grader: Grader) -> tuple[tuple[int, ...], ...]:
    """Group the positions of equal answers: the largest class first, and of equally large ones the one seen first.

    A missing or empty answer is in no class. A candidate joins the first class whose first member it equals, in either
    direction; if the grader can't decide, it doesn't.
    """
    candidates: dict[str, list[int]] = {}
    for position, answer in enumerate(answers):
        if answer is not None and answer.strip():
            candidates.setdefault(normalised(answer), []).append(position)
    classes: list[list[int]] = []
    for positions in candidates.values():
        answer = answers[positions[0]]
        for found in classes:
            if await _are_equal(answer, answers[found[0]], grader):
                found.extend(positions)
                break
        else:
            classes.append(positions)
    return tuple(
        tuple(sorted(found)) for found in sorted(classes, key=lambda found: (-len(found), min(found)))
    )


async def _are_equal(one: str | None, other: str | None, grader: Grader) -> bool:
    for answer, target in ((one, other), (other, one)):
        if target is not None and (await grader.grade(answer, target)).outcome is Outcome.CORRECT:
            return True
    return False
