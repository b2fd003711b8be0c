"""Writes a selection: the training rows, the list of what was dropped and why, and last the manifest."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from finetune.data.jobs import JobIdentity, JobManifest, write_manifest
from finetune.data.select.report import Report
from finetune.data.select.selection import Selection
from mumath_agent.errors import InputError
from mumath_agent.records import to_json


def dropped_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.dropped.jsonl")


def write(output: Path, selection: Selection, report: Report, identity: JobIdentity) -> None:
    """Each file is written whole or not at all; the manifest says that all of them are.

    Raises:
        InputError: one of them can't be written.
    """
    _write_lines(dropped_path(output), selection.dropped)
    _write_lines(output, (attempt.solution for attempt in selection.kept))
    write_manifest(output, JobManifest(identity=identity, rows=report.kept, counts=report.counts))


def _write_lines(path: Path, records: Iterable[Any]) -> None:
    fresh = path.with_name(f"{path.name}.new")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(to_json(record), ensure_ascii=False) + "\n" for record in records)
        fresh.replace(path)
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror}; the same command tries again") from None
