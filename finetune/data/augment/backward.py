"""Make backward questions, exactly: mask one number of a question, give its answer, ask for the number.

A number is masked only where it is the one solution, read off the program as a quotient of polynomials in the unknown.
Where the unknown occurs once, the program is also turned round, which gives a rationale. `maskings` needs no program,
because questions that a teacher masks have none.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest

from finetune.data.augment.perspectives import Unusable
from finetune.wordproblems.problem import STEP_NAMES, Step, WordProblem, number_spans, numbers_in

# A number that stands for itself touches none of these: letters, fractions, clocks, exponents, ordinals, ages, code.
_BEFORE = re.compile(r"[\w/:^_{\\.-]\Z")
_AFTER = re.compile(r"[\w/:^}-]|\.\d|, *\d")
_LETTERS = "XYZ"
_INVERSE = {"+": "-", "-": "+", "*": "/", "/": "*"}

Polynomial = tuple[Fraction, ...]
"""Coefficients, the constant first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """A question with a letter in the place of one of its numbers."""

    question: str
    letter: str
    value: str
    """The number, in digits."""
    index: int
    """Its place among the question's numbers, from 0."""


def maskings(question: str) -> list[Masked]:
    """Return every way to mask a number that stands for itself."""
    letter = next((one for one in _LETTERS if not re.search(rf"\b{one}\b", question)), None)
    if letter is None or "[asy]" in question:
        return []
    return [
        Masked(question=question[:start] + letter + question[end:], letter=letter, value=value, index=index)
        for index, (start, end, value) in enumerate(number_spans(question))
        if not _BEFORE.search(question[:start]) and not _AFTER.match(question[end:])
    ]


def backward_question(masked: Masked, answer: str) -> str:
    """Return the FOBAR form: the masked question, its answer, and the question for the letter."""
    shown = f"${answer}$" if "\\" in answer else answer
    return f"{masked.question} The answer to this question is {shown}. Which number does {masked.letter} stand for?"


def backward_problems(problem: WordProblem, answer: str) -> Iterator[tuple[Masked, WordProblem | None]]:
    """Yield every masking with one solution, with the program that finds it if turning the steps round gives one."""
    for masked in maskings(problem.question):
        value = Fraction(masked.value)
        if only_value(problem, masked.index) == value:
            inverse = _inverse(problem, masked, answer)
            yield masked, inverse if inverse and inverse.answer == value else None


def only_value(problem: WordProblem, index: int) -> Fraction | None:
    """Return the only number in the place of number `index` for which the program gives its answer, or None."""
    try:
        above, below = _quotient(problem, index)
    except (Unusable, ZeroDivisionError):
        return None
    equation = _plus(above, _times((-problem.answer,), below))
    while equation and not equation[-1]:
        equation = equation[:-1]
    if len(equation) != 2:
        return None
    root = -equation[0] / equation[1]
    return root if sum(factor * root**power for power, factor in enumerate(below)) else None


def _quotient(problem: WordProblem, index: int) -> tuple[Polynomial, Polynomial]:
    """Return the program's last result as one polynomial in number `index` over another."""
    one: Polynomial = (Fraction(1),)
    known: dict[str, tuple[Polynomial, Polynomial]] = {
        f"n{i}": ((Fraction(number),), one) for i, number in enumerate(problem.numbers)
    }
    known[f"n{index}"] = ((Fraction(0), Fraction(1)), one)
    for name, step in zip(STEP_NAMES, problem.steps, strict=False):
        (a, b), (c, d) = (known.get(of) or ((Fraction(of),), one) for of in (step.left, step.right))
        if step.op in "+-":
            sign = (Fraction(1 if step.op == "+" else -1),)
            known[name] = _plus(_times(a, d), _times(sign, _times(c, b))), _times(b, d)
        elif step.op == "*":
            known[name] = _times(a, c), _times(b, d)
        elif step.op == "/":
            known[name] = _times(a, d), _times(b, c)
        else:
            raise Unusable("not a quotient of polynomials")
    return known[name]


def _plus(left: Polynomial, right: Polynomial) -> Polynomial:
    return tuple(a + b for a, b in zip_longest(left, right, fillvalue=Fraction(0)))


def _times(left: Polynomial, right: Polynomial) -> Polynomial:
    product = [Fraction(0)] * (len(left) + len(right) - 1)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            product[i + j] += a * b
    return tuple(product)


def _inverse(problem: WordProblem, masked: Masked, answer: str) -> WordProblem | None:
    """Return the backward question with the steps turned round; None where the unknown is used more than once."""
    path = _path(problem.steps, f"n{masked.index}")
    question = backward_question(masked, answer)
    numbers = (*problem.numbers[: masked.index], *problem.numbers[masked.index + 1 :], answer)
    if path is None or numbers_in(question) != numbers:
        return None
    names = {f"n{i}": f"n{i - (i > masked.index)}" for i in range(len(problem.numbers))}
    steps: list[Step] = []

    def add(op: str, left: str, right: str) -> str:
        steps.append(Step(op=op, left=left, right=right))
        return STEP_NAMES[len(steps) - 1]

    for name, step in zip(STEP_NAMES, problem.steps, strict=False):
        if name not in path:
            names[name] = add(step.op, names.get(step.left, step.left), names.get(step.right, step.right))
    result = f"n{len(problem.numbers) - 1}"
    for name in reversed(path):
        step, unknown = problem.steps[STEP_NAMES.index(name)], path[name]
        other = step.right if step.left == unknown else step.left
        other = names.get(other, other)
        if step.left == unknown or step.op in "+*":
            result = add(_INVERSE[step.op], result, other)
        else:
            result = add(step.op, other, result)
    return WordProblem(question=question, numbers=numbers, steps=tuple(steps), source=problem.source)


def _path(steps: Sequence[Step], unknown: str) -> dict[str, str] | None:
    """Return the steps from the unknown to the end, each with the operand it comes by; None if the way isn't unique."""
    path: dict[str, str] = {}
    while users := [
        name
        for name, step in zip(STEP_NAMES, steps, strict=False)
        for of in (step.left, step.right)
        if of == unknown
    ]:
        if len(users) > 1:
            return None
        path[users[0]] = unknown
        unknown = users[0]
    return path
