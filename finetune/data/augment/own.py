"""Draw seeds from our own templates, and ask other questions about the same story.

A story is drawn from its seed's id alone, so it can be drawn again with another question: expression replacement with
an exact answer, wherever the schema has another formula for the same numbers. Schemas that are held out to measure
generalisation are never used.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import count
from random import Random

from finetune.data.augment.perspectives import Unusable
from finetune.data.augment.programs import decimal, marked
from finetune.data.records import Question
from finetune.wordproblems.load import stories
from finetune.wordproblems.problem import WordProblem
from finetune.wordproblems.schema import Schema
from mumath_agent.records import Problem

SOURCE = "own"
_TAG = "schema:"


@cache
def _schemas() -> dict[str, Schema]:
    return {schema.name: schema for schema in stories(held_out=False)}


def own_questions(seed: int) -> Iterator[Question]:
    """Yield questions without end; equal seeds give equal ones."""
    schemas = tuple(_schemas().values())
    for index in count():
        name = f"{SOURCE}-{seed}-{index}"
        rng = Random(name)
        schema = rng.choice(schemas)
        problem = _told(schema, rng.randrange(len(schema.asks)), name)
        try:
            rationale, target = marked(problem), decimal(problem.answer)
        except Unusable:
            continue
        yield Question(
            problem=Problem(
                id=name,
                question=problem.question,
                target=target,
                source=SOURCE,
                tags=(f"{_TAG}{schema.name}",),
            ),
            rationale=rationale,
        )


def other_questions(seed: Question) -> Iterator[WordProblem]:
    """Yield the story of a seed with another formula asked for.

    Raises:
        Unusable: the seed doesn't come from these templates.
    """
    names = [tag.removeprefix(_TAG) for tag in seed.problem.tags if tag.startswith(_TAG)]
    schema = _schemas().get(names[0]) if names else None
    if schema is None:
        raise Unusable("no template")
    tellings = [_told(schema, ask, seed.problem.id) for ask in range(len(schema.asks))]
    now = next((telling for telling in tellings if telling.question == seed.problem.question), None)
    if now is None:
        raise Unusable("the template has changed since")
    for telling in tellings:
        if telling.numbers == now.numbers and telling.steps != now.steps:
            yield telling


def _told(schema: Schema, ask: int, name: str) -> WordProblem:
    """Return one of the schema's questions; the same name draws the same story for each, if its numbers suit them."""
    return replace(schema, asks=(schema.asks[ask],)).problem(Random(f"{name} story"))
