"""Write a solved problem as training reads it: a program with named quantities, or the same steps in words.

    WordProblem ── named quantities ──▶ Exercise ── executed ──▶ stage 2
                                            └───── worked ─────▶ stage 1

Only the numbers that the answer takes are named in the program. Steps without a name are parts of the next one's
expression. What a program prints is found by running it (`data.executed`), never assumed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

from finetune.wordproblems.general import operands
from finetune.wordproblems.naming import distinct, number_names
from finetune.wordproblems.problem import (
    STEP_NAMES,
    UNTOLD,
    WordProblem,
    clean,
    exact_results,
    number_spans,
    plan_sentence,
    tail,
)

_RESULTS = {"+": "total", "-": "left", "*": "total", "/": "each", "//": "whole", "%": "remainder"}
_RANK = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2}
_ATOM = 3


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
    """Return the variable of every number that is used and of every step that has one."""
    spans = list(number_spans(problem.question))
    edges = [0, *(edge for start, end, _ in spans for edge in (start, end)), len(problem.question)]
    gaps = [problem.question[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    told = number_names(gaps)
    told += [""] * (len(problem.numbers) - len(told))
    given = [*problem.names, *[""] * len(problem.numbers)]
    used = operands(problem)
    keys = [f"n{i}" for i in range(len(problem.numbers)) if f"n{i}" in used]
    names = [_spoken(given[int(key[1:])]) or told[int(key[1:])] for key in keys]
    fallback = ["number"] * len(keys)
    last = len(problem.steps) - 1
    for index, step in enumerate(problem.steps):
        if step.name or index == last:
            keys.append(STEP_NAMES[index])
            names.append("" if step.name == UNTOLD else step.name)
            fallback.append(_RESULTS[step.op])
    return dict(zip(keys, distinct(names, fallback), strict=True))


def _spoken(name: str) -> str:
    """Return a schema's name of a number if it says something: "price", not "x"."""
    return name if len(name) > 2 and name.isidentifier() and name != "idle" else ""


def _program(problem: WordProblem, names: Mapping[str, str]) -> list[str]:
    numbers = {f"n{i}": text for i, text in enumerate(problem.numbers)}
    lines = [f"{names[key]} = {text}" for key, text in numbers.items() if key in names]
    shown: dict[str, tuple[str, int]] = {key: (name, _ATOM) for key, name in names.items()}
    for key, step in zip(STEP_NAMES, problem.steps, strict=False):
        written = _expression(
            step.op, shown.get(step.left, (step.left, _ATOM)), shown.get(step.right, (step.right, _ATOM))
        )
        if key in names:
            if step.note:
                lines.append(f"# {step.note}")
            lines.append(f"{names[key]} = {written[0]}")
        else:
            shown[key] = written
    last = names[STEP_NAMES[len(problem.steps) - 1]]
    literals = [numbers.get(operand, operand) for operand in operands(problem)]
    rounds = any(step.op == "/" for step in problem.steps) or any("." in text for text in literals)
    return [*lines, f"print(round({last}, 2))" if rounds else f"print({last})"]


def _expression(op: str, left: tuple[str, int], right: tuple[str, int]) -> tuple[str, int]:
    """Return an operation with the parentheses that it needs, and how tightly it binds."""
    rank = _RANK[op]
    first = left[0] if left[1] >= rank else f"({left[0]})"
    loose = right[1] < rank or (right[1] == rank and op != "+")
    second = f"({right[0]})" if loose else right[0]
    return f"{first} {op} {second}", rank


def _worked(problem: WordProblem, names: Mapping[str, str]) -> list[str]:
    shown = {f"n{i}": (text, _ATOM) for i, text in enumerate(problem.numbers)}
    lines = []
    results = exact_results(problem.numbers, problem.steps)
    for key, step, value in zip(STEP_NAMES, problem.steps, results, strict=False):
        written = _expression(
            step.op, shown.get(step.left, (step.left, _ATOM)), shown.get(step.right, (step.right, _ATOM))
        )
        if key in names:
            label = step.note or names[key].rstrip("_0123456789").replace("_", " ")
            lines.append(f"{label[:1].upper()}{label[1:]}: {written[0]} = {_decimal(value)}")
            shown[key] = (_decimal(value), _ATOM)
        else:
            shown[key] = written
    return lines
