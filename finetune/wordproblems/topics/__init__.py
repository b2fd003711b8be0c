"""A grammar of elementary word problems: every schema of every topic.

Owns: the list of schemas and its split into training and held-out ones.
Does not own: the topics (their modules) and how often a schema is drawn (``corpus``).
"""

from __future__ import annotations

from finetune.wordproblems import arithmetic
from finetune.wordproblems.schema import Schema
from finetune.wordproblems.topics import (
    actions,
    change,
    combine,
    compare,
    deeds,
    fractions,
    goals,
    groups,
    leftovers,
    measure,
    money,
    multiples,
    parts,
    rates,
    savings,
    scenes,
    seats,
    shapes,
    stocks,
    times,
)

_TOPICS = (
    actions,
    change,
    combine,
    compare,
    deeds,
    fractions,
    goals,
    groups,
    leftovers,
    measure,
    money,
    multiples,
    parts,
    rates,
    savings,
    scenes,
    seats,
    shapes,
    stocks,
    times,
)

STORIES: tuple[Schema, ...] = tuple(schema for topic in _TOPICS for schema in topic.SCHEMAS)
BARE: tuple[Schema, ...] = arithmetic.SCHEMAS


def stories(*, held_out: bool) -> tuple[Schema, ...]:
    """The story schemas of one side of the split."""
    return tuple(schema for schema in STORIES if schema.held_out == held_out)
