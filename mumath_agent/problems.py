"""Read problems from a user's file, in any form that `problem_rows` knows, and check what counts as a question.

A row that can't be read is reported with its place and costs nothing but itself. A row may name the question
`question`, `problem` or `input`, the gold answer `target` or `answer`, the id `id` or `idx`, in capitals or not, as the
public sets do. Of an answer as GSM8K publishes it the number behind `####` counts. A row without a gold answer may have
a `solution` that boxes it; a row may say its `source`.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from mumath_agent.answers import boxed_answers
from mumath_agent.errors import InputError
from mumath_agent.problem_rows import rows_of
from mumath_agent.records import Problem

MAX_QUESTION_CHARS = 20_000
"""Longer than any benchmark's longest question, but keeps the wrong kind of file from reaching a model."""

_SHOWN_CHARS = 100
_QUESTION = ("question", "problem", "input")
_ID = ("id", "idx")
_NOT_TEXT = {
    ".parquet": "read_parquet",
    ".feather": "read_feather",
    ".arrow": "read_feather",
    ".orc": "read_orc",
    ".xlsx": "read_excel",
    ".xls": "read_excel",
    ".ods": "read_excel",
}
"""Tables that aren't text, by their names, with the function of pandas that reads them."""


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
    for problem in islice(parse_problems(_text_of(path), str(path)), limit):
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
    """Yield the problem of each row of a file's text, or the error that says why the row can't be read."""
    return (item for _, item in _located(text, source))


def read_problems(path: Path) -> list[Problem | InputError]:
    """Return the problems of a user's file in order, with an error in the place of each row that can't be used.

    Raises:
        InputError: the file can't be read, or two of its problems have the same id.
    """
    return usable_problems(_text_of(path), path.name)


def usable_problems(text: str, source: str) -> list[Problem | InputError]:
    """Return the problems of a file's text in order, with an error in the place of each row that can't be used.

    Raises:
        InputError: two of its problems have the same id.
    """
    items: list[Problem | InputError] = []
    places: dict[str, str] = {}
    for where, item in _located(text, source):
        if isinstance(item, Problem):
            try:
                check_question(item.question)
            except InputError as error:
                items.append(_at(source, where, error))
                continue
            if (first := places.setdefault(item.id, where)) != where:
                raise InputError(
                    f"{source}: {first} and {where} have the same id {item.id!r}; give each problem its own, or none"
                )
        items.append(item)
    return items


def _text_of(path: Path) -> str:
    if path.is_file() and (reader := _NOT_TEXT.get(path.suffix.lower())):
        raise InputError(
            f"{path} isn't text; convert it to JSONL, with pandas for example: "
            f"pandas.{reader}('{path.name}').to_json('{path.stem}.jsonl', orient='records', lines=True)"
        )
    return read_text(path)


def _located(text: str, source: str) -> Iterator[tuple[str, Problem | InputError]]:
    """Yield what `parse_problems` yields, with its place in the file."""
    for where, value in rows_of(text, source, _QUESTION):
        try:
            if isinstance(value, InputError):
                raise value
            yield where, _problem(value, where.replace(" ", "-"), source)
        except InputError as error:
            yield where, _at(source, where, error)


def _at(source: str, where: str, error: InputError) -> InputError:
    return InputError(f"{source} {where}: {error}" if where else f"{source}: {error}")


def _problem(row: Any, default_id: str, source: str) -> Problem:
    if isinstance(row, str):
        row = {"question": row}
    if not isinstance(row, dict):
        raise InputError(f"expected a JSON object, not {type(row).__name__}")
    fields = {str(name).strip().casefold(): value for name, value in row.items()} | row
    question = _first(fields, _QUESTION)
    if not isinstance(question, str):
        raise InputError(f"no question; expected text under one of {', '.join(_QUESTION)}")
    target, problem_id, named = target_of(fields), _first(fields, _ID), fields.get("source")
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


def target_of(row: Mapping[str, Any]) -> str | None:
    """Return the gold answer of a row, from its target, its answer or its solution; None where there is none.

    Raises:
        InputError: it is several texts.
    """
    target = row["target"] if "target" in row else row.get("answer")  # beside it, `answer` may be a model's
    if isinstance(target, list) and len(target) == 1:
        (target,) = target  # some sets write every answer so
    if isinstance(target, list | dict):
        raise InputError(
            f"the answer is {repr(target)[:_SHOWN_CHARS]}; write it as one text, "
            'such as "1, 2" (in any order) or "(1, 2)"'
        )
    if target is None and isinstance(solution := row.get("solution"), str):
        target = next(reversed(boxed_answers(solution)), None)
    return None if target is None else split_gsm8k_answer(str(target))[1] or None


def _first(row: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((row[key] for key in keys if row.get(key) is not None), None)
