"""How the time of a run and its places are shared out to its problems."""

import math

import pytest

from mumath_agent.agent.clock import Clock, places
from mumath_agent.solutions import Attempts, Ending


@pytest.mark.parametrize(
    ("how", "problems", "concurrency", "expected"),
    [
        (Attempts(number=4), 1, 8, (1, 4)),
        (Attempts(number=16), 1, 8, (1, 8)),
        (Attempts(number=4), 2, 8, (2, 4)),
        (Attempts(number=4), 5, 8, (4, 2)),
        (Attempts(number=4), 100, 8, (8, 1)),  # one after the other, as early stop saves most
        (Attempts(number=4, early_stop=False), 100, 8, (2, 4)),
        (Attempts(number=4, early_stop=False, enough=0.9), 100, 8, (8, 1)),
        (Attempts(number=4, problem_wall_s=9.0), 100, 8, (2, 4)),
        (Attempts(number=4), 100, 1, (1, 1)),
        (Attempts(number=4), 0, 8, (1, 4)),
    ],
)
def test_places_are_for_many_problems_before_they_are_for_many_attempts_at_one(
    how: Attempts, problems: int, concurrency: int, expected: tuple[int, int]
) -> None:
    assert places(how, problems, concurrency) == expected


def test_what_is_left_of_the_time_is_shared_out_again() -> None:
    clock = Clock(Attempts(run_wall_s=1000), problems=9, at_once=2)
    assert clock.share() == (pytest.approx(200, rel=0.1), Ending.RUN_WALL)  # five rounds
    assert clock.share()[0] == pytest.approx(250, rel=0.1)
    clock.was_too_short(300)
    assert clock.share()[0] == pytest.approx(600, rel=0.1)
    clock.was_too_short(600)
    assert clock.share()[0] == pytest.approx(1000, rel=0.1)  # never more than there is
    both = Clock(Attempts(run_wall_s=1000, problem_wall_s=3), problems=2, at_once=1)
    assert both.share() == (3, Ending.PROBLEM_WALL)
    assert Clock(Attempts(), problems=2, at_once=1).share()[0] == math.inf
