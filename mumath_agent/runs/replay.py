"""Do recorded programs still give what they gave? Runs sessions again and compares, cell by cell.

    file ─▶ recorded sessions ─▶ fresh kernels ─▶ outcome of each cell

Sessions come from run records or a notebook (`notebook.py`). Each runs in a new isolated kernel with the limits of its
settings; where the recorded session lost its state, so does this one. What is compared is the text a reader sees: all
that was printed, the last value, the exception with its message. Of figures only the bytes can be compared. Nothing is
printed here and no model is asked.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path

from mumath_agent.concurrency import for_each
from mumath_agent.dialects.output import output_text
from mumath_agent.errors import InputError
from mumath_agent.kernels import JupyterExecutor, KernelPool, Sandbox
from mumath_agent.protocols import ExecutedCell
from mumath_agent.records import Execution, ExecutionStatus, Limits, RunRecord
from mumath_agent.runs.executed import Session, session_of
from mumath_agent.runs.jsonl import read_records
from mumath_agent.runs.notebook import read_notebook

UNKNOWN_TIMEOUT_S = 60.0
"""For cells of notebooks that name no limit."""
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
"""A decimal or an integer, also one with an exponent."""
_ANY_LENGTH = 10**9
_RELATIVE = 1e-6
_SHOWN_CHARS = 200
_FAILING_LINE = re.compile(r"line \d+: [^\n]*\n(?=.)", re.DOTALL)
_STOPPED = (ExecutionStatus.TIMEOUT, ExecutionStatus.DIED)
"""These programs didn't come to their own end, and what they gave depends on the moment."""


class Outcome(StrEnum):
    """What became of a recorded cell."""

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
class Found:
    """How a cell's output compares with the recorded one."""

    outcome: Outcome
    recorded: str | None = None
    """The first line that differs, as recorded; None unless outputs are compared."""
    now: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A session that was run again."""

    id: str
    isolation: str
    cells: tuple[Found, ...]


def recorded_sessions(path: Path) -> Iterator[Session | InputError]:
    """The sessions of a notebook (.ipynb) or of a file of run records, one at a time, with an error for each bad line.

    Raises:
        InputError: the file can't be read.
    """
    if path.suffix == ".ipynb":
        yield read_notebook(path)
        return
    for record in read_records(path, RunRecord):
        yield record if isinstance(record, InputError) else session_of(record)


async def replay_all(
    sessions: Iterable[Session],
    *,
    concurrency: int,
    timeout_s: float | None = None,
    unsafe_local: bool = False,
    on_replayed: Callable[[Replayed], None],
) -> None:
    """Run every session again, at most `concurrency` at once; `on_replayed` gets them as they end.

    Args:
        sessions: read as places become free.
        concurrency: how many kernels run at once.
        timeout_s: for every cell, instead of the limit it was recorded with.
        unsafe_local: also where this machine can't confine programs.
        on_replayed: what to do with a result.

    Raises:
        KernelError: no kernel could be started.
    """
    async with AsyncExitStack() as pools:
        pool_of: dict[int, KernelPool] = {}

        async def replay(session: Session) -> None:
            limits = _limits(session)
            if limits.memory_mb not in pool_of:
                sandbox = Sandbox(memory_mb=limits.memory_mb, unsafe_local=unsafe_local)
                pool_of[limits.memory_mb] = KernelPool(sandbox, spares=0)
                await pools.enter_async_context(pool_of[limits.memory_mb])
            seconds = timeout_s or limits.cell_timeout_s
            on_replayed(await replay_session(session, pool_of[limits.memory_mb], timeout_s=seconds))

        await for_each(sessions, replay, concurrency=concurrency)


async def replay_session(session: Session, pool: KernelPool, *, timeout_s: float) -> Replayed:
    """Run a session again and compare; where something differs, once more, to see whether it always does.

    Raises:
        KernelError: no kernel could be started.
    """
    again, isolation = await _run(session, pool, timeout_s)
    found = _compared(session.cells, again)
    if any(cell.outcome in (Outcome.DIFFERS, Outcome.ERROR) for cell in found):
        third, _ = await _run(session, pool, timeout_s)
        found = [_unless_it_varies(*each) for each in zip(found, again, third, strict=True)]
    return Replayed(id=session.id, isolation=isolation, cells=tuple(found))


def _limits(session: Session) -> Limits:
    return session.settings.limits if session.settings else Limits(cell_timeout_s=UNKNOWN_TIMEOUT_S)


async def _run(session: Session, pool: KernelPool, timeout_s: float) -> tuple[list[Execution], str]:
    """What each cell of a session gives here, and the level of isolation it ran at."""
    fresh = session.settings is not None and session.settings.fresh_cells
    rebuilt = session.settings is not None and session.settings.rebuild_state
    executions, isolation = [], "nothing ran"
    for stretch in _stretches(session.cells):
        async with JupyterExecutor(pool=pool, fresh_cells=fresh, rebuild_state=rebuilt) as executor:
            executions += [await executor.run(code, timeout_s=timeout_s) for code, _ in stretch]
            isolation = executor.isolation
    return executions, isolation


def _stretches(cells: Sequence[ExecutedCell]) -> Iterator[list[ExecutedCell]]:
    """The cells between two losses of the recorded session's state."""
    stretch: list[ExecutedCell] = []
    for ran in cells:
        is_lost, is_cause = ran.execution.state_lost, ran.execution.status in _STOPPED
        if is_lost and not is_cause and stretch:  # it was lost since the cell before
            yield stretch
            stretch = []
        stretch.append(ran)
        if is_lost and is_cause:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _compared(cells: Sequence[ExecutedCell], again: Sequence[Execution]) -> list[Found]:
    """How each cell compares; from one that was stopped on one side only, the sessions are not the same any more."""
    found: list[Found] = []
    parted = False
    for (_, recorded), now in zip(cells, again, strict=True):
        cell = compared(recorded, now)
        if parted and cell.outcome is not Outcome.SAME:
            cell = Found(outcome=Outcome.UNDECIDED, detail="an earlier program was stopped, then or now")
        found.append(cell)
        if recorded.status in _STOPPED and recorded.state_lost:
            parted = False  # here, too, a new session follows
        elif (recorded.status in _STOPPED) != (now.status in _STOPPED):
            parted = True
    return found


def compared(recorded: Execution, now: Execution) -> Found:
    """How what a cell gives now compares with what it gave."""
    if recorded.status in _STOPPED:
        if now.status is recorded.status:
            return Found(outcome=Outcome.SAME)
        return Found(outcome=Outcome.UNDECIDED, detail="the program was stopped when it was recorded")
    if now.status is ExecutionStatus.TIMEOUT:
        return Found(outcome=Outcome.TIMED_OUT, detail=now.error and now.error.split("\n")[-1])
    before, after = visible(recorded), visible(now)
    if before == after:
        if recorded.artefacts == now.artefacts:
            return Found(outcome=Outcome.SAME)
        return Found(outcome=Outcome.UNDECIDED, detail="the figures are not the same bytes")
    if same_numbers(before, after):
        return _different(Outcome.ROUNDED, before, after)
    failed = now.error is not None and recorded.error is None
    return _different(Outcome.ERROR if failed else Outcome.DIFFERS, before, after)


def visible(execution: Execution) -> str:
    """What a reader sees of an execution, without the line of the program that failed: not every recording has it."""
    error = execution.error and _FAILING_LINE.sub("", execution.error, count=1)
    return output_text(replace(execution, error=error, state_lost=False), max_chars=_ANY_LENGTH)


def same_numbers(one: str, other: str) -> bool:
    """Whether two texts have the same wording and the same integers, and decimals that are equal to a relative 1e-6."""
    if wording(one) != wording(other):
        return False
    return all(map(_same_number, NUMBER.findall(one), NUMBER.findall(other)))


def wording(text: str) -> str:
    """`text` with a mark in the place of each number and one space for all white space."""
    return " ".join(NUMBER.sub("#", text).split())


def _same_number(one: str, other: str) -> bool:
    if one.lstrip("+-").isdigit() and other.lstrip("+-").isdigit():
        return one == other
    return math.isclose(float(one), float(other), rel_tol=_RELATIVE)


def _different(outcome: Outcome, before: str, after: str) -> Found:
    """With the first line in which the two differ; an empty one stands for a line only the other has."""
    lines = zip_longest(before.split("\n"), after.split("\n"), fillvalue="")
    recorded, now = next((one, other) for one, other in lines if one != other)
    return Found(outcome=outcome, recorded=_cut(recorded), now=_cut(now))


def _cut(line: str) -> str:
    return line if len(line) <= _SHOWN_CHARS else f"{line[:_SHOWN_CHARS]} …"


def _unless_it_varies(found: Found, now: Execution, third: Execution) -> Found:
    """Of a cell that gives something else in every run, the recording is as good as any."""
    if found.outcome in (Outcome.DIFFERS, Outcome.ERROR) and visible(now) != visible(third):
        return replace(found, outcome=Outcome.UNDECIDED, detail="no two runs give the same")
    return found
