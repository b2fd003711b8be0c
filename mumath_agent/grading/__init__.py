"""Decide whether two answers are equal.

    answer, target ─ notation (characters, printed) ─▶ one spelling
                     lists, sides, units, numbers ─▶ what it is made of; most is decided here, exactly
                     comparison ─▶ the policy: the order of the questions
                     pool ─▶ worker process: reader and equality, else math-verify; killed at its time limit
    answers ─ votes ─▶ which of them are the same
    answer, target ─ `Grader.second_opinion` ─▶ what math-verify says by itself

`Grader` is the entry point. Everything but the worker only looks at characters, so any text is safe; what has to be
read as mathematics is read in a worker process that can be killed. A wrong answer, no answer and a grader that couldn't
decide are three different outcomes.
"""

from mumath_agent.grading.pool import Grader
from mumath_agent.grading.votes import vote_classes

__all__ = ["Grader", "vote_classes"]
