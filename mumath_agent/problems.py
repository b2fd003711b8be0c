"""What counts as a question, and reading problems from a user's file: one question a line, or JSONL.

A line that can't be read is reported with its number and costs nothing but itself. JSONL may name the question
`question`, `problem` or `input`, the gold answer `target` or `answer`, the id `id` or `idx`, as the public sets do. A
row without a gold answer may have a `solution` that boxes it; a row may say its `source`.
"""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from mumath_agent.answers import boxed_answers
from mumath_agent.errors import InputError
from mumath_agent.records import Problem

MAX_QUESTION_CHARS = 20_000
"""Longer than any benchmark's longest question; keeps a mistaken file from reaching a model."""

_QUESTION = ("question", "problem", "Question", "input")
_TARGET = ("target", "answer")
_ID = ("id", "idx")


def check_question(question: str) -> None:
    """Refuse what is no question.

    Raises:
        InputError: empty, too long, or not text.
    """
    if not question.strip():
        raise InputError("the question is empty")
    if len(question) > MAX_QUESTION_CHARS:
        raise InputError(
            f"the question has {len(question):,} characters; at most {MAX_QUESTION_CHARS:,} are taken"
        )
    if "\0" in question or any("\ud800" <= character <= "\udfff" for character in question):
        raise InputError("the question is no text: it holds a zero byte or half of a character")


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        InputError: it isn't there, can't be read, or isn't text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None
    return decode(data, str(path))


def decode(data: bytes, source: str) -> str:
    """`data` as text.

    Raises:
        InputError: it isn't UTF-8, or holds a zero byte.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source} is no UTF-8 text (byte {error.start} is 0x{data[error.start]:02x})"
        ) from None
    if "\0" in text:
        raise InputError(f"{source} is no text (it holds a zero byte)")
    return text


def read_problems(path: Path, *, limit: int | None = None) -> list[Problem]:
    """Return the first `limit` problems of a file that has to be whole: to train on, to measure with, to leave out.

    Raises:
        InputError: the file can't be read or holds no problem, or a line isn't one; the message names the line.
    """
    problems: list[Problem] = []
    for problem in islice(parse_problems(read_text(path), str(path)), limit):
        if isinstance(problem, InputError):
            raise problem
        problems.append(problem)
    if not problems:
        raise InputError(f"{path} holds no problem")
    return problems


def split_gsm8k_answer(answer: str) -> tuple[str, str]:
    """Return the rationale of an answer as GSM8K publishes it, and the number behind its last `####`.

    Without a `####` all of it is the number.
    """
    rationale, _, number = answer.rpartition("####")
    return rationale, number.strip()


def parse_problems(text: str, source: str) -> Iterator[Problem | InputError]:
    """The problems of a file's text, line by line; an unreadable line yields the error that says why."""
    is_jsonl = source.endswith((".jsonl", ".json")) or text.lstrip().startswith("{")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if not is_jsonl:
            yield Problem(id=f"line-{number}", question=line.strip(), source=source)
            continue
        try:
            yield _problem(json.loads(line), f"line-{number}", source)
        except (ValueError, RecursionError) as error:
            yield InputError(f"{source} line {number}: no valid JSON ({error})")
        except InputError as error:
            yield InputError(f"{source} line {number}: {error}")


def _problem(row: Any, default_id: str, source: str) -> Problem:
    if not isinstance(row, dict):
        raise InputError(f"a JSON object is expected, this is {type(row).__name__}")
    question = _first(row, _QUESTION)
    if not isinstance(question, str):
        raise InputError(f"no question; expected a text under one of {', '.join(_QUESTION)}")
    target, problem_id, named = _target(row), _first(row, _ID), row.get("source")
    return Problem(
        id=default_id if problem_id is None else str(problem_id),
        question=question.strip(),
        target=target,
        source=named if isinstance(named, str) else source,
    )


def _target(row: dict[str, Any]) -> str | None:
    target = _first(row, _TARGET)
    if target is None and isinstance(solution := row.get("solution"), str):
        target = next(reversed(boxed_answers(solution)), None)
    return None if target is None else str(target)


def _first(row: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((row[key] for key in keys if row.get(key) is not None), None)
