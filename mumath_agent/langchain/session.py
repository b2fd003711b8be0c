"""One conversation's Python session: a kernel, what it has run, and how it comes to be where an agent's state says.

A session that is ahead of the state, because a program's result never reached a checkpoint, answers the same call from
its record, and gives up otherwise. One that is behind or elsewhere is rebuilt: the state's programs run again in a new
kernel and must do what they did (`JupyterExecutor.restore`), else the next execution says that state was lost. Which
session answers whom, and how long it lives, is `sessions.py`'s.
"""

import asyncio
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.protocols import ExecutedCell
from mumath_agent.records import Execution, ExecutionStatus

Tell = Callable[[str, str], None]
"""Takes "stdout" or "stderr", and a piece of text as it is printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A program that ran in a session, as it is kept in an agent's state."""

    number: int
    """Counted from 0 in the order in which programs ran."""
    call_id: str
    """Of the tool call that asked for it."""
    code: str
    execution: Execution
    isolation: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a tool call asks for."""

    code: str
    call_id: str = ""
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHistory:
    """What an agent's state says has run before a call."""

    cells: tuple[Cell, ...]
    siblings: frozenset[str]
    """Ids of the calls that are answered in the same step. Their programs may have run without being in `cells`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """How sessions are made, and for how long they stay."""

    sandbox: Sandbox
    rebuild_state: bool
    """Rebuild a session that was lost by running its programs again, if they do the same."""
    idle_s: float
    """A session that nobody used for so many seconds is ended."""
    most: int
    """With more sessions than this, those unused for longest are ended; one that runs a program never is."""


class Session:
    """One conversation's kernel, and what it has run."""

    def __init__(self, name: str, policy: SessionPolicy) -> None:
        self.name = name
        self.turn = asyncio.Lock()
        self.users = 0
        """Callers that have their turn or wait for it."""
        self.timer: asyncio.TimerHandle | None = None
        """Ends the session, when nobody uses it."""
        self.state_lost = False
        """There was more than this session has; the next execution says so."""
        self._policy = policy
        self._cells: list[Cell] = []
        self._executor: JupyterExecutor | None = None

    @property
    def is_new(self) -> bool:
        return not self._cells

    async def start(self) -> None:
        self._stop_timer()
        if self._executor is None:
            # Equal names draw equal random numbers: a program that is repeated in another process can do the same.
            sandbox = replace(self._policy.sandbox, seed=zlib.crc32(self.name.encode()))
            self._executor = JupyterExecutor(sandbox, rebuild_state=self._policy.rebuild_state)
            await self._executor.__aenter__()

    async def run(self, program: Program, listeners: Sequence[Tell]) -> Cell:
        def tell(stream: str, text: str) -> None:
            for listener in listeners:
                listener(stream, text)

        assert self._executor is not None
        execution = await self._executor.run(program.code, timeout_s=program.timeout_s, on_output=tell)
        if self.state_lost:
            execution, self.state_lost = replace(execution, state_lost=True), False
        cell = Cell(
            number=len(self._cells),
            call_id=program.call_id,
            code=program.code,
            execution=execution,
            isolation=self._executor.isolation,
        )
        self._cells.append(cell)
        return cell

    async def catch_up(self, past: SessionHistory, program: Program) -> Cell | None:
        """Be where `past` is; the program's own cell, if it ran already and only its record didn't reach the state."""
        known = tuple(self._cells[: len(past.cells)])
        ahead = self._cells[len(past.cells) :]
        same = [cell for cell in ahead if cell.call_id == program.call_id]
        if (
            known != past.cells
            or any(cell.call_id not in past.siblings for cell in ahead)
            or any(cell.code != program.code for cell in same)
        ):
            await self._rebuild(past.cells)
            return None
        return next(iter(same), None)

    async def _rebuild(self, cells: Sequence[Cell]) -> None:
        if self._cells:
            await self.close()
            await self.start()
        assert self._executor is not None
        self._cells = list(cells)
        held = _held(cells)
        if not self._policy.rebuild_state:
            self.state_lost = bool(held)
        elif held:
            await self._executor.restore([ExecutedCell(cell.code, cell.execution) for cell in held])

    async def close(self) -> None:
        self._stop_timer()
        if executor := self._executor:
            self._executor = None
            await executor.__aexit__(None, None, None)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def _held(cells: Sequence[Cell]) -> list[Cell]:
    """The cells whose effects a session still had after all of them."""
    held: list[Cell] = []
    for cell in cells:
        if cell.execution.state_lost:
            held.clear()
        if cell.execution.status is not ExecutionStatus.DIED:
            held.append(cell)
    return held
