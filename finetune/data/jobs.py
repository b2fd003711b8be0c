"""One stage of the data pipeline: JSONL in, JSONL out, a manifest beside it; the same command goes on.

    input.jsonl ─▶ items ─▶ work(item) → rows ─▶ output.jsonl.part ─▶ output.jsonl, output.jsonl.manifest.json

What an item gave is one line of the part file, written the moment it is known, so that a stage killed at any point
goes on behind the last whole line, and an item that gave nothing is not worked on again. In the end the rows are put
into the order of the items, so the output depends on input and settings only, not on who was quicker. What is done to
an item, and what rows mean, is the stage's own business.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import anyio

from mumath_agent import __version__
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.problems import decode, read_text
from mumath_agent.records import from_json, to_json

T = TypeVar("T")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIdentity:
    """What a stage's output depends on. Another identity is another output file."""

    stage: str
    inputs: dict[str, str]
    """SHA-256 by file name."""
    settings: dict[str, Any]
    prompts: dict[str, str] = field(default_factory=dict)
    """SHA-256 by prompt file."""
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobManifest:
    """Beside every output."""

    identity: JobIdentity
    rows: int
    counts: dict[str, int]
    """What became of the items, by reason, as the stage tells it."""
    finished: bool = True
    version: str = __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult(Generic[T]):
    """What an item gave."""

    rows: tuple[T, ...]
    counts: dict[str, int] = field(default_factory=dict)
    """For the manifest: reasons of drops, kinds of rows."""


def read_records(path: Path, record_type: type[T], *, limit: int | None = None) -> list[T]:
    """The first `limit` records of a JSONL file.

    Raises:
        InputError: the file can't be read, or a line is no such record; it names the line.
    """
    try:
        with path.open("rb") as lines:
            records = list(islice(_records(lines, record_type, str(path)), limit))
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None
    if not records:
        raise InputError(f"{path} holds no {record_type.__name__}")
    return records


def _records(lines: Iterable[bytes], record_type: type[T], name: str) -> Iterator[T]:
    for number, line in enumerate(lines, start=1):
        where = f"{name} line {number}"
        if text := decode(line, where).strip():
            try:
                yield from_json(record_type, json.loads(text))
            except (ValueError, RecursionError, InputError) as error:
                raise InputError(f"{where}: {error}") from None


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None


class JobOutput(Generic[T]):
    """An output in the making."""

    def __init__(self, path: Path, identity: JobIdentity, row_type: type[T]) -> None:
        """Read what an earlier command left.

        Raises:
            InputError: it was another stage, input or setting; or the path can't be used.
        """
        self.path = path
        self._identity = identity
        self._row_type = row_type
        self._part = path.with_name(f"{path.name}.part")
        self._made: dict[str, int] = {}
        """Where in the part file the line of each item begins."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._refuse_other()
            self._read_part()
        except OSError as error:
            raise InputError(f"can't write to {path}: {error.strerror}") from None

    @property
    def finished(self) -> bool:
        """Whether an earlier command made all of it."""
        return self.path.exists() and manifest_path(self.path).exists()

    def done(self, key: str) -> bool:
        return key in self._made

    def add(self, key: str, made: JobResult[T]) -> None:
        """Keep what an item gave, on disk.

        Raises:
            InputError: it can't be written; nothing before it is lost.
        """
        line = {"key": key, "rows": [to_json(row) for row in made.rows], "counts": made.counts}
        self._made[key] = self._append(line)

    def finish(self, keys: Iterable[str]) -> JobManifest:
        """Write the rows in the order of `keys`, and the manifest."""
        counts: Counter[str] = Counter()
        rows = 0

        def lines() -> Iterator[str]:
            nonlocal rows
            with self._part.open("rb") as part:
                for key in keys:
                    part.seek(self._made[key])
                    line = json.loads(part.readline())
                    counts.update(line["counts"])
                    rows += len(line["rows"])
                    yield from (json.dumps(row, ensure_ascii=False) + "\n" for row in line["rows"])

        _write(self.path, lines())
        manifest = JobManifest(identity=self._identity, rows=rows, counts=dict(sorted(counts.items())))
        write_manifest(self.path, manifest)
        self._part.unlink(missing_ok=True)
        return manifest

    def _append(self, line: dict[str, Any]) -> int:
        """Write the line to the part file; where it begins."""
        try:
            with self._part.open("ab") as file:
                start = file.tell()
                file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
                return start
        except OSError as error:
            raise InputError(
                f"can't write to {self._part}: {error.strerror}; what was written before is safe, "
                "and the same command goes on from there"
            ) from None

    def _refuse_other(self) -> None:
        manifest = manifest_path(self.path)
        if self.path.exists() and not manifest.exists():
            raise InputError(
                f"{self.path} was not made by this stage (it has no manifest); name another file"
            )
        if manifest.exists():
            _require_same(self._identity, read_manifest(self.path).identity, self.path)

    def _read_part(self) -> None:
        """The first line says whose part it is; a torn last line is cut off."""
        if not self._part.exists():
            if not self.finished:
                self._append({"identity": to_json(self._identity)})
            return
        whole = 0
        with self._part.open("rb") as lines:
            for text in lines:
                if not text.endswith(b"\n"):
                    break
                line = json.loads(text)
                if whole:
                    self._made[line["key"]] = whole
                else:
                    _require_same(self._identity, from_json(JobIdentity, line["identity"]), self._part)
                whole += len(text)
        os.truncate(self._part, whole)
        if not whole:
            self._append({"identity": to_json(self._identity)})


async def run_job(
    items: Sequence[Item],
    work: Callable[[Item], Awaitable[JobResult[T]]],
    output: JobOutput[T],
    *,
    key: Callable[[Item], str],
    concurrency: int,
    on_done: Callable[[], None] = lambda: None,
) -> JobManifest:
    """Do a stage: `work` on every item that isn't done, at most `concurrency` at a time.

    What an earlier command made whole is not made again.

    Raises:
        MuMathError: `work` raised it (a teacher is down, say). What was done is kept.
    """
    if output.finished:
        return read_manifest(output.path)
    owed = iter([item for item in items if not output.done(key(item))])
    failures: list[MuMathError] = []

    async def worker(scope: anyio.CancelScope) -> None:
        for item in owed:
            try:
                output.add(key(item), await work(item))
            except MuMathError as error:
                failures.append(error)
                scope.cancel()
                return
            on_done()

    async with anyio.create_task_group() as workers:
        for _ in range(concurrency):
            workers.start_soon(worker, workers.cancel_scope)
    if failures:
        raise failures[0]
    return output.finish(map(key, items))


def begin(output: Path, identity: JobIdentity) -> None:
    """For a stage that writes its output line by line itself: say whose it is, refuse to mix.

    Raises:
        InputError: the output is another stage's, or of other input or settings; or it can't be written.
    """
    if manifest_path(output).exists():
        _require_same(identity, read_manifest(output).identity, output)
    elif output.exists():
        raise InputError(f"{output} was not made by this stage (it has no manifest); name another file")
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_manifest(output, JobManifest(identity=identity, rows=0, counts={}, finished=False))


def write_manifest(output: Path, manifest: JobManifest) -> None:
    """Write the manifest beside an output; a crash leaves the old or the new one, whole."""
    _write(manifest_path(output), [json.dumps(to_json(manifest), indent=1, ensure_ascii=False), "\n"])


def manifest_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.manifest.json")


def read_manifest(output: Path) -> JobManifest:
    """The manifest beside an output.

    Raises:
        InputError: there is none.
    """
    path = manifest_path(output)
    try:
        return from_json(JobManifest, json.loads(read_text(path)))
    except (ValueError, InputError) as error:
        raise InputError(f"{path} is no manifest of a stage ({error})") from None


def _require_same(now: JobIdentity, earlier: JobIdentity, path: Path) -> None:
    before, after = to_json(earlier), to_json(now)
    for name, value in after.items():
        if before[name] != value:
            raise InputError(
                f"{path} was made with another {name}: {_first(before[name], value)}; name another file"
            )


def _first(before: Any, now: Any) -> str:
    """The first difference, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                return f"{key} {_first(before.get(key), now.get(key))}"
    return f"was {before}, now it is {now}"


def _write(path: Path, texts: Iterable[str]) -> None:
    fresh = path.with_name(f"{path.name}.new")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.writelines(texts)
        fresh.replace(path)
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror}; the same command tries again") from None
