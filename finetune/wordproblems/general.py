"""Say whether a program that was read from a worked answer holds for other numbers than its own.

It does where nothing in it could be read in two ways: no number could be taken for another one or for a result, every
constant is the meaning of a word (a dozen, half, per cent), and nothing in the text makes the way of solving depend on
the numbers.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from finetune.wordproblems.problem import WordProblem

_COMMON = "1 2 3 4 5 6 7 8 10 12 24 30 31 36 48 50 52 60 100 365 1000 3600 .5 .25 .75 .1"
COMMON = frozenset(map(Fraction, _COMMON.split()))
"""Constants that a solution may bring along: halves, dozens, hours, per cent, …"""
_CONSTANT_WORDS = {
    "2": "twice double doubles doubled half halves halved couple pair pairs both weekend weekends",
    "3": "triple triples tripled thrice third thirds",
    "4": "quadruple quarter quarters fourth month months",
    "5": "fifth fifths nickel nickels Friday weekday weekdays",
    "6": "sixth sixths",
    "7": "week weeks weekly",
    "8": "eighth eighths",
    "10": "tenth tenths dime dimes",
    "12": "dozen dozens year years yearly month months monthly foot feet inch inches",
    "24": "day days hour hours",
    "30": "month monthly April June September November",
    "31": "January March May July August October December",
    "52": "year years yearly",
    "60": "minute minutes hour hours second seconds",
    "100": "% percent cent cents meter meters centimeters",
    "365": "year years",
    "1000": "kilometer kilometers meter meters kilogram kilograms gram grams liter liters milliliters",
    "0.5": "half",
    "0.25": "quarter",
    "0.75": "quarters",
}
_WORD = re.compile(r"[A-Za-z]+|%")
# A clock, a year, a threshold or an average, which hides a count: other numbers may need another program.
_DELICATE = re.compile(
    r"\d\s*(?:[ap]\.?m\b|o'clock)|\d:\d|\b(?:19|20)\d\d\b|\bround|\bnearest|\bat (?:most|least)\b|\b(?:maxi|mini)mum\b"
    r"|\bup to\b|\blimit|\bthe first \w|\bexceed|\baverage|\bmean\b",
    re.IGNORECASE,
)
_TIED_BEFORE = re.compile(r"(?:-|\ban? \$?)\Z", re.IGNORECASE)


def why_unclear(problem: WordProblem) -> str | None:
    """Return why the program's reading isn't the only one; None where it is."""
    words = set(_WORD.findall(problem.question))
    if any(_is_named(number, words) for number in problem.numbers):
        return "number like a constant"  # "2 more than twice as many"
    constants = [operand for operand in operands(problem) if operand[0].isdigit()]
    if not all(_is_named(constant, words) for constant in constants):
        return "unexplained constant"
    if _DELICATE.search(problem.question):
        return "clock, year, threshold or average"
    return None


def why_not_general(problem: WordProblem) -> str | None:
    """Return why the program may not hold for other numbers; None where it does: clear, and using them all."""
    if reason := why_unclear(problem):
        return reason
    used = operands(problem)
    if not all(f"n{index}" in used for index in range(len(problem.numbers))):
        return "unused number"
    return None


def from_nowhere(problem: WordProblem) -> bool:
    """Return whether the program uses a number that is neither said nor a common one.

    Where it leaves out a number of the question, a common one must be the meaning of a word, too: it may be the result
    of a step that was done in the head.
    """
    used, words = operands(problem), set(_WORD.findall(problem.question))
    constants = [operand for operand in used if operand[0].isdigit()]
    if any(Fraction(constant) not in COMMON for constant in constants):
        return True
    uses_all = all(f"n{index}" in used for index in range(len(problem.numbers)))
    return not uses_all and not all(_is_named(constant, words) for constant in constants)


def worded(question: str) -> set[Fraction]:
    """Return the constants that words of the question mean: 2 of "half", 12 of "a dozen"."""
    words = set(_WORD.findall(question))
    return {Fraction(constant) for constant in _CONSTANT_WORDS if _is_named(constant, words)}


def tied(gaps: Sequence[str]) -> list[bool]:
    """Return for each number, given the text between them, whether a hyphen or an article ties it to the next word."""
    return [bool(_TIED_BEFORE.search(before)) or after.startswith("-") for before, after in pairwise(gaps)]


def operands(problem: WordProblem) -> set[str]:
    """Return all operands of the steps."""
    return {operand for step in problem.steps for operand in (step.left, step.right)}


def _is_named(number: str, words: set[str]) -> bool:
    return not words.isdisjoint(_CONSTANT_WORDS.get(number, "").split())
