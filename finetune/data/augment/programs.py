"""Read the arithmetic of a rationale as a program over the numbers of its question, and write it back.

`wordproblems.gsm8k` converts; the checks here decide when a program may be trusted for other numbers than its own. All
values are fractions; a program whose values have no finite decimals is left out.
"""

import re
from decimal import Decimal
from fractions import Fraction

from finetune.data.augment.perspectives import Unusable
from finetune.data.records import Question
from finetune.wordproblems.gsm8k import Converted, Gsm8kRow, convert
from finetune.wordproblems.problem import STEP_NAMES, WordProblem, exact_results

_MARKED = "+-*/"
"""Operations that GSM8K's calculator marks know."""
_MOST_PLACES = 6
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


def read_program(question: Question) -> Converted:
    """Return the question's numbers and the steps that give its target, exactly.

    Raises:
        Unusable: the rationale has no calculator marks that do.
    """
    rationale, target = question.rationale or "", question.problem.target
    if "<<" not in rationale or target is None:
        raise Unusable("no program")
    reading = convert(Gsm8kRow(question=question.problem.question, answer=rationale), 0)
    if reading is None:
        raise Unusable("no program")
    if decimal(reading.problem.answer) != target:
        raise Unusable("rounded answer")
    return reading


def require_clear(reading: Converted) -> None:
    """Require a program whose reading is the only one.

    No number could be taken for another one or for a result, every constant is the meaning of a word (a dozen, half,
    per cent), and nothing in the text makes the way of solving depend on the numbers.

    Raises:
        Unusable: it isn't certain.
    """
    if not reading.varies:
        raise Unusable("ambiguous number")
    words = set(_WORD.findall(reading.problem.question))
    if any(_is_named(number, words) for number in reading.problem.numbers):
        raise Unusable("number like a constant")  # "2 more than twice as many"
    constants = [operand for operand in _operands(reading.problem) if operand[0].isdigit()]
    if not all(_is_named(constant, words) for constant in constants):
        raise Unusable("unexplained constant")
    if _DELICATE.search(reading.problem.question):
        raise Unusable("clock, year, threshold or average")


def require_general(reading: Converted) -> None:
    """Require a program that also holds for other numbers in the place of the question's: clear, and using them all.

    Raises:
        Unusable: it isn't certain.
    """
    require_clear(reading)
    operands = _operands(reading.problem)
    if not all(f"n{index}" in operands for index in range(len(reading.problem.numbers))):
        raise Unusable("unused number")


def _is_named(number: str, words: set[str]) -> bool:
    return not words.isdisjoint(_CONSTANT_WORDS.get(number, "").split())


def _operands(problem: WordProblem) -> set[str]:
    return {operand for step in problem.steps for operand in (step.left, step.right)}


def is_sane(problem: WordProblem, model: WordProblem) -> bool:
    """Return whether all results are positive, and whole where those of `model` are."""
    try:
        reached = exact_results(problem.numbers, problem.steps)
    except ZeroDivisionError:
        return False
    before = exact_results(model.numbers, model.steps)
    still_whole = (
        was.denominator != 1 or now.denominator == 1 for was, now in zip(before, reached, strict=True)
    )
    return min(reached) > 0 and all(still_whole)


def decimal(value: Fraction) -> str:
    """Return a value in decimals, exactly and without trailing zeros.

    Raises:
        Unusable: it has too many decimals.
    """
    if 10**_MOST_PLACES % value.denominator:
        raise Unusable("no finite decimal")
    return f"{Decimal(value.numerator) / Decimal(value.denominator):f}"


def marked(problem: WordProblem) -> str:
    """Return the steps as GSM8K writes them, one a line, marks and all: the form that `read_program` reads.

    Raises:
        Unusable: a value has no finite decimal.
    """
    shown = {f"n{index}": number for index, number in enumerate(problem.numbers)}
    lines = []
    for name, step, value in zip(
        STEP_NAMES, problem.steps, exact_results(problem.numbers, problem.steps), strict=False
    ):
        left, right = shown.get(step.left, step.left), shown.get(step.right, step.right)
        shown[name] = result = decimal(value)
        mark = f"<<{left}{step.op}{right}={result}>>" if step.op in _MARKED else ""
        lines.append(f"{left} {step.op} {right} = {mark}{result}")
    return "\n".join([*lines, f"#### {result}"])
