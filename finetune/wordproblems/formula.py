"""Compile the formulas of schemas to steps, and compute them exactly."""

import ast
from collections.abc import Collection, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cache

from finetune.wordproblems.numbers import Value, operate
from finetune.wordproblems.problem import Step

_OPS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%"}

Formula = tuple[Step, ...]
"""Steps over the names of a schema's numbers; `#0`, `#1`, … are the results of earlier steps."""


def formula(text: str, names: Collection[str]) -> Formula:
    """Compile an infix expression over `names` to steps in evaluation order.

    Several expressions are divided by semicolons; a name that is given to one can be used in those after it, and is
    what a program calls its result: "cost = price * pens; change = paid - cost".

    Raises:
        ValueError: `text` isn't an expression of two operands or more, or uses an unknown name or operator.
    """
    steps: list[Step] = []
    found: dict[str, str] = {}

    def operand(node: ast.expr) -> str:
        match node:
            case ast.BinOp() if type(node.op) in _OPS:
                left, right = operand(node.left), operand(node.right)
                steps.append(Step(op=_OPS[type(node.op)], left=left, right=right))
                return f"#{len(steps) - 1}"
            case ast.Name() if node.id in found:
                return found[node.id]
            case ast.Name() if node.id in names:
                return node.id
            case ast.Name():
                raise ValueError(f"{text!r} uses {node.id!r}; the numbers are {', '.join(names)}")
            case ast.Constant(value=int() | float()):
                return ast.unparse(node)
        raise ValueError(f"{text!r} has {ast.unparse(node)!r}; only numbers and + - * / // % can be used")

    for part in text.split(";"):
        name, given, expression = part.rpartition("=")
        try:
            result = operand(ast.parse(expression.strip(), mode="eval").body)
        except SyntaxError:
            raise ValueError(f"{text!r} isn't a formula") from None
        if given and steps:
            found[name.strip()] = result
            steps[-1] = replace(steps[-1], name=name.strip())
    if not steps:
        raise ValueError(f"{text!r} computes nothing")
    return tuple(steps)


def results(steps: Formula, values: Mapping[str, Value]) -> list[Value]:
    """Return the exact result of every step over named values."""
    known = dict(values)
    out: list[Value] = []
    for index, step in enumerate(steps):
        left = known[step.left] if step.left in known else _constant(step.left)
        right = known[step.right] if step.right in known else _constant(step.right)
        known[f"#{index}"] = operate(step.op, left, right)
        out.append(known[f"#{index}"])
    return out


@cache
def _constant(text: str) -> Value:
    value = Fraction(text)
    return value.numerator if value.denominator == 1 else value
