"""Measure how fast and how big our kernels are, isolated as they are by default, beside stock ones.

All is measured in one run, ours and stock in turns, so that other work on the machine affects both. A stock kernel has
no isolation. To measure one more thing, write a function that takes the `Bench` and returns rows, and add it to
`MEASUREMENTS`.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient

from benchmarks.perf import stock
from benchmarks.perf.bench import (
    PRINTED,
    TIMEOUT_S,
    TRIVIAL,
    Bench,
    Meter,
    Sizes,
    our_cpu_s,
    printed,
    pss_mb,
    stock_cpu_s,
    timed,
)
from benchmarks.perf.programs import only_computes, programs
from benchmarks.perf.table import Measurement
from mumath_agent.concurrency import for_each
from mumath_agent.errors import InputError, KernelError
from mumath_agent.kernels import JupyterExecutor, Kernel, KernelPool, Sandbox
from mumath_agent.kernels.forkserver import ForkServer, server_for
from mumath_agent.records import ExecutionStatus

DEEP = "def down(n):\n    return down(n - 1) if n else 1 / 0\ndown(200)"
STATE = "import sympy, numpy\nx = sympy.symbols('x')\nroots, a = sympy.solve(x**2 - 2, x), numpy.ones(10**5)"
GREEDY = {
    "computes in 16 threads": "import hashlib, threading\n"
    "def work():\n    while True: hashlib.sha256(bytes(1 << 20))\n"
    "for _ in range(16): threading.Thread(target=work).start()\nwork()",
    "floods us": "while True: print('spam' * 100)",
    "takes memory": "while True:\n    hoard = []\n    try:\n        while True: hoard.append(bytes(10**7))\n"
    "    except MemoryError: pass",
}
"""Programs that take all they can get; 16 threads ask for more than one processor."""
AT_ONCE = 8
REFILL_S = 0.1
"""Pause between two leases, so that the pool has its spare again."""


def measure(sizes: Sizes, data: Path, concurrency: int, on_start: Callable[[str], None]) -> list[Measurement]:
    """Return all rows; `on_start` is called with the name of each measurement.

    Raises:
        InputError: `data` can't be read.
        KernelError: no kernel could be started.
    """
    with tempfile.TemporaryDirectory(prefix="stock-") as home, asyncio.Runner() as runner:
        server = runner.run(server_for(Sandbox()))
        bench = Bench(
            runner=runner, server=server, home=Path(home), data=data, concurrency=concurrency, sizes=sizes
        )
        stock.spawn_s(bench.home)
        rows = []
        for measurement in MEASUREMENTS:
            on_start(measurement.__name__.replace("_", " "))
            rows += measurement(bench)
    return rows


def spawn(bench: Bench) -> list[Measurement]:
    """Start a new kernel of a running fork server; the stock kernel has to import what ours come with."""

    async def ours(number: int) -> list[float]:
        return [await _spawn_s(bench.server) for _ in range(number)]

    def theirs() -> list[float]:
        with stock_cpu.on():
            return [stock.spawn_s(bench.home)]

    cpu, stock_cpu = Meter(lambda: our_cpu_s(bench.server)), Meter(stock_cpu_s)
    times = bench.in_turns(lambda: bench.run(ours(bench.sizes.spawns)), theirs)
    with cpu.on():
        bench.run(ours(bench.sizes.empty))
    cpu_ms = 1000 * cpu.seconds / bench.sizes.empty
    stock_cpu_ms = 1000 * stock_cpu.seconds / bench.sizes.turns
    what = "CPU of an empty kernel, all sides"
    return [
        _medians("spawn to ready, numpy and sympy imported", *times, at_least=15),
        Measurement(what=what, unit="ms", ours=cpu_ms, reference=stock_cpu_ms, limit=10),
    ]


def lease(bench: Bench) -> list[Measurement]:
    """Time from asking a pool that has a spare to the result of the first cell."""

    async def ours() -> list[float]:
        times = []
        async with KernelPool(spares=2) as pool:
            for _ in range(bench.sizes.leases):
                await asyncio.sleep(REFILL_S)
                started = time.perf_counter()
                async with pool.lease() as kernel:
                    cell = await kernel.send(TRIVIAL)
                    await kernel.read(cell, until=time.monotonic() + TIMEOUT_S)
                    times.append(time.perf_counter() - started)
                assert cell.stdout == PRINTED
        return times

    return [_medians("lease from the pool to the first result", bench.run(ours()), limit=10)]


def cell(bench: Bench) -> list[Measurement]:
    """Run one trivial cell after another in one kernel."""
    times = bench.cells_in_turns(TRIVIAL, bench.sizes.cells, bench.sizes.cells)
    return [_medians("trivial cell", *times, at_least=1.25)]


def cells_at_once(bench: Bench) -> list[Measurement]:
    """Run trivial cells in eight kernels at once, all asked from one event loop."""

    async def kernels(stack: AsyncExitStack) -> tuple[list[JupyterExecutor], list[AsyncKernelClient]]:
        ours = [await stack.enter_async_context(JupyterExecutor()) for _ in range(AT_ONCE)]
        started = (stack.enter_async_context(stock.async_kernel(bench.home)) for _ in range(AT_ONCE))
        return ours, await asyncio.gather(*started)

    with bench.entered(AsyncExitStack()) as stack:
        ours, theirs = bench.run(kernels(stack))
        our_runs = [partial(printed, executor, TRIVIAL) for executor in ours]
        their_runs = [partial(stock.run_async, client, TRIVIAL) for client in theirs]
        bench.run(_volley(our_runs, 1))
        bench.run(_volley(their_runs, 1))
        times = bench.in_turns(
            lambda: [bench.run(_volley(our_runs, bench.sizes.cells))],
            lambda: [bench.run(_volley(their_runs, bench.sizes.cells))],
        )
    cells = AT_ONCE * bench.sizes.cells * bench.sizes.turns
    our_rate, their_rate = (cells / sum(part) for part in times)
    what = f"trivial cells, {AT_ONCE} kernels at once"
    return [Measurement(what=what, unit="/s", ours=our_rate, reference=their_rate, at_least=1.3)]


def problems(bench: Bench) -> list[Measurement]:
    """Run recorded programs, each in a new kernel."""
    what = f"recorded programs, a new kernel each, {bench.concurrency} at once"
    cpu_what = "CPU of one of them, all sides"
    if not bench.data.exists():
        reason = f"skipped: there is no {bench.data}"
        return [
            Measurement(what=what, unit="/s", at_least=25, limit=40, skipped=reason),
            Measurement(what=cpu_what, unit="ms", skipped=reason),
        ]
    codes = programs(bench.data)[: bench.sizes.problems]
    stock_codes = [code for code in codes if only_computes(code)][: bench.sizes.stock_problems]
    if not stock_codes:
        raise InputError(f"{bench.data} holds no recorded program that may run without isolation")
    our_parts, stock_parts = (iter(_parts(part, bench.sizes.turns)) for part in (codes, stock_codes))
    cpu, stock_cpu = Meter(lambda: our_cpu_s(bench.server)), Meter(stock_cpu_s)

    def ours() -> list[float]:
        with cpu.on():
            return [bench.run(timed(_fresh_runs(next(our_parts), bench.concurrency)))]

    def theirs() -> list[float]:
        fresh_run = partial(stock.fresh_run, bench.home)
        with stock_cpu.on():
            return [bench.run(timed(for_each(next(stock_parts), fresh_run, concurrency=bench.concurrency)))]

    our_times, their_times = bench.in_turns(ours, theirs)
    our_rate, their_rate = len(codes) / sum(our_times), len(stock_codes) / sum(their_times)
    cpu_ms, stock_cpu_ms = 1000 * cpu.seconds / len(codes), 1000 * stock_cpu.seconds / len(stock_codes)
    return [
        Measurement(what=what, unit="/s", ours=our_rate, reference=their_rate, at_least=25, limit=40),
        Measurement(what=cpu_what, unit="ms", ours=cpu_ms, reference=stock_cpu_ms),
    ]


def memory(bench: Bench) -> list[Measurement]:
    """Measure the memory of one more idle kernel."""
    what = f"memory of one of {bench.sizes.idle} kernels (PSS)"

    async def ours() -> list[float]:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(KernelPool(spares=0))
            kernels = [await stack.enter_async_context(pool.lease()) for _ in range(bench.sizes.idle)]
            for kernel in kernels:
                await kernel.read(await kernel.send(TRIVIAL), until=time.monotonic() + TIMEOUT_S)
            return [pss_mb(kernel.process.pid or 0) for kernel in kernels]

    try:
        our_mb = statistics.mean(bench.run(ours()))
    except OSError as problem:
        return [Measurement(what=what, unit="MB", limit=25, skipped=f"skipped: {problem}")]
    with stock.kernel(bench.home) as client:
        stock.run(client, stock.IMPORTS)
        stock_mb = pss_mb(int(stock.run(client, "import os\nprint(os.getpid())")))
    return [Measurement(what=what, unit="MB", ours=our_mb, reference=stock_mb, limit=25)]


def error(bench: Bench) -> list[Measurement]:
    """Run a cell that fails 200 frames deep."""
    times = bench.cells_in_turns(DEEP, bench.sizes.errors, 1)
    return [_medians("error 200 frames deep", *times, limit=15)]


def branch(bench: Bench) -> list[Measurement]:
    """Copy a live kernel with its state, until the copy answers; no stock kernel can do that."""
    what = "branch of a live kernel"

    async def ours() -> list[float]:
        times = []
        async with KernelPool(spares=0) as pool, pool.lease() as origin:
            await origin.read(await origin.send(STATE), until=time.monotonic() + TIMEOUT_S)
            for _ in range(bench.sizes.leases):
                started = time.perf_counter()
                copy = await pool.branch(origin)
                times.append(time.perf_counter() - started)
                await pool.discard(copy)
        return times

    try:
        return [_medians(what, bench.run(ours()))]
    except KernelError as problem:  # not at every level of isolation
        return [Measurement(what=what, unit="ms", skipped=f"skipped: {problem}")]


def beside(bench: Bench) -> list[Measurement]:
    """Run trivial cells in one kernel while the program of another takes all it can get; the reference is alone."""

    async def cells(executor: JupyterExecutor) -> list[float]:
        return [await timed(executor.run(TRIVIAL, timeout_s=TIMEOUT_S)) for _ in range(bench.sizes.cells)]

    async def crowded(executor: JupyterExecutor, code: str) -> list[float]:
        async with JupyterExecutor() as greedy:
            await greedy.run(TRIVIAL, timeout_s=TIMEOUT_S)
            running = asyncio.create_task(greedy.run(code, timeout_s=TIMEOUT_S))
            await asyncio.sleep(REFILL_S)
            times = await cells(executor)
            running.cancel()
            await asyncio.wait({running})
        return times

    def seconds(work: Callable[..., Coroutine[Any, Any, list[float]]], *given: object) -> list[float]:
        return bench.run(work(*given))

    rows = []
    for what, code in GREEDY.items():
        with bench.entered(JupyterExecutor()) as executor:
            assert bench.run(printed(executor, TRIVIAL)) == PRINTED
            times = bench.in_turns(
                partial(seconds, crowded, executor, code), partial(seconds, cells, executor)
            )
        rows.append(
            _medians(f"trivial cell beside a kernel that {what}, against alone", *times, at_least=0.5)
        )
    return rows


MEASUREMENTS: tuple[Callable[[Bench], list[Measurement]], ...] = (
    spawn,
    lease,
    cell,
    cells_at_once,
    problems,
    memory,
    error,
    branch,
    beside,
)


async def _spawn_s(server: ForkServer) -> float:
    """Start a kernel and end it; return the seconds until it was ready."""
    started = time.perf_counter()
    kernel = await Kernel.started(server, Sandbox())
    ready = time.perf_counter()
    await kernel.close()
    return ready - started


async def _volley(runs: Sequence[Callable[[], Awaitable[str]]], each: int) -> float:
    """Return the seconds until every kernel ran so many trivial cells."""

    async def one(run: Callable[[], Awaitable[str]]) -> None:
        for _ in range(each):
            assert await run() == PRINTED

    return await timed(asyncio.gather(*map(one, runs)))


async def _fresh_runs(codes: Sequence[str], concurrency: int) -> None:
    async with KernelPool(spares=concurrency) as pool:

        async def one(code: str) -> None:
            async with JupyterExecutor(pool=pool) as executor:
                execution = await executor.run(code, timeout_s=TIMEOUT_S)
                assert execution.status is not ExecutionStatus.DIED, execution.error

        await for_each(codes, one, concurrency=concurrency)


def _parts(items: list[str], number: int) -> list[list[str]]:
    return [items[first::number] for first in range(number)]


def _medians(
    what: str,
    ours: list[float],
    reference: list[float] | None = None,
    *,
    at_least: float | None = None,
    limit: float | None = None,
) -> Measurement:
    """Return a row of median milliseconds."""
    medians = [1000 * statistics.median(times) if times else None for times in (ours, reference)]
    return Measurement(
        what=what, unit="ms", ours=medians[0], reference=medians[1], at_least=at_least, limit=limit
    )
