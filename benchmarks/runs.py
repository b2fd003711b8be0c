"""Write and read runs: a folder with `manifest.json` and `attempts.jsonl`, one `RunRecord` a line.

Written by `run` and `replay` (`RunFolder`), read by `report`, `compare` and `regrade` (`load_run`). A bare JSONL file
of run records, such as `mumath-agent solve --file` writes, is a run without a manifest.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self

from mumath_agent.errors import InputError
from mumath_agent.json_form import OMITTED_IF_NONE
from mumath_agent.records import Problem, RunRecord, Settings, from_json, to_json
from mumath_agent.runs.identity import first_difference
from mumath_agent.runs.jsonl import load_records, replace_file
from mumath_agent.runs.locks import only_writer
from mumath_agent.runs.results import ResultsFile
from mumath_agent.solutions import Attempts

MANIFEST, ATTEMPTS = "manifest.json", "attempts.jsonl"
_IDENTITY = ("task", "source", "problems", "samples", "seed", "settings")
"""The fields of a manifest that two commands must agree on to write into one run."""
_MAY_GROW = ("problems", "samples")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunManifest:
    """All that describes a run: enough to make it again, and to see why another gave something else."""

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
    """Those of Python, the system, and the packages that matter."""
    commit: str | None
    """This repository's; "+" at its end says that files were changed."""
    servers: tuple[dict[str, str], ...] = ()
    """What each server said about itself: its engine's version, the model's context length and the like."""
    how: Annotated[Attempts | None, OMITTED_IF_NONE] = None
    """How several attempts at a problem were voted on and ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as read back. Records are in the file's order."""

    path: Path
    manifest: RunManifest | None
    records: tuple[RunRecord, ...]

    @property
    def name(self) -> str:
        """The name that reports have for the run."""
        return self.path.stem if self.path.suffix else self.path.name


def load_run(path: Path) -> Run:
    """Return the run in a folder, or in a JSONL file of run records. A torn last line is left out.

    Raises:
        InputError: there is no such run, or a line isn't a run record.
    """
    attempts = path / ATTEMPTS if path.is_dir() else path
    records = load_records(attempts, RunRecord)
    return Run(path=path, manifest=load_manifest(path), records=tuple(_newest(records)))


def load_manifest(path: Path) -> RunManifest | None:
    """Return the manifest of a run's folder, if it has one.

    Raises:
        InputError: it isn't one.
    """
    file = path / MANIFEST
    if not file.is_file():
        return None
    try:
        return from_json(RunManifest, json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, InputError) as error:
        raise InputError(f"{file} isn't the manifest of a run ({error})") from None


class RunFolder:
    """A run being written. One process at a time; `with RunFolder(path, manifest) as folder`."""

    def __init__(self, path: Path, manifest: RunManifest) -> None:
        """Take what is going to be written, and where; nothing happens yet."""
        self.path = path
        self._manifest = manifest

    def __enter__(self) -> Self:
        """Take the folder, read what an earlier command left in it, and refuse to mix.

        Raises:
            InputError: it can't be written, is in use, or holds another run.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"can't write a run to {self.path}: {error.strerror}") from None
        with ExitStack() as stack:
            stack.enter_context(only_writer(self.path / ATTEMPTS))
            self._take()
            self._held = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the folder."""
        self._held.close()

    def done(self, problem: Problem, sample: int, key: str) -> RunRecord | None:
        """Return the record of an attempt that needn't be made again; see `batch.Store`."""
        return self._results.done(problem, sample, key)

    def append(self, record: RunRecord) -> None:
        """Write a record; it is on disk when this returns."""
        self._results.append(record)

    def sort(self, problems: Sequence[Problem], samples: int) -> None:
        """Put the lines into the order of the problems, once all attempts are made."""
        self._results.sort(problems, samples)

    def _take(self) -> None:
        earlier = load_manifest(self.path)
        if earlier is not None:
            _refuse_other(earlier, self._manifest, self.path)
        elif (self.path / ATTEMPTS).stat().st_size:
            raise InputError(f"{self.path} holds attempts but no {MANIFEST}; name another folder with --out")
        self._results = ResultsFile(self.path / ATTEMPTS)
        if earlier is None or (earlier.problems, earlier.samples) != (
            self._manifest.problems,
            self._manifest.samples,
        ):
            text = json.dumps(to_json(self._manifest), indent=1, ensure_ascii=False)
            replace_file(self.path / MANIFEST, text)


def _refuse_other(earlier: RunManifest, now: RunManifest, path: Path) -> None:
    """Refuse another run; more problems or samples of the same are welcome."""
    before, after = _identity(earlier), _identity(now)
    for name in _MAY_GROW:
        before[name] = max(before[name], after[name])
    if what := first_difference(before, after):
        raise InputError(f"{path} was made with {what}; name another folder with --out")


def _identity(manifest: RunManifest) -> dict[str, Any]:
    values = to_json(manifest)
    return {name: values[name] for name in _IDENTITY}


def _newest(records: list[RunRecord]) -> list[RunRecord]:
    """Keep one record an attempt: one made again after machinery broke replaces the broken one."""
    by_attempt = {(record.problem.id, record.problem.question, record.sample): record for record in records}
    return list(by_attempt.values())
