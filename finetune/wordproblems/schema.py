"""Draw word problems from a schema: a family that shares its numbers, words, bodies and possible questions."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from finetune.wordproblems.formula import Formula, results
from finetune.wordproblems.numbers import Draw, Value, size_of
from finetune.wordproblems.people import cast
from finetune.wordproblems.problem import STEP_NAMES, Step, WordProblem
from finetune.wordproblems.story import Question, Sentence, tell

HELD_OUT_PERCENT = 8
_TRIES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A formula and the questions that it answers."""

    steps: Formula
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """One table of a topic file, compiled; `docs/wordproblems.md` says what its keys mean."""

    name: str
    draws: Mapping[str, Draw]
    derived: Mapping[str, Formula]
    where: tuple[Formula, ...]
    """Differences that must be positive."""
    words: Mapping[str, str]
    roles: tuple[str, ...]
    people: tuple[str, ...]
    bodies: tuple[tuple[Sentence, ...], ...]
    asks: tuple[Ask, ...]
    fractional: bool
    distract: bool

    @property
    def held_out(self) -> bool:
        """True if the schema is kept from training to measure generalisation.

        The first two parts of the name decide, so that schemas that share their sentences stay together.
        """
        family = "/".join(self.name.split("/")[:2])
        return zlib.crc32(family.encode()) % 100 < HELD_OUT_PERCENT

    def problem(self, rng: Random) -> WordProblem:
        """Draw one problem.

        Raises:
            ValueError: no numbers were found that meet the schema's conditions.
        """
        ask = self.asks[int(rng.random() * len(self.asks))]
        telling = tell(
            rng,
            body=self.bodies[int(rng.random() * len(self.bodies))],
            question=ask.questions[int(rng.random() * len(ask.questions))],
            values=self._draw(rng, ask.steps),
            people=cast(rng, self.people, self.roles),
            words=self.words,
            distract=self.distract,
        )
        return WordProblem(
            question=telling.text(),
            numbers=tuple(telling.digits),
            steps=_bound(ask.steps, telling.order),
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
        raise ValueError(f"{self.name}: no sane numbers found in {_TRIES} tries; loosen where or the ranges")

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


def _bound(steps: Formula, order: Sequence[str]) -> tuple[Step, ...]:
    """Rename the operands to `n0`, `n1`, … as the numbers stand in the question."""
    names = {name: f"n{order.index(name)}" for name in set(order)}
    names |= {f"#{index}": STEP_NAMES[index] for index in range(len(steps))}

    def renamed(operand: str) -> str:
        return names.get(operand, operand)

    return tuple(replace(step, left=renamed(step.left), right=renamed(step.right)) for step in steps)
