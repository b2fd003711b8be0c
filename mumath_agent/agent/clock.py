"""Share the time of a run, and its places, out to its problems."""

import math
import time

from mumath_agent.solutions import Attempts, Ending


class Clock:
    """The time of a run, shared out to its problems."""

    def __init__(self, how: Attempts, problems: int, at_once: int) -> None:
        """Begin now, with so many problems left, of which some are solved at once."""
        self._how, self._left, self._at_once = how, problems, at_once
        self._least = 0.0
        self._end = math.inf if how.run_wall_s is None else time.monotonic() + how.run_wall_s

    def share(self) -> tuple[float, Ending]:
        """Return the seconds that the next problem may take, and which budget ends them."""
        rounds = math.ceil(self._left / self._at_once)
        self._left -= 1
        left = max(0.0, self._end - time.monotonic())
        of_run = min(left, max(left / rounds, self._least))
        of_problem = math.inf if self._how.problem_wall_s is None else self._how.problem_wall_s
        return min((of_problem, Ending.PROBLEM_WALL), (of_run, Ending.RUN_WALL))

    def was_too_short(self, seconds: float) -> None:
        """Give the next problems more: it is better to answer some of them than to have no time for any."""
        self._least = max(self._least, 2 * seconds)


def places(how: Attempts, problems: int, concurrency: int) -> tuple[int, int]:
    """Return how many problems are solved at once, and how many attempts are made at each at a time.

    Early stop saves most where the attempts at a problem come one after the other, so that of many problems as many as
    possible are solved at once. One that has a wall of its own gets its attempts side by side.
    """
    side_by_side = min(how.number, concurrency)
    if (how.early_stop or how.enough is not None) and how.problem_wall_s is None:
        side_by_side = min(side_by_side, math.ceil(concurrency / max(1, problems)))
    return max(1, min(problems, concurrency // side_by_side)), side_by_side
