"""A run on disk: a folder with `manifest.json` and `attempts.jsonl`, one `RunRecord` a line.

Written by `run` and `replay`, read by `report`, `compare` and `regrade`. A bare JSONL file of run records, such as
`mumath-agent solve --file` writes, is a run without a manifest.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from mumath_agent.errors import InputError
from mumath_agent.records import RunRecord, Settings, StopReason, from_json, to_json

MANIFEST, ATTEMPTS = "manifest.json", "attempts.jsonl"

BROKEN = (StopReason.MODEL_ERROR, StopReason.KERNEL_ERROR, StopReason.INTERNAL_ERROR)
"""Attempts that machinery ended: counted apart, made again on the next occasion, never scored."""


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
    try:
        text = attempts.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise InputError(f"can't read {attempts}: {error.strerror}") from None
    whole = text.rpartition("\n")[0]
    records = [
        _record(line, attempts, number) for number, line in enumerate(whole.split("\n"), start=1) if line
    ]
    if not records:
        raise InputError(f"{attempts} holds no attempt")
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


def line_of(record: RunRecord) -> str:
    return json.dumps(to_json(record), ensure_ascii=False)


def _record(line: str, path: Path, number: int) -> RunRecord:
    try:
        return from_json(RunRecord, json.loads(line))
    except (ValueError, InputError) as error:
        raise InputError(f"{path} line {number} is no run record ({error})") from None


def _newest(records: list[RunRecord]) -> list[RunRecord]:
    """One record an attempt: one made again after machinery broke replaces the broken one."""
    by_attempt = {(record.problem.id, record.problem.question, record.sample): record for record in records}
    return list(by_attempt.values())
