"""Read the arithmetic of a rationale as a program over the numbers of its question, and write it back.

`wordproblems.gsm8k` converts; the checks here decide when a program may be trusted for other numbers than its own. All
values are fractions; a program whose values have no finite decimals is left out.
"""

from decimal import Decimal
from fractions import Fraction

from finetune.data.augment.perspectives import Unusable
from finetune.data.records import Question
from finetune.wordproblems.general import why_not_general, why_unclear
from finetune.wordproblems.gsm8k import Converted, Gsm8kRow, convert
from finetune.wordproblems.problem import STEP_NAMES, WordProblem, exact_results

_MARKED = "+-*/"
"""Operations that GSM8K's calculator marks know."""
_MOST_PLACES = 6


def read_program(question: Question) -> Converted:
    """Return the question's numbers and the steps that give its target, exactly.

    Raises:
        Unusable: the rationale has no calculator marks that do.
    """
    rationale, target = question.rationale or "", question.problem.target
    if "<<" not in rationale or target is None:
        raise Unusable("no program")
    reading = convert(Gsm8kRow(question=question.problem.question, answer=rationale), 0, rounded=True)
    if reading is None:
        raise Unusable("no program")
    if decimal(reading.problem.answer) != target:
        raise Unusable("rounded answer")
    return reading


def require_clear(reading: Converted) -> None:
    """Require a program whose reading is the only one; see `wordproblems.general`.

    Raises:
        Unusable: it isn't certain.
    """
    if not reading.varies:
        raise Unusable("ambiguous number")
    if reason := why_unclear(reading.problem):
        raise Unusable(reason)


def require_general(reading: Converted) -> None:
    """Require a program that also holds for other numbers in the place of the question's: clear, and using them all.

    Raises:
        Unusable: it isn't certain.
    """
    require_clear(reading)
    if reason := why_not_general(reading.problem):
        raise Unusable(reason)


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
