"""Are two answers equal?

    answer, target ─ notation (printed) ─▶ one spelling
                     lists, units, numbers ─▶ what it is made of; most is decided here, exactly
                     comparison ─▶ the policy: in which order what is asked
                     pool ─▶ worker process: math-verify, killed at its time limit
    answers ─ votes ─▶ which of them are the same

`Grader` is the door. Everything but the worker only looks at characters, so it may see any text; whatever has to be
read as mathematics is read in a worker process that can be killed. A wrong answer, no answer and a grader that
could not decide are three outcomes. Scores and reports belong to others.
"""

from mumath_agent.grading.pool import Grader
from mumath_agent.grading.votes import vote_classes

__all__ = ["Grader", "vote_classes"]
