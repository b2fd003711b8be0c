"""Group the answers of several attempts by equality, not by spelling, so that votes can be counted.

Answers that are spelled alike once normalised are one candidate; the grader compares only candidates. Who may vote, who
wins and when it is decided is `runs/voting.py`'s.
"""

from collections.abc import MutableMapping, Sequence

from mumath_agent.grading.notation import normalised
from mumath_agent.grading.pool import Grader
from mumath_agent.records import Outcome

Known = MutableMapping[tuple[str, str], bool]
"""Pairs of answers that were compared before. With it a class is told again, as answers come in, for nothing."""


async def vote_classes(
    answers: Sequence[str | None], grader: Grader, known: Known | None = None
) -> tuple[tuple[int, ...], ...]:
    """Group the positions of equal answers: the largest class first, and of equally large ones the one seen first.

    A missing or empty answer is in no class. A candidate joins the first class whose first member it equals, in either
    direction; if the grader can't decide, it doesn't.
    """
    known = {} if known is None else known
    candidates: dict[str, list[int]] = {}
    for position, answer in enumerate(answers):
        if answer is not None and answer.strip():
            candidates.setdefault(normalised(answer), []).append(position)
    classes: list[list[int]] = []
    for positions in candidates.values():
        answer = str(answers[positions[0]])
        for found in classes:
            pair = answer, str(answers[found[0]])
            if pair not in known:
                known[pair] = await _are_equal(*pair, grader)
            if known[pair]:
                found.extend(positions)
                break
        else:
            classes.append(positions)
    return tuple(
        tuple(sorted(found)) for found in sorted(classes, key=lambda found: (-len(found), min(found)))
    )


async def _are_equal(one: str, other: str, grader: Grader) -> bool:
    for answer, target in ((one, other), (other, one)):
        if (await grader.grade(answer, target)).outcome is Outcome.CORRECT:
            return True
    return False
