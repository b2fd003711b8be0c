"""Make the arms' training rows, the same questions in two formats, and the held-out problems that they are asked.

A question is drawn from our templates, or made from such a one by a rule of `augment`. Its program is written in words
(CoT) or nested with code, so arms that differ in format differ in nothing else. The held-out problems are of schemas
that neither seeds nor augmentations come from.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

from finetune.data.augment.own import own_questions
from finetune.data.augment.perspectives import Unusable
from finetune.data.augment.programs import decimal, read_program
from finetune.data.augment.rules import RULES, augmented
from finetune.data.records import Question, Solution, SolutionFormat
from finetune.wordproblems.load import stories
from finetune.wordproblems.problem import WordProblem, code_solution, thought_solution
from mumath_agent.records import Problem

DIALECT = "fenced"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutProblem:
    """A problem that the arms are asked."""

    problem: Problem
    """Its source is the schema."""
    needed: frozenset[str]
    """The numbers in its text that its solution needs."""


def questions(seeds: int, samples: int, *, draw: int) -> tuple[list[Question], list[Question]]:
    """Return `seeds` questions of our templates, and up to `samples` that each perspective's rule makes from one."""
    own = list(islice(own_questions(draw), seeds))
    rules = tuple(RULES)
    return own, [made for seed in own for made in augmented(seed, rules, samples=samples, draw=draw).rows]


def rows(questions: Iterable[Question], format: SolutionFormat) -> Iterator[Solution]:
    """Yield the solutions, in one format, of the questions whose program is known."""
    for question in questions:
        if (problem := _program(question)) is None:
            continue
        yield Solution(
            id=question.problem.id,
            question=problem.question,
            solution=code_solution(problem) if format is SolutionFormat.CODE else thought_solution(problem),
            format=format,
            dialect=DIALECT,
            source=question.problem.source,
            seed_id=question.problem.seed_id,
            augmentation=question.problem.augmentation,
        )


def held_out(size: int) -> Iterator[HeldOutProblem]:
    """Yield `size` problems, shared out evenly over the schemas that training never sees."""
    schemas, rng = stories(held_out=True), Random("ablations")
    for number in range(size):
        drawn = schemas[number % len(schemas)].problem(rng)
        operands = {operand for step in drawn.steps for operand in (step.left, step.right)}
        yield HeldOutProblem(
            problem=Problem(
                id=f"held-out-{number}",
                question=drawn.question,
                target=decimal(drawn.answer),
                source=drawn.source,
            ),
            needed=frozenset(value for index, value in enumerate(drawn.numbers) if f"n{index}" in operands),
        )


def _program(question: Question) -> WordProblem | None:
    try:
        return read_program(question).problem
    except Unusable:
        return None
