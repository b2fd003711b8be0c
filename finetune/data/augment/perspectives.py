"""Name the perspectives of MuMath and MathCoder, and make the record of a question derived from a seed.

Alteration has five manners; each is a perspective of its own here, and "alteration" is short for all of them. `asks`
and `rules` carry the perspectives out.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from finetune.data.records import Question
from mumath_agent.errors import InputError
from mumath_agent.records import Problem


class Perspective(StrEnum):
    """A way to make a question of a seed. The value is the record's `augmentation` and the prompt's file name."""

    REPHRASE = "rephrase"
    FOBAR = "fobar"
    """One number masked, the answer given, the number asked for."""
    BF_TRANS = "bf_trans"
    """The same as an ordinary question, without an unknown."""
    NEW_NUMBERS = "alteration_new_numbers"
    ADDED_CONDITION = "alteration_added_condition"
    NEW_CONTEXT = "alteration_new_context"
    CHANGED_GOAL = "alteration_changed_goal"
    HARDER = "alteration_harder"
    EXPRESSION_REPLACEMENT = "expression_replacement"
    """The solution's operations changed, and a question to fit."""
    INTERPOLATION = "interpolation"
    """Between an easy question and a harder one."""
    REORGANISE = "reorganise"
    """The solution, in numbered and titled steps."""
    NESTED = "nested"
    """The solution, as outline, plan and execution."""

    @property
    def rewrites_solution(self) -> bool:
        """True where the question stays and its solution is rewritten."""
        return self in (Perspective.REORGANISE, Perspective.NESTED)


class Unusable(Exception):
    """A perspective has nothing to give for a seed, or a reply can't be used; the text is the reason, for counts."""


def named(names: str) -> tuple[Perspective, ...]:
    """Return the perspectives of "rephrase,alteration": comma-separated, in this order, each once.

    Raises:
        InputError: a name isn't a perspective's.
    """
    found: dict[Perspective, None] = {}
    for name in filter(None, map(str.strip, names.split(","))):
        fitting = [
            one for one in Perspective if one == name or (one.startswith(f"{name}_") and name == "alteration")
        ]
        if not fitting:
            raise InputError(f"no perspective {name!r}; there are alteration, {', '.join(Perspective)}")
        found |= dict.fromkeys(fitting)
    if not found:
        raise InputError(f"no perspective is named; there are alteration, {', '.join(Perspective)}")
    return tuple(found)


def distinct_ids(seeds: Iterable[Question]) -> None:
    """Refuse seeds of equal ids: the questions made of them couldn't be told apart.

    Raises:
        InputError: two seeds have the same id.
    """
    seen = set[str]()
    for seed in seeds:
        if seed.problem.id in seen:
            raise InputError(f"the id {seed.problem.id!r} occurs twice among the seeds; ids must be distinct")
        seen.add(seed.problem.id)


def derived_id(seed: Question, perspective: Perspective, sample: int, maker: str) -> str:
    """Return an id: the same for the same seed, perspective, sample and maker, another for any other."""
    text = "\n".join((seed.problem.id, perspective, str(sample), maker))
    return f"{perspective}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def derived(
    seed: Question,
    perspective: Perspective,
    *,
    id: str,
    question: str,
    target: str | None,
    rationale: str | None = None,
    tags: tuple[str, ...] = (),
) -> Question:
    """Return a question made of `seed`, with the seed's source and tags."""
    problem: Problem = replace(
        seed.problem,
        id=id,
        question=question,
        target=target,
        seed_id=seed.problem.id,
        augmentation=perspective.value,
        tags=(*seed.problem.tags, *tags),
    )
    return Question(problem=problem, rationale=rationale)
