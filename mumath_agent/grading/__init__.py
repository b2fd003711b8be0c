"""Are two answers equal?

    answer, target ─ notation ─▶ one spelling ─ numbers ─▶ plain numbers are decided here, exactly
                                              └ pool ───▶ worker process: math-verify, killed at its time limit

`Grader` is the door. `notation` and `numbers` only look at characters, so they may see any text; whatever has to be
read as mathematics is read in a worker process that can be killed. A wrong answer, no answer and a grader that
could not decide are three outcomes. Votes, scores and reports belong to others.
"""

from mumath_agent.grading.pool import Grader

__all__ = ["Grader"]
