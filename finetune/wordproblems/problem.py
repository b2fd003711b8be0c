"""Hold word problems as exact little programs, and write the solutions that a model is trained on.

A question's numbers are found in its text, steps compute over them, exactly and as CPython does. A solution is a
chain of thought, a program with its output, or a wrong program, a remark and the corrected program.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import Any

_UNITS = """
    two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"

# "one" is left out on purpose: in English it is an article or a pronoun far more often than a quantity.
WORD_VALUES: Mapping[str, int] = {
    **{word: value for value, word in enumerate(_UNITS.split(), start=2)},
    **{word: 10 * value for value, word in enumerate(_TENS.split(), start=2)},
}
NUMBER_WORDS: Mapping[int, str] = {value: word for word, value in WORD_VALUES.items()}

_NUMBER = re.compile(
    r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?|(?<!\d)\.\d+|\b(?:" + "|".join(WORD_VALUES) + r")\b",
    re.IGNORECASE,
)

OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
_PLAN_WORDS = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "//": "divide and round down",
    "%": "take the remainder",
}
STEP_NAMES = "abcdefghijklm"

UNTOLD = "result"
"""The name of a step that is a result of its own, but nothing says of what."""
ERROR_REMARK = "The code above has encountered a problem. Now point out its mistakes and then correct them."
NEGATIVE_REMARK = "The result is negative, so the operands must be swapped."


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A binary operation; operands are numbers `n0` …, earlier results `a` … or literal constants."""

    op: str
    left: str
    right: str
    name: str = field(default="", compare=False)
    """What the result is in the story; "" for a part of a longer expression."""
    note: str = field(default="", compare=False)
    """What the step finds, in words."""

    @property
    def expression(self) -> str:
        """Return the operation as Python writes it."""
        return f"{self.left} {self.op} {self.right}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WordProblem:
    """A question, its numbers in order of appearance, and the steps that answer it."""

    question: str
    numbers: tuple[str, ...]
    steps: tuple[Step, ...]
    source: str

    @property
    def answer(self) -> Fraction:
        """Return the exact result of the last step."""
        return exact_results(self.numbers, self.steps)[-1]

    @property
    def needs_rounding(self) -> bool:
        """True if the program prints through `round(x, 2)`: after a division or with decimals."""
        written = (*self.numbers, *(s.left for s in self.steps), *(s.right for s in self.steps))
        return any(s.op == "/" for s in self.steps) or any("." in text for text in written)


def number_spans(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and digit form of every number in `text`; number words count, "one" doesn't."""
    for match in _NUMBER.finditer(text):
        written = match.group()
        value = WORD_VALUES.get(written.lower())
        yield match.start(), match.end(), _literal(written) if value is None else str(value)


def _literal(written: str) -> str:
    """Return the form that Python accepts: no commas, no leading zeros, a digit before the point."""
    stripped = written.replace(",", "").lstrip("0")
    return stripped if stripped and stripped[0] != "." else f"0{stripped}"


def numbers_in(text: str) -> tuple[str, ...]:
    """Return the numbers of `text` in order of appearance, in digits and without thousands separators."""
    return tuple(digits for _, _, digits in number_spans(text))


def _evaluate(numbers: Sequence[str], steps: Sequence[Step], number: Callable[[str], Any]) -> list[Any]:
    names: dict[str, Any] = {f"n{i}": number(text) for i, text in enumerate(numbers)}
    results = []
    for name, step in zip(STEP_NAMES, steps, strict=False):
        left = names[step.left] if step.left in names else number(step.left)
        right = names[step.right] if step.right in names else number(step.right)
        names[name] = OPERATORS[step.op](left, right)
        results.append(names[name])
    return results


def exact_results(numbers: Sequence[str], steps: Sequence[Step]) -> list[Fraction]:
    """Return the exact result of every step."""
    return [Fraction(value) for value in _evaluate(numbers, steps, Fraction)]


def python_number(text: str) -> int | float:
    """Return the value that CPython gives a numeric literal."""
    return float(text) if "." in text else int(text)


def python_results(numbers: Sequence[str], steps: Sequence[Step]) -> list[int | float]:
    """Return the result of every step in CPython's arithmetic (ints and floats)."""
    return _evaluate(numbers, steps, python_number)


def clean(output: str) -> str:
    """Return a printed number as it goes into the box: no trailing zeros after the point."""
    return output.rstrip("0").rstrip(".") if "." in output else output


def plan_sentence(steps: Sequence[Step]) -> str:
    """Return the plan in operator words: "First multiply, then subtract" and a full stop."""
    words = [_PLAN_WORDS[step.op] for step in steps]
    if len(words) == 1:
        return words[0].capitalize() + "."
    return f"First {', then '.join(words)}."


def tail(boxed: str) -> str:
    """Return the closing sentence with the boxed answer."""
    return f"The answer is $\\boxed{{{boxed}}}$."


def code_lines(problem: WordProblem, steps: Sequence[Step]) -> list[str]:
    """Return the program's lines: numbers in order, then the steps, then the print of the last result."""
    lines = [f"n{i} = {text}" for i, text in enumerate(problem.numbers)]
    lines += [f"{name} = {step.expression}" for name, step in zip(STEP_NAMES, steps, strict=False)]
    last = STEP_NAMES[len(steps) - 1]
    lines.append(f"print(round({last}, 2))" if problem.needs_rounding else f"print({last})")
    return lines


def printed(problem: WordProblem, steps: Sequence[Step]) -> str:
    """Return what CPython prints for the program of `steps`."""
    value = python_results(problem.numbers, steps)[-1]
    return str(round(value, 2) if problem.needs_rounding else value)


def _block(code: Sequence[str], output: str) -> str:
    body = "\n".join(code)
    return f"```python\n{body}\n```\n```output\n{output}\n```\n"


def code_solution(problem: WordProblem) -> str:
    """Write a solution of stage 2: the plan, a program, its executed output and the boxed answer."""
    output = printed(problem, problem.steps)
    block = _block(code_lines(problem, problem.steps), output)
    return f"{plan_sentence(problem.steps)}\n{block}{tail(clean(output))}"


def _decimal(value: Fraction, places: int) -> str:
    return str(value.numerator) if value.denominator == 1 else clean(f"{float(value):.{places}f}")


def thought_solution(problem: WordProblem) -> str:
    """Write a solution of stage 1: the plan, one worked line per step and the boxed answer."""
    results = exact_results(problem.numbers, problem.steps)
    boxed = clean(printed(problem, problem.steps))
    shown = {f"n{i}": text for i, text in enumerate(problem.numbers)}
    lines = []
    for index, (step, result) in enumerate(zip(problem.steps, results, strict=True)):
        value = boxed if index == len(results) - 1 else _decimal(result, 4)
        left, right = shown.get(step.left, step.left), shown.get(step.right, step.right)
        lines.append(f"{left} {step.op} {right} = {value}")
        shown[STEP_NAMES[index]] = value
    return "\n".join([plan_sentence(problem.steps), *lines, tail(boxed)])


def two_round_solution(problem: WordProblem, rng: Random) -> str:
    """Write a solution of stage 2 whose first program is wrong: the program, a remark and the corrected program."""
    swapped = _swapped_last(problem)
    if swapped is not None and rng.random() < 0.6:
        code, output, remark = code_lines(problem, swapped), printed(problem, swapped), NEGATIVE_REMARK
    else:
        code, output = _name_error(problem, rng)
        remark = ERROR_REMARK
    first = _block(code, output)
    fixed = code_solution(problem).split("\n", 1)[1]
    return f"{plan_sentence(problem.steps)}\n{first}{remark}\n{fixed}"


def _swapped_last(problem: WordProblem) -> tuple[Step, ...] | None:
    last = problem.steps[-1]
    if last.op != "-" or problem.answer <= 0:
        return None
    return (*problem.steps[:-1], Step(op="-", left=last.right, right=last.left))


def _name_error(problem: WordProblem, rng: Random) -> tuple[list[str], str]:
    """Return a program that lacks one definition, and the report of the line that fails for it."""
    code = code_lines(problem, problem.steps)
    defined = len(problem.numbers)
    gone = rng.randrange(len(problem.steps))
    del code[defined + gone]
    name = STEP_NAMES[gone]
    used = re.compile(rf"\b{name}\b")
    failing = next(i for i, line in enumerate(code) if used.search(line.split("=", 1)[-1]))
    return code, f"line {failing + 1}: {code[failing]}\nNameError: name '{name}' is not defined"
