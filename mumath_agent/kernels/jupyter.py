"""A Jupyter kernel for the programs of one attempt.

`JupyterExecutor` owns the session as the agent sees it: one kernel, started in the background, replaced when a program
breaks it, gone with all it started when the attempt ends. Below it, `pool.py` says where kernels come from,
`kernel.py` is one kernel with its channels, `messages.py` what a kernel says about one cell, `forkserver.py` our side
of the fork server, and `mumath_agent.sandbox` what runs inside. What a program can do is in docs/isolation.md.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import anyio

from mumath_agent.errors import KernelError
from mumath_agent.kernels.isolation import Sandbox
from mumath_agent.kernels.kernel import End, Kernel
from mumath_agent.kernels.messages import Cell
from mumath_agent.kernels.pool import KernelPool
from mumath_agent.protocols import ExecutedCell
from mumath_agent.records import Execution, ExecutionStatus

REPLAY_SLACK = 2.0
"""A replayed cell may take so many times as long as it took before, plus a second."""


class JupyterExecutor:
    """Runs the programs of one attempt in a Jupyter kernel of its own (an `Executor`).

    Entering returns at once while the kernel starts, or leaves that to the first cell; `run` waits for it. All methods
    belong to one asyncio loop, and one cell runs at a time.
    """

    def __init__(
        self,
        sandbox: Sandbox | None = None,
        *,
        pool: KernelPool | None = None,
        fresh_cells: bool = False,
        rebuild_state: bool = False,
        interrupt_grace_s: float = 1.0,
        lazy: bool = False,
        seed: int | None = None,
    ) -> None:
        """Say how cells will run; nothing starts yet.

        Args:
            sandbox: how the kernel is confined and what it may use.
            pool: where its kernels come from, instead of `sandbox`.
            fresh_cells: give every cell a kernel of its own, so that no cell sees what another defined.
            rebuild_state: run the cells of a lost kernel again; their state is kept only if every one of them does
                exactly what it did before.
            interrupt_grace_s: time a cell has to end after it was interrupted, before its kernel is killed.
            lazy: start the kernel with the first cell. Where many sessions begin at once, what their models wait for
                comes first, and a session without a cell costs nothing.
            seed: where its random numbers begin; without it, what the sandbox says.
        """
        self._own_pool = pool is None
        self._pool = pool or KernelPool(sandbox, spares=0)
        self._fresh_cells = fresh_cells
        self._rebuild_state = rebuild_state
        self._interrupt_grace_s = interrupt_grace_s
        self._lazy = lazy
        self._seed = seed
        self._recoveries = 0
        self._isolation = "not started"
        self._state_lost = self._state_replayed = self._is_used = False
        self._history: list[ExecutedCell] = []
        self._repeatable = True
        self._begun = False
        self._entered = False
        self._starting: asyncio.Future[Kernel] | None = None

    @property
    def isolation(self) -> str:
        starting = self._starting
        if starting is not None and starting.done() and not starting.cancelled() and not starting.exception():
            self._isolation = starting.result().isolation
        return self._isolation

    @property
    def recoveries(self) -> int:
        """How many kernels had to be replaced so far."""
        return self._recoveries

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a JupyterExecutor is entered once; make a new one for another attempt")
        self._entered = True
        if self._starting is None:  # a branch has its kernel already
            if self._own_pool:
                await self._pool.__aenter__()
            if not self._lazy:
                self._starting = asyncio.ensure_future(self._pool.take(self._seed))
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            if self._starting is not None:
                self._starting.cancel()
                await asyncio.wait({self._starting})
                if not self._starting.cancelled() and self._starting.exception() is None:
                    await self._pool.discard(self._starting.result())
            if self._own_pool:
                await self._pool.__aexit__(None, None, None)

    async def run(
        self, code: str, *, timeout_s: float, on_output: Callable[[str, str], None] | None = None
    ) -> Execution:
        kernel = await self._live_kernel()
        self._begun = True
        execution, end = await self._run_in(kernel, code, timeout_s, on_output)
        if end is not End.COMPLETE:
            await self._recover(kernel)
        elif self._fresh_cells:
            self._is_used = True  # its successor starts when there is a next cell; mostly there is none
        else:
            self._remember(code, execution)
        lost, self._state_lost = self._state_lost, False
        replayed, self._state_replayed = self._state_replayed, False
        return _with_state(execution, lost=lost, replayed=replayed)

    async def restore(self, history: Sequence[ExecutedCell]) -> bool:
        """Bring a fresh session to where `history` had brought another one; whether it is there now.

        Every cell runs again and must do exactly what it did; the next execution says so. If one does something else,
        or can't be repeated, the session starts afresh and the next execution says that state was lost. A session that
        ran something is left alone, and one whose cells share nothing has nothing to bring back.
        """
        if self._begun or self._fresh_cells or not history:
            return True
        self._begun = True
        kernel = await self._live_kernel()
        self._history, self._repeatable = list(history), all(_repeatable(ran) for ran in history)
        if await self._repeat(kernel):
            self._state_replayed = True
            return True
        self._replace(kernel)
        self._forget()
        self._state_lost = True
        return False

    async def fork(self) -> "JupyterExecutor":
        """A branch: another session that begins with everything this one holds; enter it with `async with`.

        The kernel is copied as it is, in milliseconds. Where it can't be (it has threads or files open, or its level of
        isolation doesn't allow it), its cells run again in a new kernel, and must do exactly what they did.

        Raises:
            KernelError: neither can be done.
        """
        origin = await self._live_kernel()
        branch = JupyterExecutor(
            pool=self._pool,
            fresh_cells=self._fresh_cells,
            rebuild_state=self._rebuild_state,
            interrupt_grace_s=self._interrupt_grace_s,
        )
        branch._history, branch._repeatable = list(self._history), self._repeatable
        branch._begun = self._begun
        try:
            branch._starting = _done(await self._pool.branch(origin))
        except KernelError as refused:
            kernel = await self._pool.take(origin.seed, wait=False)
            branch._starting = _done(kernel)
            if not await branch._repeat(kernel):
                await self._pool.discard(kernel)
                raise KernelError(f"{refused}; and its programs don't do the same twice") from None
        branch._state_lost = self._state_lost
        return branch

    async def _run_in(
        self,
        kernel: Kernel,
        code: str,
        timeout_s: float,
        on_output: Callable[[str, str], None] | None = None,
    ) -> tuple[Execution, End]:
        started = time.monotonic()
        try:
            cell = await kernel.send(code)
            cell.on_output = on_output
            end = await kernel.read(cell, until=started + timeout_s)
            if timed_out := end is End.LATE:
                kernel.interrupt()
                end = await kernel.read(cell, until=time.monotonic() + self._interrupt_grace_s)
        except BaseException:  # cancelled: what is running must not run on
            kernel.kill()
            raise
        cell.on_output = None  # the kernel keeps its last cell, and with it whoever listened
        status, error = _outcome(cell, end, timeout_s=timeout_s if timed_out else None, cause=kernel.ended_by)
        execution = Execution(
            status=status,
            stdout=cell.stdout,
            stderr=cell.stderr,
            result=cell.result,
            error=error,
            artefacts=cell.artefacts,
            duration_s=time.monotonic() - started,
        )
        return execution, end

    async def _live_kernel(self) -> Kernel:
        """The kernel for the next cell: the one there is, or its successor if it died since the last cell."""
        if not self._entered:
            raise RuntimeError("a JupyterExecutor runs cells inside its `async with` block only")
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._pool.take(self._seed))
        # Shielded: a cancelled run must not take the kernel of later runs with it.
        kernel = await asyncio.shield(self._starting)
        if self._is_used:
            self._is_used = False
            self._replace(kernel)
            kernel = await asyncio.shield(self._starting)
        if not kernel.alive:
            await self._recover(kernel)
            kernel = await asyncio.shield(self._starting)
        return kernel

    async def _recover(self, kernel: Kernel) -> None:
        """Replace a kernel that can't go on; bring its state back if that was asked for and can be done."""
        self._recoveries += 1
        if self._fresh_cells:
            self._replace(kernel)
            return
        can_repeat = self._rebuild_state and self._repeatable
        self._replace(kernel, seed=kernel.seed if can_repeat else None)
        if can_repeat:
            assert self._starting is not None
            successor = await asyncio.shield(self._starting)
            if await self._repeat(successor):
                self._state_replayed = True
                return
            self._replace(successor)
        self._forget()
        self._state_lost = True

    async def _repeat(self, kernel: Kernel) -> bool:
        """Run the history again; whether all of it could be and did what it did before."""
        if not self._repeatable:
            return False
        for code, before in self._history:
            again, end = await self._run_in(kernel, code, REPLAY_SLACK * before.duration_s + 1)
            if end is not End.COMPLETE or _visible(again) != _visible(before):
                return False
        return True

    def _remember(self, code: str, execution: Execution) -> None:
        ran = ExecutedCell(code, execution)
        self._history.append(ran)
        self._repeatable = self._repeatable and _repeatable(ran)

    def _forget(self) -> None:
        self._history, self._repeatable = [], True

    def _replace(self, kernel: Kernel, seed: int | None = None) -> None:
        """Kill `kernel` and start the next one in the background."""
        self._pool.discard_soon(kernel)
        self._starting = asyncio.ensure_future(self._pool.take(self._seed if seed is None else seed))


def _done(kernel: Kernel) -> asyncio.Future[Kernel]:
    future: asyncio.Future[Kernel] = asyncio.get_running_loop().create_future()
    future.set_result(kernel)
    return future


def _repeatable(ran: ExecutedCell) -> bool:
    """A program that was stopped half-way left a state that depends on the moment."""
    return ran.execution.status not in (ExecutionStatus.TIMEOUT, ExecutionStatus.DIED)


def _visible(execution: Execution) -> tuple[object, ...]:
    """What two runs of a program must have in common."""
    return (
        execution.status,
        execution.stdout,
        execution.stderr,
        execution.result,
        execution.error,
        execution.artefacts,
    )


def _with_state(execution: Execution, *, lost: bool, replayed: bool) -> Execution:
    return replace(execution, state_lost=lost, state_replayed=replayed) if lost or replayed else execution


def _outcome(
    cell: Cell, end: End, *, timeout_s: float | None, cause: str
) -> tuple[ExecutionStatus, str | None]:
    """Status and error of a cell; `timeout_s` is given if it ran past it, `cause` says what ended its kernel."""
    if timeout_s is not None:
        where = cell.error_lines[:-1]  # the line it was interrupted at, if it came to say so
        error = f"TimeoutError: the program ran longer than {timeout_s:g} s and was stopped"
        return ExecutionStatus.TIMEOUT, "\n".join([*where, error])
    if end is not End.COMPLETE:
        return ExecutionStatus.DIED, f"The Python process died while it ran this program ({cause})."
    return cell.status, "\n".join(cell.error_lines) or None
