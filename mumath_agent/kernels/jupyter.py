"""A real Jupyter kernel for the programs of one attempt.

`JupyterExecutor` owns the session as the agent sees it: one kernel, started in the background, replaced when a program
breaks it, gone with all it started when the attempt ends. Below it, `process.py` is one kernel process with its sockets
and its directory, `messages.py` is what a kernel says about one cell, and `startup.py` is what runs inside the process.

Covered, for programs that go wrong: endless loops, also those that swallow the interrupt or never return to Python; a
dying process; too much memory; floods of output; programs asking for input; left-over threads and child processes.
A program finds no secrets in its environment, and no attempt shares state, files or directory with another.

Not covered, for programs that mean harm: a program has the rights of the user who runs the agent. It can read and
write that user's files, use the network, start processes, look at the environment of other processes (`/proc`) and
signal them, fill the disk, and leave behind a daemon that detached itself before its kernel died. The memory limit
counts per process. `isolation` says "none" until confinement does better.

A kernel lives as long as the thread that started it at most: on Linux it dies with that thread.
"""

import asyncio
import sys
import time
from types import TracebackType
from typing import Self

import anyio

from mumath_agent.errors import KernelError
from mumath_agent.kernels.messages import Cell
from mumath_agent.kernels.process import End, Kernel
from mumath_agent.records import Execution, ExecutionStatus


class JupyterExecutor:
    """Runs the programs of one attempt in a Jupyter kernel of its own (an `Executor`).

    Entering returns at once while the kernel starts; `run` waits for it. All methods belong to one asyncio loop, and
    one cell runs at a time. Each kernel's sockets and files live in a private directory that goes with it (but stays
    where this process is killed and can't clean up).
    """

    def __init__(
        self,
        *,
        memory_mb: int = 2048,
        fresh_cells: bool = False,
        max_output_chars: int = 1 << 18,
        interrupt_grace_s: float = 1.0,
    ) -> None:
        """Say how cells will run; nothing starts yet.

        Args:
            memory_mb: address space a kernel may take on top of what it starts with (Linux).
            fresh_cells: give every cell a kernel of its own, so that no cell sees what another defined.
            max_output_chars: kept of each of stdout, stderr and result; a longer one loses its middle.
            interrupt_grace_s: time a cell has to end after it was interrupted, before its kernel is killed.
        """
        self._memory_mb = memory_mb
        self._fresh_cells = fresh_cells
        self._max_output_chars = max_output_chars
        self._interrupt_grace_s = interrupt_grace_s
        self._recoveries = 0
        self._state_lost = False
        self._starting: asyncio.Task[Kernel] | None = None
        self._retired: list[Kernel] = []

    @property
    def isolation(self) -> str:
        return "none"

    @property
    def recoveries(self) -> int:
        """How many kernels had to be replaced so far."""
        return self._recoveries

    async def __aenter__(self) -> Self:
        if self._starting is not None:
            raise RuntimeError("a JupyterExecutor is entered once; make a new one for another attempt")
        self._starting = asyncio.create_task(self._start())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._starting is not None
        with anyio.CancelScope(shield=True):
            self._starting.cancel()
            await asyncio.wait({self._starting})
            if not self._starting.cancelled() and self._starting.exception() is None:
                self._retired.append(self._starting.result())
            for kernel in self._retired:
                kernel.kill()
            for kernel in self._retired:
                await kernel.close()

    async def run(self, code: str, *, timeout_s: float) -> Execution:
        kernel = await self._live_kernel()
        started = time.monotonic()
        cell = kernel.send(code)
        try:
            end = await kernel.read(cell, until=started + timeout_s)
            if timed_out := end is End.LATE:
                await kernel.interrupt()
                end = await kernel.read(cell, until=time.monotonic() + self._interrupt_grace_s)
        except BaseException:  # cancelled: what is running must not run on
            kernel.kill()
            raise
        duration_s = time.monotonic() - started
        if end is not End.COMPLETE:
            self._recover(kernel)
        elif self._fresh_cells:
            self._replace(kernel)
        status, error = _outcome(cell, end, timeout_s=timeout_s if timed_out else None, cause=kernel.ended_by)
        state_lost, self._state_lost = self._state_lost, False
        return Execution(
            status=status,
            stdout=cell.stdout,
            stderr=cell.stderr,
            result=cell.result,
            error=error,
            duration_s=duration_s,
            state_lost=state_lost,
        )

    async def _live_kernel(self) -> Kernel:
        """The kernel for the next cell: the one there is, or its successor if it died since the last cell."""
        if self._starting is None:
            raise RuntimeError("a JupyterExecutor runs cells inside its `async with` block only")
        # Shielded: a cancelled run must not take the kernel of later runs with it.
        kernel = await asyncio.shield(self._starting)
        if not await kernel.alive():
            self._recover(kernel)
            kernel = await asyncio.shield(self._starting)
        return kernel

    def _recover(self, kernel: Kernel) -> None:
        """Replace a kernel that can't go on, and remember to say so."""
        self._recoveries += 1
        self._state_lost = not self._fresh_cells
        self._replace(kernel)

    def _replace(self, kernel: Kernel) -> None:
        """Kill `kernel` and start the next one in the background."""
        kernel.kill()
        self._retired.append(kernel)
        self._starting = asyncio.create_task(self._start())

    async def _start(self) -> Kernel:
        while self._retired:
            await self._retired[-1].close()
            self._retired.pop()
        failure: Exception | None = None
        for _ in range(2):
            try:
                return await Kernel.started(self._memory_mb, self._max_output_chars)
            except (KernelError, OSError) as error:
                failure = error
        command = f"{sys.executable} -m ipykernel --version"
        raise KernelError(
            f"no Jupyter kernel could be started: {failure} (does `{command}` work?)"
        ) from failure


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
