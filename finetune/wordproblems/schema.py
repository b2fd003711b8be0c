"""A schema: a family of word problems that share their numbers, words, bodies and possible questions.

Owns: declaring schemas, drawing sane numbers, and the steps over the numbers of the finished question.
Does not own: the template language (``grammar``), joining sentences (``story``), the sentences themselves.
"""

from __future__ import annotations

import ast
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from random import Random

from finetune.wordproblems.numbers import Draw, Value, draw_of, operate, size_of
from finetune.wordproblems.people import cast
from finetune.wordproblems.problem import STEP_NAMES, Step, WordProblem
from finetune.wordproblems.story import Question, Sentence, compile_body, compile_question, tell

HELD_OUT_PERCENT = 8
_PEOPLE = re.compile(r"\{@?([A-D])(?:'s)?\}|\{\w+:([A-D])\}")
_TRIES = 2000
_OPS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%"}

Formula = tuple[Step, ...]  # steps over the names of a schema's numbers instead of n0, n1 …


def formula(text: str) -> Formula:
    """Compile an infix expression over number names to steps in evaluation order."""
    steps: list[Step] = []

    def operand(node: ast.expr) -> str:
        if isinstance(node, ast.BinOp):
            left, right = operand(node.left), operand(node.right)
            steps.append(Step(op=_OPS[type(node.op)], left=left, right=right))
            return f"#{len(steps) - 1}"
        return ast.unparse(node)

    operand(ast.parse(text, mode="eval").body)
    return tuple(steps)


def results(steps: Formula, values: Mapping[str, Value]) -> list[Value]:
    """Every step's exact result over named values."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A formula and the forms of the question it answers."""

    steps: Formula
    forms: tuple[str, ...]


def ask(answer: str, *forms: str) -> Ask:
    """Declare that ``forms`` ask for ``answer``; a form ends with ``?`` or, as a command, with ``.``"""
    return Ask(steps=formula(answer), forms=forms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The compiled form of ``schema()``."""

    name: str
    draws: Mapping[str, Draw]
    derived: Mapping[str, Formula]
    where: tuple[Formula, ...]
    words: Mapping[str, str]
    roles: tuple[str, ...]
    people: tuple[str, ...]
    bodies: tuple[tuple[Sentence, ...], ...]
    asks: tuple[tuple[Formula, tuple[Question, ...]], ...]
    fractional: bool
    distract: bool

    @property
    def held_out(self) -> bool:
        """Whether the schema is kept from training to measure generalisation.

        Decided by ``topic/form`` of the name: schemas that share their sentences stay together.
        """
        family = "/".join(self.name.split("/")[:2])
        return zlib.crc32(family.encode()) % 100 < HELD_OUT_PERCENT

    @property
    def phrasings(self) -> int:
        """Bodies times questions, before any choice inside them."""
        return len(self.bodies) * sum(len(questions) for _, questions in self.asks)

    def problem(self, rng: Random) -> WordProblem:
        """Draw one problem."""
        steps, questions = self.asks[int(rng.random() * len(self.asks))]
        telling = tell(
            rng,
            body=self.bodies[int(rng.random() * len(self.bodies))],
            question=questions[int(rng.random() * len(questions))],
            values=self._draw(rng, steps),
            people=cast(rng, self.people, self.roles),
            words=self.words,
            distract=self.distract,
        )
        return WordProblem(
            question=telling.text(),
            numbers=tuple(telling.digits),
            steps=_bound(steps, telling.order),
            source=f"template/{self.name}",
        )

    def _draw(self, rng: Random, steps: Formula) -> dict[str, Value]:
        for _ in range(_TRIES):
            size = size_of(rng)
            values = {name: draw(rng, size) for name, draw in self.draws.items()}
            for name, derived in self.derived.items():
                values[name] = results(derived, values)[-1]
            if self._sane(steps, values):
                return values
        raise ValueError(f"{self.name}: no sane numbers found")

    def _sane(self, steps: Formula, values: Mapping[str, Value]) -> bool:
        if any(results(condition, values)[-1] <= 0 for condition in self.where):
            return False
        if any(values[name] <= 0 for name in self.derived):
            return False
        reached = results(steps, values)
        if any(value <= 0 for value in reached):
            return False
        if self.fractional:
            return 100 % reached[-1].denominator == 0
        return all(value.denominator == 1 for value in reached)


def schema(
    name: str,
    numbers: str,
    words: str,
    bodies: Sequence[str],
    asks: Sequence[Ask],
    *,
    where: str = "",
    roles: str = "",
    fractional: bool = False,
    distract: bool = True,
) -> Schema:
    """Declare a schema.

    ``numbers`` is ``"x any, k few, t =x * k"`` (a range of ``numbers.DRAWS`` or a formula), ``words``
    ``"item toy, day weekday"`` (slot and kind), ``where`` ``"x > y, x > 2 * z"``.  Every result must be
    positive and whole; ``fractional`` allows cents.
    """
    drawn, derived = _numbers(numbers)
    kinds = dict(part.split() for part in _parts(words))
    slots = frozenset(kinds)
    texts = [*bodies, *(form for one in asks for form in one.forms)]
    return Schema(
        name=name,
        draws=drawn,
        derived=derived,
        where=tuple(_condition(part) for part in _parts(where)),
        words=kinds,
        roles=_parts(roles),
        people=tuple(
            sorted({key or other for text in texts for key, other in _PEOPLE.findall(text)} | {"A"})
        ),
        bodies=tuple(compile_body(body, slots) for body in bodies),
        asks=tuple((one.steps, tuple(compile_question(f, slots) for f in one.forms)) for one in asks),
        fractional=fractional,
        distract=distract and any("{A}" in text for text in texts),
    )


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(text: str) -> tuple[dict[str, Draw], dict[str, Formula]]:
    pairs = [part.split(maxsplit=1) for part in _parts(text)]
    drawn = {name: draw_of(kind) for name, kind in pairs if not kind.startswith("=")}
    return drawn, {name: formula(kind[1:]) for name, kind in pairs if kind.startswith("=")}


def _condition(text: str) -> Formula:
    large, small = text.split(">")
    return formula(f"({large}) - ({small})")


def _bound(steps: Formula, order: Sequence[str]) -> tuple[Step, ...]:
    """The steps over ``n0`` … as the numbers came to stand in the question."""
    names = {name: f"n{order.index(name)}" for name in set(order)}
    names |= {f"#{index}": STEP_NAMES[index] for index in range(len(steps))}

    def of(operand: str) -> str:
        return names.get(operand, operand)

    return tuple(Step(op=step.op, left=of(step.left), right=of(step.right)) for step in steps)
