"""Run the programs of one attempt in a Jupyter kernel of its own.

    JupyterExecutor.run ─▶ the attempt's kernel ─▶ run_program ─▶ Execution
                             └─ replaced when a program broke it

`pool.py` provides the kernels, `program.py` runs one program in one of them, `recovery.py` brings the state of a lost
kernel back. Further down, `kernel.py` is one kernel with its channels, `messages.py` collects what it says about one
cell, `forkserver.py` is our side of the fork server, and `mumath_agent.sandbox` runs inside. docs/isolation.md says
what a program can and can't do.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import anyio

from mumath_agent.errors import KernelError
from mumath_agent.kernels.isolation import Sandbox
from mumath_agent.kernels.kernel import End, Kernel
from mumath_agent.kernels.pool import KernelPool
from mumath_agent.kernels.program import run_program
from mumath_agent.kernels.recovery import History
from mumath_agent.protocols import ExecutedCell
from mumath_agent.records import Execution


class JupyterExecutor:
    """A Python session for the programs of one attempt (an `Executor`).

    Entering returns at once while the kernel starts, or leaves that to the first program; `run` waits for it. All
    methods belong to one event loop, and one program runs at a time.
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
        """Describe the session; nothing starts yet.

        Args:
            sandbox: how the kernel is confined and what it may use.
            pool: where kernels come from, instead of `sandbox`.
            fresh_cells: run every program in a new kernel, so that none sees what another defined.
            rebuild_state: run the programs of a lost kernel again; their state is kept only if every one of them does
                exactly what it did before.
            interrupt_grace_s: seconds a program has to end after it was interrupted, before its kernel is killed.
            lazy: start the kernel with the first program. Where many sessions begin at once, the models' work goes
                first, and a session that runs nothing costs nothing.
            seed: where the kernel's random numbers begin; without it, the sandbox decides.
        """
        self._own_pool = pool is None
        self._pool = pool or KernelPool(sandbox, spares=0)
        self._fresh_cells = fresh_cells
        self._rebuild_state = rebuild_state
        self._interrupt_grace_s = interrupt_grace_s
        self._lazy = lazy
        self._seed = seed
        self.recoveries = 0  # kernels that had to be replaced so far
        self._state_lost = self._state_replayed = self._is_used = False
        self._history = History()
        self._begun = False
        self._entered = self._left = False
        self._starting: asyncio.Future[Kernel] | None = None

    async def __aenter__(self) -> Self:
        """Open the session: start its kernel in the background, unless it is lazy."""
        if self._entered:
            raise RuntimeError("a JupyterExecutor is entered once; make a new one for another attempt")
        self._entered = True
        if self._starting is None:  # a branch has its kernel already
            if self._own_pool:
                await self._pool.__aenter__()
            if not self._lazy:
                self._start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the kernel and everything it started."""
        self._left = True
        with anyio.CancelScope(shield=True):
            if self._starting is not None:
                self._starting.cancel()
                await asyncio.wait({self._starting})
                if (kernel := self._started_kernel()) is not None:
                    await self._pool.discard(kernel)
            if self._own_pool:
                await self._pool.__aexit__(None, None, None)

    async def run(
        self, code: str, *, timeout_s: float, on_output: Callable[[str, str], None] | None = None
    ) -> Execution:
        """Run one program; see `Executor.run`."""
        kernel = await self._live_kernel()
        self._begun = True
        execution, end = await run_program(
            kernel,
            code,
            timeout_s=timeout_s,
            interrupt_grace_s=self._interrupt_grace_s,
            on_output=on_output,
        )
        if end is not End.COMPLETE:
            await self._recover(kernel)
        elif self._fresh_cells:
            self._is_used = True  # its successor starts with the next program; mostly there is none
        else:
            self._history.add(code, execution)
        execution = replace(execution, state_lost=self._state_lost, state_replayed=self._state_replayed)
        self._state_lost = self._state_replayed = False
        return execution

    @property
    def isolation(self) -> str:
        """The level of isolation its kernels have, or would have if it ran anything.

        "unknown" only while no kernel of such a sandbox was asked for in this process: the best level this machine has
        is found out by starting the fork server.
        """
        kernel = self._started_kernel()
        return self._pool.isolation if kernel is None else kernel.isolation

    async def restore(self, history: Sequence[ExecutedCell]) -> bool:
        """Bring a new session to where `history` had brought another one; return whether it is there now.

        Every program runs again and must do exactly what it did; the next execution then has `state_replayed`. If one
        does something else, or can't be repeated, the session starts empty and the next execution has `state_lost`.
        A session that ran something is left alone. With `fresh_cells` there is nothing to bring back.
        """
        if self._begun or self._fresh_cells or not history:
            return True
        self._begun = True
        kernel = await self._live_kernel()
        self._history = History(history)
        if await self._repeat(kernel):
            self._state_replayed = True
            return True
        self._replace(kernel)
        self._forget()
        return False

    async def fork(self) -> "JupyterExecutor":
        """Return a branch: another session that begins with everything this one holds. Enter it with `async with`.

        The kernel is copied as it is, in milliseconds. Where that is impossible (it has threads or files open, or its
        level of isolation doesn't allow it), its programs run again in a new kernel, and must do exactly what they did.

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
        branch._history, branch._begun = self._history.copy(), self._begun
        try:
            kernel = await self._pool.branch(origin)
        except KernelError as refused:
            kernel = await self._pool.take(origin.seed, wait=False)
            if not await branch._repeat(kernel):
                await self._pool.discard(kernel)
                raise KernelError(f"{refused}; and its programs don't do the same twice") from None
        branch._starting = asyncio.get_running_loop().create_future()
        branch._starting.set_result(kernel)
        branch._state_lost = self._state_lost
        return branch

    async def _live_kernel(self) -> Kernel:
        """Return the kernel for the next program: the present one, or its successor if it died meanwhile."""
        if not self._entered or self._left:
            state = "was left; make a new one" if self._left else "wasn't entered"
            raise KernelError(
                f"a JupyterExecutor runs cells inside its `async with` block only; this one {state}"
            )
        kernel = await self._next_kernel()
        if self._is_used:
            self._is_used = False
            self._replace(kernel)
            kernel = await self._next_kernel()
        if not kernel.alive:
            await self._recover(kernel)
            kernel = await self._next_kernel()
        return kernel

    async def _next_kernel(self) -> Kernel:
        starting = self._starting or self._start()
        try:  # shielded: a cancelled run must not take the kernel of later runs with it
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            if starting.cancelled() and (task := asyncio.current_task()) and not task.cancelling():
                raise KernelError("the session was left before its kernel was ready") from None
            raise

    def _started_kernel(self) -> Kernel | None:
        starting = self._starting
        if starting is None or not starting.done() or starting.cancelled() or starting.exception():
            return None
        return starting.result()

    async def _recover(self, kernel: Kernel) -> None:
        """Replace a kernel that can't go on, and bring its state back if that was asked for and can be done."""
        if self._left:  # while its last program ran
            return
        self.recoveries += 1
        if self._fresh_cells:
            self._replace(kernel)
            return
        can_repeat = self._rebuild_state and self._history.is_repeatable
        self._replace(kernel, seed=kernel.seed if can_repeat else None)
        if can_repeat:
            successor = await self._next_kernel()
            if await self._repeat(successor):
                self._state_replayed = True
                return
            self._replace(successor)
        self._forget()

    async def _repeat(self, kernel: Kernel) -> bool:
        return await self._history.repeat(kernel, interrupt_grace_s=self._interrupt_grace_s)

    def _forget(self) -> None:
        self._history = History()
        self._state_lost = True

    def _replace(self, kernel: Kernel, seed: int | None = None) -> None:
        """Kill `kernel` and start the next one in the background."""
        self._pool.discard_soon(kernel)
        self._start(seed)

    def _start(self, seed: int | None = None) -> "asyncio.Future[Kernel]":
        self._starting = asyncio.ensure_future(self._pool.take(self._seed if seed is None else seed))
        return self._starting
