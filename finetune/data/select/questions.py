"""Read the questions of a benchmark or a corpus, whatever its columns are called.

JSONL, one JSON list, or one JSON object of rows by id (TabMWP). A question may stand in two columns, the story and
what is asked (SVAMP, ASDiv); both are read, since half a question matches nothing.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mumath_agent.errors import InputError
from mumath_agent.problems import read_text
from mumath_agent.runs.jsonl import read_objects

_STORY = ("Body", "body")
_QUESTION = ("question", "Question", "problem", "input")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedQuestion:
    """A question, and the place where it stands."""

    id: str
    """Folder, file and line or key: "gsm8k/test:17"."""
    text: str


def read_questions(path: Path) -> list[NamedQuestion]:
    """Return all questions of a file.

    Raises:
        InputError: it can't be read, or a row has no question; the message names the row.
    """
    name = benchmark_name(path)
    questions = [NamedQuestion(id=f"{name}:{key}", text=_text(row, path, key)) for key, row in _rows(path)]
    if not questions:
        raise InputError(f"{path} holds no question")
    return questions


def benchmark_name(path: Path) -> str:
    """Return folder and file: many a file is called test.jsonl."""
    return f"{path.resolve().parent.name}/{path.stem}"


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    if path.suffix != ".json":
        yield from ((place.rpartition(" ")[2], row) for place, row in read_objects(path))
        return
    try:
        rows = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None
    named: Iterable[tuple[Any, Any]] = rows.items() if isinstance(rows, dict) else enumerate(rows, start=1)
    yield from ((str(key), row) for key, row in named)


def _text(row: Any, path: Path, key: str) -> str:
    if isinstance(row, dict) and isinstance(
        row.get("problem"), dict
    ):  # a record of the pipeline holds a Problem
        row = row["problem"]
    parts = [_first(row, _STORY), _first(row, _QUESTION)] if isinstance(row, dict) else []
    if not parts or not parts[-1]:
        raise InputError(f"{path} row {key}: no question; expected a text under {', '.join(_QUESTION)}")
    return " ".join(part for part in parts if part)


def _first(row: dict[str, Any], keys: Iterable[str]) -> str | None:
    return next((row[key] for key in keys if isinstance(row.get(key), str)), None)
