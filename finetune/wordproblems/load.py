"""Read the schemas of word problems from the TOML files in `topics/`, one file a topic.

    topics/deeds.toml ── check, compile ──> Schema "deeds/two_days" ── topics/order.toml ──> stories(), bare()

`docs/wordproblems.md` explains the files to those who write them.
"""

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain, takewhile
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from finetune.wordproblems.schema import Schema
from finetune.wordproblems.table import OrderFile, SchemaTable, TopicFile, compiled
from mumath_agent.errors import InputError

TOPICS, TOPICS2, EVERYDAY = (Path(__file__).parent / name for name in ("topics", "topics2", "everyday"))
_ORDER = "order.toml"
_MESSAGES = {"extra_forbidden": "unknown key", "missing": "missing key"}
_T = TypeVar("_T", bound=BaseModel)


class Topics(NamedTuple):
    """The schemas of a folder."""

    stories: tuple[Schema, ...]
    bare: tuple[Schema, ...]


def stories(*, held_out: bool | None = None) -> tuple[Schema, ...]:
    """Return the schemas of stories: all, or one side of the split into training and held-out ones."""
    return tuple(schema for schema in _topics().stories if held_out in (None, schema.held_out))


def bare() -> tuple[Schema, ...]:
    """Return the schemas of bare arithmetic."""
    return _topics().bare


@cache
def new_stories() -> tuple[Schema, ...]:
    """Return the schemas that the second corpus adds to those of the first."""
    return read_topics(TOPICS2).stories


@cache
def everyday_stories() -> tuple[Schema, ...]:
    """Return the schemas that are for evaluation only."""
    return read_topics(EVERYDAY).stories


@cache
def _topics() -> Topics:
    return read_topics(TOPICS)


def read_topics(folder: Path) -> Topics:
    """Read the topics of a folder, in the order of its `order.toml`.

    Raises:
        InputError: a file can't be used, or the order names an unknown schema or leaves one out.
    """
    path = folder / _ORDER
    topics = {file.stem: read_topic(file) for file in sorted(folder.glob("*.toml")) if file != path}
    order = _read(path, OrderFile)
    starts = [_start(entry, topics, path) for entry in (*order.stories, *order.bare)]
    runs = [_run(topics[start.partition("/")[0]], start, starts) for start in starts]
    places = Counter(schema.name for schema in chain(*runs))
    for schema in chain(*topics.values()):
        if places[schema.name] != 1:
            raise InputError(f"{path}: {schema.name} has {places[schema.name]} places in the order, not one")
    count = len(order.stories)
    return Topics(stories=tuple(chain(*runs[:count])), bare=tuple(chain(*runs[count:])))


def _start(entry: str, topics: Mapping[str, Sequence[Schema]], path: Path) -> str:
    """Return the name of the schema that an entry of the order begins with."""
    names = [schema.name for schema in topics.get(entry.partition("/")[0], ())]
    if names and "/" not in entry:
        return names[0]
    if entry not in names:
        raise InputError(f"{path}: no schema {entry!r}; name a topic file or one of its schemas")
    return entry


def _run(schemas: Sequence[Schema], start: str, starts: Sequence[str]) -> tuple[Schema, ...]:
    """Return the schemas of a topic from one start to the next."""
    at = [schema.name for schema in schemas].index(start)
    return (schemas[at], *takewhile(lambda schema: schema.name not in starts, schemas[at + 1 :]))


def read_topic(path: Path) -> tuple[Schema, ...]:
    """Read the schemas of one topic, which is named like its file.

    Raises:
        InputError: the file isn't TOML, or a schema can't be used; the message names file, schema and key.
    """
    schemas: dict[str, Schema] = {}
    for number, data in enumerate(_read(path, TopicFile).tables, 1):
        try:
            for schema in compiled(path.stem, SchemaTable.model_validate(data)):
                if schema.name in schemas:
                    raise ValueError("name: an earlier schema of this topic has it")
                schemas[schema.name] = schema
        except ValueError as error:
            name = data.get("name", f"schema {number}")
            raise InputError(f"{path}: {name}: {_message(error)}") from None
    return tuple(schemas.values())


def _read(path: Path, table: type[_T]) -> _T:
    try:
        return table.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None
    except ValueError as error:  # not UTF-8, not TOML, or other keys
        raise InputError(f"{path}: {_message(error)}") from None


def _message(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    key = ".".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
    return f"{key}: {_MESSAGES.get(first['type'], first['msg'])}"
