"""Answers made to stall the grader: each is given up at its limit, and the next pair is graded; it waits for each."""

import pytest

from benchmarks.grading.hostile import ANSWERS
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome

pytestmark = [pytest.mark.anyio, pytest.mark.worker, pytest.mark.slow]


@pytest.mark.parametrize("target", ["5", "x+1"])
async def test_hostile_answers_are_given_up_and_the_next_is_graded(target: str) -> None:
    async with Grader(timeout_s=0.5) as grader:
        for answer in ANSWERS:
            assert (await grader.grade(answer, target)).outcome is not Outcome.CORRECT, answer
            assert (await grader.grade("x+1", "1+x")).outcome is Outcome.CORRECT, answer
