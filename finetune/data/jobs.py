"""Run one stage of the data pipeline: JSONL in, JSONL out, a manifest beside it; the same command goes on.

    input.jsonl ─▶ items ─▶ work(item) → rows ─▶ output.jsonl.part ─▶ output.jsonl, output.jsonl.manifest.json

A stage first writes a manifest that says whose output it will be. What an item gives is one line of the part file,
written the moment it is known, so a stage killed at any point goes on behind the last whole line. In the end the rows
are put into the order of the items: the output depends on input and settings, not on which worker was quicker.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from mumath_agent import __version__
from mumath_agent.concurrency import for_each
from mumath_agent.errors import InputError
from mumath_agent.problems import read_text
from mumath_agent.records import to_json
from mumath_agent.runs.identity import require_same
from mumath_agent.runs.jsonl import (
    append_line,
    dump_line,
    mend,
    parse_record,
    read_lines,
    replace_file,
)
from mumath_agent.runs.locks import only_writer

T = TypeVar("T")
Item = TypeVar("Item")

OnProgress = Callable[[int, int], None]
"""Is told how much is done, of how much."""


def silent(done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIdentity:
    """Everything that a stage's output depends on. Another identity needs another output file."""

    stage: str
    inputs: dict[str, str]
    """SHA-256 by file name."""
    settings: dict[str, Any]
    prompts: dict[str, str] = field(default_factory=dict)
    """SHA-256 by prompt file."""
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobManifest:
    """The report of a stage, which lies beside its output."""

    identity: JobIdentity
    rows: int
    counts: dict[str, int]
    """Items by what became of them, in the stage's words."""
    finished: bool = True
    version: str = __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult(Generic[T]):
    """The rows that an item gave."""

    rows: tuple[T, ...]
    counts: dict[str, int] = field(default_factory=dict)
    """Kinds of rows, and reasons for none; the manifest adds them up."""


async def run_job(
    items: Sequence[Item],
    work: Callable[[Item], Awaitable[JobResult[T]]],
    *,
    out: Path,
    identity: JobIdentity,
    key: Callable[[Item], str],
    concurrency: int = 1,
    on_progress: OnProgress = silent,
) -> JobManifest:
    """Await `work` on every item that isn't done, at most `concurrency` at a time, and write what they gave to `out`.

    An output that an earlier command finished isn't made again.

    Raises:
        InputError: the output belongs to another job, or can't be written; nothing done before is lost.
        MuMathError: `work` raised it (a teacher is down, say); what was done is kept.
    """
    make_parent(out)
    path = out.with_name(f"{out.name}.part")
    with only_writer(path):
        begun = begin(out, identity)
        if begun.finished:
            return begun
        part = _Part(path)
        owed = [item for item in items if key(item) not in part]
        done = len(items) - len(owed)
        on_progress(done, len(items))

        async def work_on(item: Item) -> None:
            nonlocal done
            part.add(key(item), await work(item))
            done += 1
            on_progress(done, len(items))

        await for_each(owed, work_on, concurrency=concurrency)
        return part.finish(out, identity, [key(item) for item in items])


def begin(out: Path, identity: JobIdentity) -> JobManifest:
    """Claim an output file; return the manifest that lies beside it now, finished or not.

    Raises:
        InputError: the file belongs to another stage, or to other input or settings; or it can't be written.
    """
    if manifest_path(out).exists():
        manifest = read_manifest(out)
        require_same(to_json(manifest.identity), to_json(identity), str(out))
        if out.exists() or not manifest.finished:
            return manifest
    elif out.exists():
        raise InputError(f"{out} wasn't made by this program (it has no manifest); name another file")
    make_parent(out)
    manifest = JobManifest(identity=identity, rows=0, counts={}, finished=False)
    write_manifest(out, manifest)
    return manifest


def make_parent(out: Path) -> None:
    """Make the folder that an output lies in.

    Raises:
        InputError: it can't be made.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"can't write to {out}: {error.strerror}") from None


def manifest_path(out: Path) -> Path:
    """Return where the manifest of an output lies."""
    return out.with_name(f"{out.name}.manifest.json")


def write_manifest(out: Path, manifest: JobManifest) -> None:
    """Write the manifest beside an output; a crash leaves the old or the new one, whole."""
    replace_file(manifest_path(out), json.dumps(to_json(manifest), indent=1, ensure_ascii=False) + "\n")


def read_manifest(out: Path) -> JobManifest:
    """Return the manifest beside an output.

    Raises:
        InputError: there is none.
    """
    path = manifest_path(out)
    try:
        return parse_record(read_text(path), JobManifest)
    except InputError as error:
        raise InputError(f"{path} isn't the manifest of a stage ({error})") from None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        InputError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None


class _Part:
    """The file of results, in the order in which they came."""

    def __init__(self, path: Path) -> None:
        self._path = path
        mend(path)
        self._starts: dict[str, int] = {json.loads(line.text)["key"]: line.start for line in read_lines(path)}

    def __contains__(self, key: str) -> bool:
        return key in self._starts

    def add(self, key: str, result: JobResult[Any]) -> None:
        line = {"key": key, "rows": [to_json(row) for row in result.rows], "counts": result.counts}
        self._starts[key] = append_line(self._path, line)

    def finish(self, out: Path, identity: JobIdentity, keys: Sequence[str]) -> JobManifest:
        """Write the rows in the order of `keys`, then the manifest."""
        counts: Counter[str] = Counter()
        rows = 0

        def lines() -> Iterator[str]:
            nonlocal rows
            for result in self._results(keys):
                counts.update(result["counts"])
                rows += len(result["rows"])
                yield from (f"{dump_line(row)}\n" for row in result["rows"])

        replace_file(out, lines())
        manifest = JobManifest(identity=identity, rows=rows, counts=dict(sorted(counts.items())))
        write_manifest(out, manifest)
        self._path.unlink(missing_ok=True)
        return manifest

    def _results(self, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as part:
            for key in keys:
                part.seek(self._starts[key])
                yield json.loads(part.readline())
