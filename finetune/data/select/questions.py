"""Reads the questions of a benchmark or a corpus, whatever its columns are called.

JSONL, one JSON list, or one JSON object of rows by id (TabMWP). A question may stand in two columns, the story and
what is asked (SVAMP, ASDiv); both are read, since half a question matches nothing. Targets and solutions are left
alone. Which sets there are, and what they measure, is for `benchmarks`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mumath_agent.errors import InputError
from mumath_agent.problems import read_text

_STORY = ("Body", "body")
_QUESTION = ("question", "Question", "problem", "input")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedQuestion:
    """A question and where it stands."""

    id: str
    """Folder, file and line or key: "gsm8k/test:17"."""
    text: str


def read_questions(path: Path) -> list[NamedQuestion]:
    """All questions of a file.

    Raises:
        InputError: it can't be read, or a row has no question; it names the row.
    """
    name = benchmark_name(path)
    questions = [NamedQuestion(id=f"{name}:{key}", text=_text(row, path, key)) for key, row in _rows(path)]
    if not questions:
        raise InputError(f"{path} holds no question")
    return questions


def benchmark_name(path: Path) -> str:
    """Folder and file: many a file is called test.jsonl."""
    return f"{path.resolve().parent.name}/{path.stem}"


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    text = read_text(path)
    if path.suffix != ".json":
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield str(number), _parsed(line, f"{path} line {number}")
        return
    rows = _parsed(text, str(path))
    named: Iterable[tuple[Any, Any]] = rows.items() if isinstance(rows, dict) else enumerate(rows, start=1)
    yield from ((str(key), row) for key, row in named)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: no valid JSON ({error})") from None


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
