"""Replace expressions by program: "5 more than" becomes "5 fewer than", and a sum a difference.

`opposite_relations` writes the question, too; `other_operations` leaves that to a teacher. Both sides of a relation
change by the number's sign and by nothing else, so the new program is the old one with that number negated. It is
rewritten with the opposite operation where the number is only added or subtracted, and left out elsewhere.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from finetune.data.augment.perspectives import Unusable
from finetune.data.augment.programs import is_sane
from finetune.wordproblems.gsm8k import Converted
from finetune.wordproblems.problem import STEP_NAMES, Step, WordProblem

_OTHER_OPERATION = {"+": "-", "-": "+", "*": "/", "/": "*"}
_OPPOSITES = {
    "more": "fewer",
    "fewer": "more",
    "less": "more",
    "older": "younger",
    "younger": "older",
    "taller": "shorter",
    "heavier": "lighter",
    "lighter": "heavier",
    "faster": "slower",
    "slower": "faster",
}
# "5 more apples than", "$5 more than", "5 years older than": within one sentence, right behind the number.
_RELATION = re.compile(
    rf"(?P<unit>(?: (?!times|percent)[a-z]+)?) (?P<word>{'|'.join(_OPPOSITES)})\b(?P<rest>[^.,;:?!]{{0,40}}?) than\b"
)


def opposite_relations(reading: Converted) -> Iterator[WordProblem]:
    """Yield the problem with one of its relations turned into the opposite, for each that can be."""
    for index in range(len(reading.written)):
        if relation := _RELATION.match(reading.gaps[index + 1]):
            try:
                steps = tuple(_negated(step, f"n{index}") for step in reading.problem.steps)
            except Unusable:
                continue
            yield replace(reading.problem, question=_retold(reading, index, relation), steps=steps)


def other_operations(problem: WordProblem) -> Iterator[WordProblem]:
    """Yield the problem with the operation of one step turned into its opposite, where all results stay sane."""
    for index, step in enumerate(problem.steps):
        changed = replace(step, op=_OTHER_OPERATION[step.op])
        steps = (*problem.steps[:index], changed, *problem.steps[index + 1 :])
        other = replace(problem, steps=steps)
        if (
            is_sane(other, problem)
            and 10**2 % other.answer.denominator == 0
            and other.answer != problem.answer
        ):
            yield other


def used_numbers(problem: WordProblem) -> list[str]:
    """Return the numbers of the question that the steps use."""
    operands = {operand for step in problem.steps for operand in (step.left, step.right)}
    return [number for index, number in enumerate(problem.numbers) if f"n{index}" in operands]


def written_out(problem: WordProblem) -> Iterator[str]:
    """Yield the steps as expressions over numbers, earlier steps in parentheses: "48 / 2", "48 + (48 / 2)"."""
    shown = {f"n{index}": number for index, number in enumerate(problem.numbers)}
    for name, step in zip(STEP_NAMES, problem.steps, strict=False):
        left, right = (shown.get(of, of) for of in (step.left, step.right))
        yield f"{left} {step.op} {right}"
        shown[name] = f"({left} {step.op} {right})"


def _negated(step: Step, number: str) -> Step:
    """Return the step with `number` negated.

    Raises:
        Unusable: it takes more than one operation.
    """
    if number not in (step.left, step.right):
        return step
    if step.left == step.right or step.op not in "+-" or (step.op == "-" and step.left == number):
        raise Unusable("not only added or subtracted")
    if step.left == number:
        return Step(op="-", left=step.right, right=number)
    return Step(op="-" if step.op == "+" else "+", left=step.left, right=number)


def _retold(reading: Converted, index: int, relation: re.Match[str]) -> str:
    word = _OPPOSITES[relation["word"]]
    counted = relation["rest"].strip() and not relation["unit"] and not reading.gaps[index].endswith("$")
    if word == "fewer" and not counted:
        word = "less"
    start, end = relation.span("word")
    gaps = list(reading.gaps)
    gaps[index + 1] = gaps[index + 1][:start] + word + gaps[index + 1][end:]
    return gaps[0] + "".join(number + gap for number, gap in zip(reading.written, gaps[1:], strict=True))
