"""Measure kernels of ours and stock ones in turns: how often, for how long, with how much CPU and memory."""

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from benchmarks.perf import stock
from mumath_agent.kernels import JupyterExecutor
from mumath_agent.kernels.forkserver import ForkServer

T = TypeVar("T")

TRIVIAL, PRINTED = "print(1+1)", "2\n"
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How often each thing is done."""

    turns: int
    """Ours, stock, ours, stock, ..."""
    spawns: int
    """Per turn, against one of a stock kernel."""
    leases: int
    cells: int
    """Per turn and kernel."""
    errors: int
    """Per turn, against one in a stock kernel."""
    empty: int
    """Kernels that are started and ended, for their CPU time."""
    idle: int
    """Kernels that live at once, for their memory."""
    problems: int | None
    """None: all of the file."""
    stock_problems: int


FULL = Sizes(
    turns=8, spawns=8, leases=50, cells=50, errors=5, empty=100, idle=16, problems=None, stock_problems=100
)
QUICK = Sizes(turns=2, spawns=2, leases=3, cells=5, errors=1, empty=3, idle=2, problems=12, stock_problems=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything a measurement needs."""

    runner: asyncio.Runner
    """It has the event loop of our kernels, which stands still while a blocking client of a stock kernel works."""
    server: ForkServer
    home: Path
    """The IPython directory of stock kernels."""
    data: Path
    concurrency: int
    sizes: Sizes

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the event loop of our kernels."""
        return self.runner.run(work)

    @contextmanager
    def entered(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Enter an async context manager from outside of the loop."""
        stack = AsyncExitStack()
        try:
            yield self.run(stack.enter_async_context(manager))
        finally:
            self.run(stack.aclose())

    def in_turns(
        self, ours: Callable[[], list[float]], theirs: Callable[[], list[float]]
    ) -> tuple[list[float], list[float]]:
        """Measure in turns; return the seconds of our kernels and of stock ones."""
        our_times: list[float] = []
        their_times: list[float] = []
        for _ in range(self.sizes.turns):
            our_times += ours()
            their_times += theirs()
        return our_times, their_times

    def cells_in_turns(self, code: str, ours: int, theirs: int) -> tuple[list[float], list[float]]:
        """Return the seconds of a program in one kernel of ours and in a stock one, so many times a turn."""

        async def run_ours(executor: JupyterExecutor) -> list[float]:
            return [await timed(executor.run(code, timeout_s=TIMEOUT_S)) for _ in range(ours)]

        with self.entered(JupyterExecutor()) as executor, stock.kernel(self.home) as client:
            assert self.run(printed(executor, TRIVIAL)) == stock.run(client, TRIVIAL) == PRINTED
            return self.in_turns(
                lambda: self.run(run_ours(executor)),
                lambda: [_timed(lambda: stock.run(client, code)) for _ in range(theirs)],
            )


async def timed(work: Awaitable[object]) -> float:
    """Return the seconds `work` takes."""
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


async def printed(executor: JupyterExecutor, code: str) -> str:
    """Return what a program prints."""
    return (await executor.run(code, timeout_s=TIMEOUT_S)).stdout


class Meter:
    """Adds up the CPU seconds of some parts of a run."""

    def __init__(self, read: Callable[[], float]) -> None:
        """Take a function that returns the CPU seconds spent so far."""
        self._read = read
        self.seconds = 0.0

    @contextmanager
    def on(self) -> Iterator[None]:
        """Count what is spent during the block."""
        before = self._read()
        yield
        self.seconds += self._read() - before


def our_cpu_s(server: ForkServer) -> float:
    """Return the CPU seconds so far of this process, the fork server, its guardian, and all kernels that ended."""
    guardian = psutil.Process(server.pid)
    times = [process.cpu_times() for process in (guardian, *guardian.children())]
    ended = sum(each.children_user + each.children_system for each in times[1:])
    return _own_cpu_s() + sum(each.user + each.system for each in times) + ended


def stock_cpu_s() -> float:
    """Return the CPU seconds so far of this process and of all stock kernels that ended."""
    return _own_cpu_s() + _own_cpu_s(resource.RUSAGE_CHILDREN)


def _own_cpu_s(who: int = resource.RUSAGE_SELF) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def pss_mb(process: int) -> float:
    """Return the memory of a process in MB; a page that several processes share counts in parts.

    Raises:
        OSError: this system doesn't tell.
    """
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
