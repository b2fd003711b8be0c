"""`mumath-agent replay`: do the programs of a record or a notebook still give what they gave?"""

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer

from mumath_agent.commands.console import USAGE, interruptible, progress_bar, show, usable
from mumath_agent.errors import InputError
from mumath_agent.records import to_json
from mumath_agent.runs.reproduction import (
    CellComparison,
    CellOutcome,
    SessionComparison,
    notebooks_in,
    recorded_sessions,
    reproduce_all,
)

SAME, DIFFERS = 0, 1
_FINE = (CellOutcome.SAME, CellOutcome.ROUNDED)


def replay(
    file: Annotated[
        Path,
        typer.Argument(help="A notebook (.ipynb), a folder of them, or a file of run records (JSONL)."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with every cell.")] = False,
    timeout: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds per cell, instead of the recorded limit.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Sessions replayed at a time.")] = 4,
    unsafe_local: Annotated[
        bool, typer.Option(help="Run programs even where this machine can't confine them, with your rights.")
    ] = False,
) -> None:
    """Run recorded programs again and say which cells still give what they gave.

    Each session runs in a new isolated kernel, with the limits it was recorded with. A cell gives the same, the same
    but for rounding, or something else; it fails, or is stopped; or it can't be decided, because the recorded program
    was stopped or gives something else every time.

    Examples:
        mumath-agent replay results.jsonl
        mumath-agent replay notebook.ipynb
        mumath-agent replay notebooks/

    Exit codes: 0 all the same, 1 some not, 2 the file or a line of it can't be used, 3 machinery broke,
    130 interrupted.
    """
    report = _Report(quiet=as_json)

    def run() -> int:
        with progress_bar("replaying") as progress:
            task = progress.add_task("", total=_sessions_in(file))

            def finish(compared: SessionComparison) -> None:
                report.add(compared)
                progress.advance(task)

            sessions = usable(recorded_sessions(file), report.errors, _nothing_in(file))
            anyio.run(
                partial(
                    reproduce_all,
                    sessions,
                    concurrency=concurrency,
                    timeout_s=timeout,
                    unsafe_local=unsafe_local,
                    on_compared=finish,
                )
            )
        return report.end(as_json)

    raise typer.Exit(interruptible(run))


class _Report:
    """The comparisons made so far, shown as they come or kept for one JSON object."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._counts: Counter[CellOutcome] = Counter()
        self._sessions: list[SessionComparison] = []
        self._seen = 0
        self.errors: list[InputError] = []

    def add(self, compared: SessionComparison) -> None:
        self._seen += 1
        self._counts.update(cell.outcome for cell in compared.cells)
        if self._quiet:
            self._sessions.append(compared)
        else:
            show("\n".join(_lines(compared)))

    def end(self, as_json: bool) -> int:
        """Print the sum of it all, and return the exit code."""
        if as_json:
            counts = {outcome.value: self._counts[outcome] for outcome in CellOutcome}
            sessions = [to_json(session) for session in self._sessions]
            show(json.dumps({"cells": counts, "sessions": sessions}, ensure_ascii=False))
        else:
            found = (outcome for outcome in CellOutcome if self._counts[outcome])
            said = ", ".join(f"{self._counts[outcome]} {_words(outcome)}" for outcome in found)
            show(f"cells: {said or 'none'}; sessions: {self._seen}")
        if self.errors:
            return USAGE
        return SAME if all(outcome in _FINE for outcome in self._counts) else DIFFERS


def _lines(compared: SessionComparison) -> Iterator[str]:
    """Yield one line for the session, and a few for each of its cells that doesn't give the same."""
    fine = sum(cell.outcome in _FINE for cell in compared.cells)
    yield f"{compared.id}: {fine} of {len(compared.cells)} cells give the same"
    for number, cell in enumerate(compared.cells, start=1):
        if cell.outcome is not CellOutcome.SAME:
            yield from _cell_lines(number, cell)


def _cell_lines(number: int, cell: CellComparison) -> Iterator[str]:
    yield f"  cell {number}: {_words(cell.outcome)}" + (f" ({cell.detail})" if cell.detail else "")
    if cell.recorded is not None:
        yield f"    recorded: {cell.recorded}"
        yield f"    now:      {cell.now}"


def _words(outcome: CellOutcome) -> str:
    return outcome.value.replace("_", " ")


def _nothing_in(file: Path) -> str:
    return f"{file} holds no notebook (.ipynb)" if file.is_dir() else f"{file} holds no run record"


def _sessions_in(file: Path) -> int | None:
    """Return how many sessions to expect; None where the file can't be read, which is said later."""
    if file.is_dir():
        return len(notebooks_in(file))
    if file.suffix == ".ipynb":
        return 1
    try:
        with file.open("rb") as lines:
            return sum(bool(line.strip()) for line in lines)
    except OSError:
        return None
