"""Check the tables of topic files, and compile a `[[schema]]` to the schemas that it stands for."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from finetune.wordproblems.formula import Formula, formula
from finetune.wordproblems.grammar import Names
from finetune.wordproblems.numbers import Draw, draw_of
from finetune.wordproblems.schema import Ask, Schema
from finetune.wordproblems.story import compile_body, compile_question
from finetune.wordproblems.words import KINDS

_PEOPLE = re.compile(r"\{@?([A-D])(?:'s)?\}|\{\w+:([A-D])\}")
_SAID = re.compile(r"\[[$#]?(\w+)")

_Name = Annotated[str, Field(pattern=r"^[a-z]\w*$")]


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class AskTable(_Checked):
    """One `[[schema.ask]]`."""

    answer: str
    questions: list[str] = Field(min_length=1)


class SchemaTable(_Checked):
    """One `[[schema]]`; `docs/wordproblems.md` says what the keys mean."""

    name: _Name
    each: dict[_Name, dict[_Name, str]] = {}
    numbers: dict[_Name, str] = Field(min_length=1)
    words: dict[_Name, str] = {}
    where: list[str] = []
    roles: list[str] = []
    fractional: bool = False
    distract: bool = True
    bodies: list[str] = Field(min_length=1)
    ask: list[AskTable] = Field(min_length=1)


class TopicFile(_Checked):
    """A topic file; its tables are checked one by one, so that an error can name the schema."""

    tables: list[dict[str, Any]] = Field(alias="schema", min_length=1)


class OrderFile(_Checked):
    """`order.toml`: where the runs of schemas begin."""

    stories: list[str]
    bare: list[str]


def compiled(topic: str, table: SchemaTable) -> Iterator[Schema]:
    """Yield the schema of a table, or one schema for every line of its `each`.

    Raises:
        ValueError: a value can't be used; the message begins with its key.
    """
    if not table.each:
        yield _schema(f"{topic}/{table.name}", table, table.words)
    for key, words in table.each.items():
        with _key(f"each.{key}"):
            if both := words.keys() & table.words.keys():
                raise ValueError(f"words gives {min(both)} too")
        yield _schema(f"{topic}/{table.name}/{key}", table, {**words, **table.words})


def _schema(name: str, table: SchemaTable, words: Mapping[str, str]) -> Schema:
    names = Names(words=words, numbers=table.numbers)
    texts = [*table.bodies, *(text for ask in table.ask for text in ask.questions)]
    with _key("words"):
        for kind in words.values():
            if kind not in KINDS:
                raise ValueError(f"no kind {kind!r}; the kinds are {', '.join(KINDS)}")
    with _key("numbers"):
        draws, derived = numbers_table(table.numbers)
    with _key("where"):
        where = tuple(condition(text, table.numbers) for text in table.where)
    with _key("bodies"):
        bodies = tuple(compile_body(body, names) for body in table.bodies)
    return Schema(
        name=name,
        draws=draws,
        derived=derived,
        where=where,
        words=words,
        roles=tuple(table.roles),
        people=tuple(
            sorted({"A"} | {key or other for text in texts for key, other in _PEOPLE.findall(text)})
        ),
        bodies=bodies,
        asks=tuple(_ask(f"ask.{n}", ask, table.bodies, names) for n, ask in enumerate(table.ask, 1)),
        fractional=table.fractional,
        distract=table.distract and any("{A}" in text for text in texts),
    )


def numbers_table(kinds: Mapping[str, str]) -> tuple[dict[str, Draw], dict[str, Formula]]:
    """Return the numbers that are drawn, and those that are computed from numbers before them."""
    draws: dict[str, Draw] = {}
    derived: dict[str, Formula] = {}
    for name, kind in kinds.items():
        if kind.startswith("="):
            derived[name] = formula(kind[1:], (*draws, *derived))
        else:
            draws[name] = draw_of(kind)
    return draws, derived


def condition(text: str, numbers: Mapping[str, str]) -> Formula:
    """Compile a comparison with ">" to the difference that must be positive."""
    large, more, small = text.partition(">")
    if not more:
        raise ValueError(f"{text!r} has no '>'")
    return formula(f"({large}) - ({small})", numbers)


def _ask(key: str, ask: AskTable, bodies: Sequence[str], names: Names) -> Ask:
    with _key(f"{key}.answer"):
        steps = formula(ask.answer, names.numbers)
    with _key(f"{key}.questions"):
        questions = tuple(compile_question(text, names) for text in ask.questions)
        needed = {operand for step in steps for operand in (step.left, step.right)} & {*names.numbers}
        for text in (f"{body} {question}" for body in bodies for question in ask.questions):
            if silent := needed.difference(_SAID.findall(text)):
                raise ValueError(f"{ask.answer!r} needs {min(silent)}, which isn't said in {text!r}")
    return Ask(steps=steps, questions=questions)


@contextmanager
def _key(key: str) -> Iterator[None]:
    """Begin the message of a ValueError with the key that is at fault."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
