"""Run one conversation's programs in a kernel, and bring the session to where an agent's state says it is.

A session may be ahead of the state, because a program's result never reached a checkpoint: then it answers the same
call from its record. A session that is anywhere else is rebuilt: the state's programs run again in a new kernel and
must do what they did (`JupyterExecutor.restore`), else the next execution says that state was lost. `session_pool.py`
decides which session answers whom, and how long it lives.
"""

import asyncio
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.protocols import ExecutedCell
from mumath_agent.records import Execution, ExecutionStatus

OnOutput = Callable[[str, str], None]
"""Takes "stdout" or "stderr", and a piece of text as it is printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCell:
    """A program that ran in a session, as an agent's state keeps it."""

    number: int
    """Its position in the session, from 0."""
    call_id: str
    """The id of the tool call that asked for it."""
    code: str
    execution: Execution
    isolation: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that a tool call asks to run."""

    code: str
    call_id: str = ""
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHistory:
    """The programs that ran before a call, according to an agent's state."""

    cells: tuple[SessionCell, ...]
    siblings: frozenset[str]
    """The ids of all calls answered in the same step. Their programs may have run without being in `cells`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """How sessions are made, and how long they live."""

    sandbox: Sandbox
    rebuild_state: bool
    """Rebuild a session that was lost by running its programs again, if they do the same."""
    idle_s: float
    """A session that wasn't used for this many seconds is ended."""
    max_sessions: int
    """With more sessions than this, those unused for longest are ended; one that runs a program never is."""


class PythonSession:
    """One conversation's kernel, and what it has run."""

    def __init__(self, name: str, policy: SessionPolicy) -> None:
        """Name the session, which also determines its random numbers; its kernel starts with `start`."""
        self.name = name
        self.turn = asyncio.Lock()
        """Held by the caller that uses the session."""
        self.users = 0
        """The number of callers that have their turn or wait for it."""
        self.timer: asyncio.TimerHandle | None = None
        """Ends the session when it has been idle for long enough."""
        self.state_lost = False
        """True if an earlier session of this name held more; the next execution says so."""
        self._policy = policy
        self._cells: list[SessionCell] = []
        self._executor: JupyterExecutor | None = None

    @property
    def is_new(self) -> bool:
        """True while it has run nothing."""
        return not self._cells

    async def start(self) -> None:
        """Start the kernel in the background, unless it runs already, and stop the idle timer."""
        self._stop_timer()
        if self._executor is None:
            # Equal names draw equal random numbers: a program that is repeated in another process can do the same.
            sandbox = replace(self._policy.sandbox, seed=zlib.crc32(self.name.encode()))
            self._executor = JupyterExecutor(sandbox, rebuild_state=self._policy.rebuild_state)
            await self._executor.__aenter__()

    async def run(self, program: Program, listeners: Sequence[OnOutput]) -> SessionCell:
        """Run a program; `listeners` get what it prints.

        Raises:
            KernelError: no kernel could be started.
        """

        def tell(stream: str, text: str) -> None:
            for listener in listeners:
                listener(stream, text)

        assert self._executor is not None
        execution = await self._executor.run(program.code, timeout_s=program.timeout_s, on_output=tell)
        if self.state_lost:
            execution, self.state_lost = replace(execution, state_lost=True), False
        cell = SessionCell(
            number=len(self._cells),
            call_id=program.call_id,
            code=program.code,
            execution=execution,
            isolation=self._executor.isolation,
        )
        self._cells.append(cell)
        return cell

    async def catch_up(self, past: SessionHistory, program: Program) -> SessionCell | None:
        """Bring the session to where `past` is.

        Returns:
            The program's own cell, if it ran already and only its record didn't reach the state; else None.
        """
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

    async def _rebuild(self, cells: Sequence[SessionCell]) -> None:
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
        """End the kernel. The session may be started again."""
        self._stop_timer()
        if executor := self._executor:
            self._executor = None
            await executor.__aexit__(None, None, None)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def _held(cells: Sequence[SessionCell]) -> list[SessionCell]:
    """Return the cells whose effects a session still had at the end."""
    held: list[SessionCell] = []
    for cell in cells:
        if cell.execution.state_lost:
            held.clear()
        if cell.execution.status is not ExecutionStatus.DIED:
            held.append(cell)
    return held
