"""Read the rows of a user's file, whichever form it has: lines of text, JSON, or a table.

JSON may be one object a line (JSONL), an array, or objects over several lines. A table (CSV, TSV) has a header that
names its columns; commas, semicolons or tabs may stand between them. The form follows from the file's name, and where
that says nothing from how the text begins. A row that can't be read costs nothing but itself.
"""

import csv
import io
import json
import re
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from mumath_agent.errors import InputError

_JSON_NAMES = (".jsonl", ".json", ".ndjson")
_TABLE_NAMES = (".csv", ".tsv", ".tab")
_JSON_BEGINS = re.compile(r'\s*(\{\s*["\n}]|\[\s*["{])')
_DECODER = json.JSONDecoder()
_WORD = re.compile(r"\s*[\w-]+\s*")
_SHOWN_CHARS = 200
_SPACE = re.compile(r"\s*")


class Row(NamedTuple):
    """A row, and where it stands in its file."""

    where: str
    value: Any
    """What the row holds: fields by name, or a question alone; an `InputError` says why it can't be read."""


def rows_of(text: str, source: str, question: Collection[str]) -> Iterator[Row]:
    """Yield the rows of a file's text.

    Args:
        text: what the file holds.
        source: its name.
        question: the names, in lower case, of which a table's header needs one.
    """
    name = source.lower()
    if name.endswith(_TABLE_NAMES):
        yield from _table_rows(text, question)
    elif name.endswith(_JSON_NAMES) or _JSON_BEGINS.match(text):
        yield from _json_rows(text)
    elif _looks_like_table(text, question):
        yield from _table_rows(text, question)
    else:
        yield from (Row(where, line) for where, line in _lines(text))


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"line {number}", line


def _json_rows(text: str) -> Iterator[Row]:
    lines = list(_lines(text))
    first = _json(lines[0][1]) if lines else None
    if isinstance(first, InputError) or (isinstance(first, list) and len(lines) == 1):
        try:
            yield from [Row(f"item {n}", value) for n, value in enumerate(_values(text), start=1)]
            return
        except (ValueError, RecursionError) as error:
            if text.lstrip().startswith("[") or lines[0][1].strip() == "{":
                yield Row("", InputError(f"not valid JSON ({error})"))
                return
    for where, line in lines:
        yield Row(where, _json(line))


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return InputError(f"not valid JSON ({error})")


def _values(text: str) -> Iterator[Any]:
    """Yield the items of the arrays, and the other values, that a text consists of."""
    at = _after_space(text, 0)
    while at < len(text):
        value, at = _DECODER.raw_decode(text, at)
        yield from value if isinstance(value, list) else [value]
        at = _after_space(text, at)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _table_rows(text: str, question: Collection[str]) -> Iterator[Row]:
    delimiter = _delimiter(text, question)
    rows = _cells(text, delimiter or ",")
    where, header = next(rows, ("", None))
    if header is None:
        return
    if delimiter is None or isinstance(header, InputError):
        found = "" if isinstance(header, InputError) else f"; it names {', '.join(map(repr, header))}"
        wanted = f"the header of a table must name one column {' or '.join(question)}"
        yield Row(where, InputError(wanted + (found if len(found) < _SHOWN_CHARS else "")))
        return
    names = [name.strip() for name in header]
    for where, cells in rows:
        if isinstance(cells, InputError):
            yield Row(where, cells)
        elif any(cell.strip() for cell in cells[len(names) :]):
            told = f"{len(cells)} cells under {len(names)} columns; quote a text that holds a {delimiter!r}"
            yield Row(where, InputError(told))
        else:
            yield Row(
                where,
                {name: cell if cell.strip() else None for name, cell in zip(names, cells, strict=False)},
            )


def _looks_like_table(text: str, question: Collection[str]) -> bool:
    """Tell whether a text whose name says nothing begins with a header: several single words."""
    delimiter = _delimiter(text, question)
    if delimiter is None:
        return False
    _, header = next(_cells(text, delimiter))
    return not isinstance(header, InputError) and len(header) > 1 and all(map(_WORD.fullmatch, header))


def _delimiter(text: str, question: Collection[str]) -> str | None:
    """Return what stands between the cells of a table's header; None where it names no column of questions."""
    for delimiter in "\t,;":
        _, header = next(_cells(text, delimiter), ("", []))
        names = () if isinstance(header, InputError) else header
        if any(name.strip().casefold() in question for name in names):
            return delimiter
    return None


def _cells(text: str, delimiter: str) -> Iterator[tuple[str, list[str] | InputError]]:
    """Yield the rows of a table that aren't blank, each with the line where it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        where = f"line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield where, InputError(f"not a valid row ({error}); write a quote inside quotes as two")
            continue
        if any(cell.strip() for cell in cells):
            yield where, cells
