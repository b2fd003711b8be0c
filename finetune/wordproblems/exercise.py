"""Write a solved problem as training reads it: a program with named results, or the same steps in words.

    WordProblem ── named results ──▶ Exercise ── executed ──▶ stage 2
                                         └───── worked ─────▶ stage 1

A program has the question's numbers where they are needed: a small model that first named each of them, "points" and
"points_2", took one for the other. Every step has a line of its own: a model that wrote several in one expression
ended it early. What a program prints is found by running it (`data.executed`), never assumed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

from finetune.wordproblems.general import operands
from finetune.wordproblems.naming import distinct
from finetune.wordproblems.problem import (
    STEP_NAMES,
    UNTOLD,
    Step,
    WordProblem,
    clean,
    exact_results,
    plan_sentence,
    tail,
)

_RESULTS = {"+": "total", "-": "left", "*": "total", "/": "each", "//": "whole", "%": "remainder"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """A question with its solution, in both formats."""

    question: str
    source: str
    plan: str
    program: tuple[str, ...]
    """Lines of Python."""
    worked: tuple[str, ...]
    """Lines of words and formulas."""
    answer: str
    """What goes into the box; what the program prints must be equal to it."""

    @property
    def code(self) -> str:
        """The program's text."""
        return "\n".join(self.program)


def box_of(output: str) -> str:
    """Return what is boxed of a printed answer: without zeros behind the point."""
    return clean(output) if "." in output else output


def code_text(exercise: Exercise, output: str) -> str:
    """Return the solution of stage 2: the plan, the program, its output and the box."""
    block = f"```python\n{exercise.code}\n```\n```output\n{output}\n```\n"
    return f"{exercise.plan}\n{block}{tail(exercise.answer)}"


def thought_text(exercise: Exercise) -> str:
    """Return the solution of stage 1: the plan, worked lines and the box."""
    return "\n".join(filter(None, [exercise.plan, *exercise.worked, tail(exercise.answer)]))


def exercise(problem: WordProblem) -> Exercise:
    """Return a word problem as an exercise.

    Raises:
        ValueError: its answer has no decimals that a program could print.
    """
    shown = _exact(problem.answer)
    names = _names(problem)
    return Exercise(
        question=problem.question,
        source=problem.source,
        plan=plan_sentence([next(alike) for _, alike in groupby(problem.steps, key=lambda step: step.op)]),
        program=tuple(_program(problem, names)),
        worked=tuple(_worked(problem, names)),
        answer=shown,
    )


def _exact(value: Fraction) -> str:
    if 100 % value.denominator:
        raise ValueError("more than two decimals")
    return _decimal(value)


def _decimal(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else clean(f"{float(value):.4f}")


def _names(problem: WordProblem) -> dict[str, str]:
    """Return the variable of every step."""
    named = dict(zip(STEP_NAMES, problem.steps, strict=False))
    names = ["" if step.name == UNTOLD else step.name for step in named.values()]
    fallback = [_RESULTS[step.op] for step in named.values()]
    return dict(zip(named, distinct(names, fallback), strict=True))


def _program(problem: WordProblem, names: Mapping[str, str]) -> list[str]:
    shown = {f"n{i}": text for i, text in enumerate(problem.numbers)} | dict(names)
    lines: list[str] = []
    for key, step in zip(STEP_NAMES, problem.steps, strict=False):
        if step.note:
            lines.append(f"# {step.note}")
        lines.append(f"{names[key]} = {_expression(step, shown)}")
    result = names[STEP_NAMES[len(problem.steps) - 1]]
    if len(names) == 1:  # a single result needs no name
        del lines[-1]
        result = _expression(problem.steps[0], shown)
    numbers = {f"n{i}": text for i, text in enumerate(problem.numbers)}
    literals = [numbers.get(operand, operand) for operand in operands(problem)]
    rounds = any(step.op == "/" for step in problem.steps) or any("." in text for text in literals)
    return [*lines, f"print(round({result}, 2))" if rounds else f"print({result})"]


def _expression(step: Step, shown: Mapping[str, str]) -> str:
    return f"{shown.get(step.left, step.left)} {step.op} {shown.get(step.right, step.right)}"


def _worked(problem: WordProblem, names: Mapping[str, str]) -> list[str]:
    shown = {f"n{i}": text for i, text in enumerate(problem.numbers)}
    lines = []
    results = exact_results(problem.numbers, problem.steps)
    for key, step, value in zip(STEP_NAMES, problem.steps, results, strict=False):
        label = step.note or names[key].rstrip("_0123456789").replace("_", " ")
        lines.append(f"{label[:1].upper()}{label[1:]}: {_expression(step, shown)} = {_decimal(value)}")
        shown[key] = _decimal(value)
    return lines
