"""Read problems from a user's file, one question per line or JSONL, and check what counts as a question.

A line that can't be read is reported with its number and costs nothing but itself. JSONL may name the question
`question`, `problem` or `input`, the gold answer `target` or `answer`, the id `id` or `idx`, as the public sets do. A
row without a gold answer may have a `solution` that boxes it; a row may say its `source`.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from mumath_agent.answers import boxed_answers
from mumath_agent.errors import InputError
from mumath_agent.records import Problem

MAX_QUESTION_CHARS = 20_000
"""Longer than any benchmark's longest question, but keeps the wrong kind of file from reaching a model."""

_QUESTION = ("question", "problem", "Question", "input")
_TARGET = ("target", "answer")
_ID = ("id", "idx")


def check_question(question: object) -> None:
    """Refuse a question that can't be asked.

    Raises:
        InputError: it is empty, too long, or not text.
    """
    if not isinstance(question, str):
        raise InputError(f"the question is {question!r}; it must be text")
    if not question.strip():
        raise InputError("the question is empty")
    if len(question) > MAX_QUESTION_CHARS:
        raise InputError(
            f"the question has {len(question):,} characters; at most {MAX_QUESTION_CHARS:,} are allowed"
        )
    if "\0" in question or any("\ud800" <= character <= "\udfff" for character in question):
        raise InputError("the question isn't text: it contains a zero byte or half of a character")


def read_text(path: Path) -> str:
    """Read the text of a file.

    Raises:
        InputError: it doesn't exist, can't be read, or isn't text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None
    return decode(data, str(path))


def decode(data: bytes, source: str) -> str:
    """Decode `data` as UTF-8; `source` names it in messages.

    Raises:
        InputError: it isn't UTF-8, or contains a zero byte.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source} isn't UTF-8 text (byte {error.start} is 0x{data[error.start]:02x})"
        ) from None
    if "\0" in text:
        raise InputError(f"{source} isn't text (it contains a zero byte)")
    return text


def load_problems(path: Path, *, limit: int | None = None) -> list[Problem]:
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
    """Yield the problem of each line of a file's text, or the error that says why the line can't be read."""
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
            yield InputError(f"{source} line {number}: not valid JSON ({error})")
        except InputError as error:
            yield InputError(f"{source} line {number}: {error}")


def read_problems(path: Path) -> Iterator[Problem | InputError]:
    """Yield the problems of a user's file in order, with an error in the place of each line that can't be used.

    Raises:
        InputError: the file can't be read.
    """
    for problem in parse_problems(read_text(path), path.name):
        error = None if isinstance(problem, InputError) else _unusable(problem, path.name)
        yield error or problem


def _unusable(problem: Problem, source: str) -> InputError | None:
    try:
        check_question(problem.question)
    except InputError as error:
        return InputError(f"{source} {problem.id}: {error}")
    return None


def _problem(row: Any, default_id: str, source: str) -> Problem:
    if not isinstance(row, dict):
        raise InputError(f"expected a JSON object, not {type(row).__name__}")
    question = _first(row, _QUESTION)
    if not isinstance(question, str):
        raise InputError(f"no question; expected text under one of {', '.join(_QUESTION)}")
    target, problem_id, named = _target(row), _first(row, _ID), row.get("source")
    return Problem(
        id=default_id if problem_id is None else str(problem_id),
        question=question.strip(),
        target=target,
        source=named if isinstance(named, str) else source,
    )


def problem_of(given: object, number: int, source: str = "user") -> Problem:
    """Return a `Problem` for a question, a mapping as a JSONL line holds it, or a `Problem`.

    Raises:
        InputError: it is none of these, or the question can't be used.
    """
    if isinstance(given, str):
        problem = Problem(id=str(number), question=given, source=source)
    elif isinstance(given, Mapping):
        problem = _problem(dict(given), str(number), source)
    elif isinstance(given, Problem):
        problem = given
    else:
        raise InputError(f"problem {number} is {given!r}; it must be a question, a dict or a Problem")
    check_question(problem.question)
    return problem


def _target(row: dict[str, Any]) -> str | None:
    target = _first(row, _TARGET)
    if target is None and isinstance(solution := row.get("solution"), str):
        target = next(reversed(boxed_answers(solution)), None)
    return None if target is None else str(target)


def _first(row: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((row[key] for key in keys if row.get(key) is not None), None)
