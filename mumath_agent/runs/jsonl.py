"""Read, append to and replace files of JSON lines: the one way this project keeps records on disk.

A process that is killed while it appends leaves a torn tail: a last line without a line break that isn't whole JSON.
One policy covers every file: readers leave a torn tail out, and `mend` cuts it off before anything is appended. A last
line that is whole JSON and lacks only its line break counts. Whoever replaces a file leaves the old content or the new
one, on disk, whatever happens.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from mumath_agent.errors import InputError
from mumath_agent.records import from_json, to_json

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a file that isn't blank."""

    number: int
    """Counted from 1."""
    start: int
    """Where it begins, in bytes."""
    data: bytes

    @property
    def text(self) -> str:
        """The line without its line break.

        Raises:
            InputError: it isn't UTF-8.
        """
        try:
            return self.data.decode("utf-8-sig" if self.number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise InputError(f"not UTF-8 text (byte {error.start})") from None


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the whole lines of a file that aren't blank.

    Raises:
        InputError: the file can't be read.
    """
    start = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip() and (line.endswith(b"\n") or _is_json(line)):
                    yield Line(number=number, start=start, data=line)
                start += len(line)
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None


def read_records(path: Path, record_type: type[T]) -> Iterator[T | InputError]:
    """Yield the records of a file in order, with an error in the place of each line that isn't one.

    Raises:
        InputError: the file can't be read.
    """
    for line in read_lines(path):
        try:
            yield parse_record(line.text, record_type)
        except InputError as error:
            yield InputError(f"{path} line {line.number}: {error}")


def load_records(path: Path, record_type: type[T], *, limit: int | None = None) -> list[T]:
    """Return the first `limit` records of a file.

    Raises:
        InputError: the file can't be read, holds no record, or a line isn't one; the message names the line.
    """
    records: list[T] = []
    for record in islice(read_records(path, record_type), limit):
        if isinstance(record, InputError):
            raise record
        records.append(record)
    if not records:
        raise InputError(f"{path} holds no {record_type.__name__}")
    return records


def read_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the JSON objects of a file of any columns, each with its place: "train.jsonl line 3".

    Raises:
        InputError: the file can't be read, or a line isn't a JSON object; the message names the line.
    """
    for line in read_lines(path):
        place = f"{path} line {line.number}"
        try:
            value = json.loads(line.text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{place}: not valid JSON ({error})") from None
        if not isinstance(value, dict):
            raise InputError(f"{place}: a JSON object is expected, this is a {type(value).__name__}")
        yield place, value


def parse_record(text: str, record_type: type[T]) -> T:
    """Return the record that a line holds.

    Raises:
        InputError: it isn't JSON, or not of this type.
    """
    try:
        return from_json(record_type, json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid JSON ({error})") from None


def dump_line(value: Any) -> str:
    """Return a record or a JSON value as one line of text, without its line break."""
    plain = value if isinstance(value, dict | list) else to_json(value)
    return json.dumps(plain, ensure_ascii=False)


def append_line(path: Path, value: Any) -> int:
    """Append a record or a JSON value to a file, wait until it is on disk, and return the byte where it begins.

    Raises:
        InputError: it can't be written; what was written before is safe.
    """
    try:
        with path.open("ab") as file:
            start = file.tell()
            file.write(f"{dump_line(value)}\n".encode())
            file.flush()
            os.fsync(file.fileno())
            return start
    except OSError as error:
        raise InputError(
            f"can't write to {path}: {error.strerror}; what was written before is safe, "
            "and the same command goes on from there"
        ) from None


def mend(path: Path) -> None:
    """Make a file ready to be appended to: create it, cut off a torn tail, end the last line.

    Raises:
        InputError: it can't be written.
    """
    try:
        path.open("ab").close()  # unlike touch, leaves the time of a file that is there
        with path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            tail = _tail(file, size)
            if tail and not _is_json(tail):
                file.truncate(size - len(tail))
            elif tail:
                file.seek(0, os.SEEK_END)
                file.write(b"\n")
    except OSError as error:
        raise InputError(f"can't write to {path}: {error.strerror}") from None


def replace_file(path: Path, content: str | bytes | Iterable[str]) -> None:
    """Replace the content of a file atomically and durably; a link's target is replaced, and its mode stays.

    Raises:
        InputError: it can't be written; the old content is still there.
    """
    fresh: Path | None = None
    try:
        target = path.resolve()
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        fresh = Path(name)
        with os.fdopen(handle, "wb") as file:
            for piece in [content] if isinstance(content, str | bytes) else content:
                file.write(piece if isinstance(piece, bytes) else piece.encode())
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask())
        fresh.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror}; the same command tries again") from None
    finally:
        if fresh is not None:
            fresh.unlink(missing_ok=True)


def replace_lines(path: Path, values: Iterable[Any]) -> None:
    """Replace the content of a file by records or JSON values, one a line; see `replace_file`.

    Raises:
        InputError: it can't be written; the old content is still there.
    """
    replace_file(path, (f"{dump_line(value)}\n" for value in values))


def _tail(file: Any, size: int) -> bytes:
    """Return what stands behind the last line break."""
    tail, start, block = b"", size, 1 << 16
    while start > 0 and b"\n" not in tail:
        start = max(0, start - block)
        file.seek(start)
        tail = file.read(size - start)
    return tail.rpartition(b"\n")[2]


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _umask() -> int:
    """Return the process's umask; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Make a rename durable: it is on disk when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
