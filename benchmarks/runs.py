"""A run on disk: a folder with `manifest.json` and `attempts.jsonl`, one `RunRecord` a line.

Written by `run` and `replay` (`RunFolder`), read by `report`, `compare` and `regrade` (`load_run`). A bare JSONL file
of run records, such as `mumath-agent solve --file` writes, is a run without a manifest.
"""

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from mumath_agent.errors import InputError
from mumath_agent.records import BROKEN, Problem, RunRecord, Settings, from_json, to_json
from mumath_agent.runs.jsonl import load_records, replace_file
from mumath_agent.runs.results import ResultsFile, difference

MANIFEST, ATTEMPTS = "manifest.json", "attempts.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a run was: enough to make it again, and to see why another gave something else."""

    task: str
    source: str
    """Where the problems came from: repository and revision, or file and its SHA-256."""
    problems: int
    samples: int
    seed: int | None
    settings: Settings
    isolation: str
    started_at: str
    """UTC, ISO 8601."""
    versions: dict[str, str]
    """Of Python, the system, and the packages that matter."""
    commit: str | None
    """Of this repository; "+" at its end says that files were changed."""
    servers: tuple[dict[str, str], ...] = ()
    """What each server said of itself: its engine's version, the model's context length and the like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as read back. Records are in the file's order."""

    path: Path
    manifest: Manifest | None
    records: tuple[RunRecord, ...]

    @property
    def name(self) -> str:
        return self.path.stem if self.path.suffix else self.path.name


def load_run(path: Path) -> Run:
    """The run in a folder, or in a JSONL file of run records. A torn last line is left out.

    Raises:
        InputError: there is no such run, or a line is no run record.
    """
    attempts = path / ATTEMPTS if path.is_dir() else path
    records = load_records(attempts, RunRecord)
    return Run(path=path, manifest=load_manifest(path), records=tuple(_newest(records)))


def load_manifest(path: Path) -> Manifest | None:
    """The manifest of a run's folder, if it has one.

    Raises:
        InputError: it is none.
    """
    file = path / MANIFEST
    if not file.is_file():
        return None
    try:
        return from_json(Manifest, json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, InputError) as error:
        raise InputError(f"{file} is no manifest of a run ({error})") from None


class RunFolder:
    """A run being written. One process at a time; `with RunFolder(path, manifest) as folder`."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """Say what is going to be written, and where; nothing happens yet."""
        self.path = path
        self._manifest = manifest

    def __enter__(self) -> Self:
        """Take the folder, read what an earlier command left in it, and refuse to mix.

        Raises:
            InputError: it can't be written, is in use, or holds another run.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise InputError(f"can't write a run to {self.path}: {error.strerror}") from None
        try:
            self._take()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._lock)

    def done(self, problem: Problem, sample: int, key: str) -> RunRecord | None:
        """See `batch.Store`."""
        return self._results.done(problem, sample, key)

    def append(self, record: RunRecord) -> None:
        """See `batch.Store`."""
        self._results.append(record)

    def sort(self, problems: Sequence[Problem], samples: int) -> None:
        """Put the lines into the order of the problems, once all attempts are made."""
        self._results.sort(problems, samples)

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{self.path} is in use by another command") from None
        earlier = load_manifest(self.path)
        if earlier is not None:
            _refuse_other(earlier, self._manifest, self.path)
        elif (self.path / ATTEMPTS).exists():
            raise InputError(f"{self.path} holds attempts but no {MANIFEST}; name another folder with --out")
        self._results = ResultsFile(self.path / ATTEMPTS)
        if earlier is None or (earlier.problems, earlier.samples) != (
            self._manifest.problems,
            self._manifest.samples,
        ):
            text = json.dumps(to_json(self._manifest), indent=1, ensure_ascii=False)
            replace_file(self.path / MANIFEST, text)


def _refuse_other(earlier: Manifest, now: Manifest, path: Path) -> None:
    """More problems or samples of the same are welcome; anything else is another run."""
    what = difference(earlier.settings, now.settings)
    for name in ("task", "source", "problems", "samples", "seed"):
        before, after = getattr(earlier, name), getattr(now, name)
        is_growth = name in ("problems", "samples") and before < after
        if before != after and not is_growth:
            what = f"{name} {before}, now it is {after}"
    if what:
        raise InputError(f"{path} was made with {what}; name another folder with --out")


def _newest(records: list[RunRecord]) -> list[RunRecord]:
    """One record an attempt: one made again after machinery broke replaces the broken one."""
    by_attempt = {(record.problem.id, record.problem.question, record.sample): record for record in records}
    return list(by_attempt.values())


__all__ = [
    "ATTEMPTS",
    "BROKEN",
    "MANIFEST",
    "Manifest",
    "Run",
    "RunFolder",
    "load_manifest",
    "load_run",
]
