"""A grammar of elementary word problems: every schema of every topic.

Owns: the list of schemas and its split into training and held-out ones.
Does not own: the topics (their modules) and how often a schema is drawn (``corpus``).
"""

from __future__ import annotations

from finetune.embedded.templates import (
    actions,
    arithmetic,
    change,
    combine,
    compare,
    deeds,
    fractions,
    groups,
    leftovers,
    measure,
    money,
    rates,
)
from finetune.embedded.templates.schema import Schema

_TOPICS = (actions, deeds, change, combine, compare, groups, leftovers, money, fractions, rates, measure)

STORIES: tuple[Schema, ...] = tuple(schema for topic in _TOPICS for schema in topic.SCHEMAS)
BARE: tuple[Schema, ...] = arithmetic.SCHEMAS


def stories(*, held_out: bool) -> tuple[Schema, ...]:
    """The story schemas of one side of the split."""
    return tuple(schema for schema in STORIES if schema.held_out == held_out)
