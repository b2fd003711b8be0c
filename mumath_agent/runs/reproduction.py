"""Do recorded programs still give what they gave? Run sessions again and compare them, cell by cell.

    file ─▶ recorded sessions ─ replay ─▶ executions ─▶ how each cell compares

Sessions come from run records or a notebook (`notebook`). What is compared is the text a reader sees: all that was
printed, the last value, the exception with its message. Of figures only the bytes can be compared. Nothing is printed
here.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path

from mumath_agent.concurrency import for_each
from mumath_agent.dialects.output import output_text
from mumath_agent.errors import InputError
from mumath_agent.protocols import ExecutedCell
from mumath_agent.records import Execution, ExecutionStatus, Limits, RunRecord
from mumath_agent.runs.executed import STOPPED, ExecutedSession, restarts_of, session_of
from mumath_agent.runs.jsonl import read_records
from mumath_agent.runs.notebook import read_notebook
from mumath_agent.runs.replay import Replayer, Session

UNKNOWN_TIMEOUT_S = 60.0
"""The limit for cells of notebooks that name none."""
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
"""A decimal or an integer, also one with an exponent."""
_ANY_LENGTH = 10**9
_RELATIVE = 1e-6
_SHOWN_CHARS = 200
_PEEKED_BYTES = 1 << 16
_FAILING_LINE = re.compile(r"line \d+: [^\n]*\n(?=.)", re.DOTALL)


class CellOutcome(StrEnum):
    """What became of a recorded cell when it ran again."""

    SAME = "same"
    ROUNDED = "rounded"
    """The same words and integers; white space may differ, and decimals by a relative 1e-6."""
    DIFFERS = "differs"
    ERROR = "error"
    """It went well then and fails now."""
    TIMED_OUT = "timed_out"
    """It ended by itself then and was stopped now."""
    UNDECIDED = "undecided"
    """The recording can't be held against anything; the detail says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellComparison:
    """How a cell's output compares with the recorded one."""

    outcome: CellOutcome
    recorded: str | None = None
    """The first line that differs, as recorded; None unless outputs are compared."""
    now: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionComparison:
    """A session that was run again, cell by cell."""

    id: str
    isolation: str
    cells: tuple[CellComparison, ...]


def recorded_sessions(path: Path) -> Iterator[ExecutedSession | InputError]:
    """Yield the sessions of a notebook (.ipynb), of a folder of them, or of a file of run records.

    An error stands in the place of each notebook of a folder and each line that can't be read.

    Raises:
        InputError: the file can't be read.
    """
    if path.is_dir():
        for notebook in notebooks_in(path):
            try:
                yield read_notebook(notebook)
            except InputError as error:
                yield error
        return
    if path.suffix == ".ipynb":
        yield read_notebook(path)
        return
    with suppress(OSError), path.open("rb") as file:
        if b"\0" in file.read(_PEEKED_BYTES):
            raise InputError(f"{path} isn't text (it contains a zero byte); give run records or a notebook")
    for record in read_records(path, RunRecord):
        yield record if isinstance(record, InputError) else session_of(record)


def notebooks_in(folder: Path) -> list[Path]:
    """Return the notebooks of a folder in the order of their names, numbers as numbers."""
    found = (path for path in folder.glob("*.ipynb") if path.is_file())
    return sorted(found, key=lambda path: [part.zfill(9) for part in re.split(r"(\d+)", path.name)])


async def reproduce_all(
    sessions: Iterable[ExecutedSession],
    *,
    concurrency: int,
    timeout_s: float | None = None,
    unsafe_local: bool = False,
    on_compared: Callable[[SessionComparison], None],
) -> None:
    """Run every session again and compare it, at most `concurrency` at once.

    Args:
        sessions: read as places become free.
        concurrency: how many kernels run at once.
        timeout_s: for every cell, instead of the limit it was recorded with.
        unsafe_local: run programs even where this machine can't confine them.
        on_compared: gets each comparison when it is made.

    Raises:
        KernelError: no kernel could be started.
    """
    async with Replayer(unsafe_local=unsafe_local) as replayer:

        async def reproduce(session: ExecutedSession) -> None:
            on_compared(await _reproduced(session, replayer, timeout_s))

        await for_each(sessions, reproduce, concurrency=concurrency)


async def _reproduced(
    recorded: ExecutedSession, replayer: Replayer, timeout_s: float | None
) -> SessionComparison:
    """Run a session again and compare; where something differs, once more, to see whether it always does."""
    session = _to_run(recorded, timeout_s)
    now = await replayer.run(session)
    found = _compared(recorded.cells, now.executions)
    if any(cell.outcome in (CellOutcome.DIFFERS, CellOutcome.ERROR) for cell in found):
        third = await replayer.run(session)
        cells = zip(found, now.executions, third.executions, strict=True)
        found = [_unless_it_varies(*each) for each in cells]
    return SessionComparison(id=recorded.id, isolation=now.isolation, cells=tuple(found))


def _to_run(recorded: ExecutedSession, timeout_s: float | None) -> Session:
    settings = recorded.settings
    limits = settings.limits if settings else Limits(cell_timeout_s=UNKNOWN_TIMEOUT_S)
    return Session(
        id=recorded.id,
        programs=tuple(code for code, _ in recorded.cells),
        limits=replace(limits, cell_timeout_s=timeout_s or limits.cell_timeout_s),
        fresh_cells=settings is not None and settings.fresh_cells,
        rebuild_state=settings is not None and settings.rebuild_state,
        restarts=restarts_of(recorded.cells),
    )


def _compared(cells: Sequence[ExecutedCell], again: Sequence[Execution]) -> list[CellComparison]:
    """Compare cell by cell; behind one that was stopped on one side only, the sessions aren't the same any more."""
    found: list[CellComparison] = []
    parted = False
    for (_, recorded), now in zip(cells, again, strict=True):
        cell = compare_executions(recorded, now)
        if parted and cell.outcome is not CellOutcome.SAME:
            cell = CellComparison(
                outcome=CellOutcome.UNDECIDED, detail="an earlier program was stopped, then or now"
            )
        found.append(cell)
        if recorded.status in STOPPED and recorded.state_lost:
            parted = False  # here, too, a new session follows
        elif (recorded.status in STOPPED) != (now.status in STOPPED):
            parted = True
    return found


def compare_executions(recorded: Execution, now: Execution) -> CellComparison:
    """Compare what a cell gives now with what it gave."""
    if recorded.status in STOPPED:
        if now.status is recorded.status:
            return CellComparison(outcome=CellOutcome.SAME)
        return CellComparison(
            outcome=CellOutcome.UNDECIDED, detail="the program was stopped when it was recorded"
        )
    if now.status is ExecutionStatus.TIMEOUT:
        return CellComparison(outcome=CellOutcome.TIMED_OUT, detail=now.error and now.error.split("\n")[-1])
    before, after = visible_text(recorded), visible_text(now)
    if before == after:
        if recorded.artefacts == now.artefacts:
            return CellComparison(outcome=CellOutcome.SAME)
        return CellComparison(outcome=CellOutcome.UNDECIDED, detail="the figures are not the same bytes")
    if same_numbers(before, after):
        return _different(CellOutcome.ROUNDED, before, after)
    failed = now.error is not None and recorded.error is None
    return _different(CellOutcome.ERROR if failed else CellOutcome.DIFFERS, before, after)


def visible_text(execution: Execution) -> str:
    """Return what the program itself made visible, uncut.

    Notices of ours are left out, and so is the line that failed: not every recording has it.
    """
    error = execution.error and _FAILING_LINE.sub("", execution.error, count=1)
    own = replace(execution, error=error, state_lost=False, edited=None)
    return output_text(own, max_chars=_ANY_LENGTH)


def same_numbers(one: str, other: str) -> bool:
    """Tell whether two texts have the same wording and integers, and decimals that are equal to a relative 1e-6."""
    if wording(one) != wording(other):
        return False
    return all(map(_same_number, NUMBER.findall(one), NUMBER.findall(other)))


def wording(text: str) -> str:
    """Return `text` with a mark in the place of each number and one space for all white space."""
    return " ".join(NUMBER.sub("#", text).split())


def _same_number(one: str, other: str) -> bool:
    if one.lstrip("+-").isdigit() and other.lstrip("+-").isdigit():
        return one == other
    return math.isclose(float(one), float(other), rel_tol=_RELATIVE)


def _different(outcome: CellOutcome, before: str, after: str) -> CellComparison:
    """Show the first line in which the two differ; an empty one stands for a line only the other has."""
    lines = zip_longest(before.split("\n"), after.split("\n"), fillvalue="")
    recorded, now = next((one, other) for one, other in lines if one != other)
    return CellComparison(outcome=outcome, recorded=_cut(recorded), now=_cut(now))


def _cut(line: str) -> str:
    return line if len(line) <= _SHOWN_CHARS else f"{line[:_SHOWN_CHARS]} …"


def _unless_it_varies(found: CellComparison, now: Execution, third: Execution) -> CellComparison:
    """Decide nothing on a cell that gives something else in every run: the recording is as good as any."""
    differs = found.outcome in (CellOutcome.DIFFERS, CellOutcome.ERROR)
    if differs and visible_text(now) != visible_text(third):
        return replace(found, outcome=CellOutcome.UNDECIDED, detail="no two runs give the same")
    return found
