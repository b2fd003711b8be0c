"""Measure what our side of a conversation with a server costs: many streams at once, each token an event of its own.

The server is simulated, in a process of its own, and writes a token to every stream at every step. CPU time is that of
our process; no programs run, so no kernels count. It is measured twice: for the client alone, as another program would
use it, and for whole attempts, with the graph that hands each piece on.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from statistics import median

from benchmarks.perf.table import Measurement
from benchmarks.perf.token_server import serving
from mumath_agent.agent.solver import Solver
from mumath_agent.concurrency import for_each
from mumath_agent.errors import MuMathError
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.protocols import CompletionRequest
from mumath_agent.records import Problem, StopReason
from mumath_agent.testing import ScriptedExecutor

STEP_S = 0.020
STARVED = 2.0
"""All texts are equally long: a stream that takes this many times as long as the others was starved."""

Exchange = Callable[[CompletionsModel, Callable[[str], None]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLoad:
    """How many attempts at once, and how long their texts are."""

    attempts: int
    tokens: int
    cpu_limit: float | None = None
    """Target: percent of a core for 1,000 tokens/s."""


FULL = (StreamLoad(attempts=16, tokens=200), StreamLoad(attempts=256, tokens=400, cpu_limit=15))
"""With few streams a token costs more: with many, several tokens have come by the time a stream is read again."""
QUICK = (StreamLoad(attempts=8, tokens=20),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a load costs."""

    cpu_percent: float
    """Percent of a core, for 1,000 tokens/s."""
    waits_s: tuple[float, ...]
    """From the request to the first text, sorted; one an attempt."""
    durations_s: tuple[float, ...]
    """Seconds of whole attempts, sorted."""

    @property
    def p99_wait_s(self) -> float:
        """99 % wait no longer than this."""
        return self.waits_s[min(len(self.waits_s) - 1, len(self.waits_s) * 99 // 100)]


def measure(quick: bool) -> list[Measurement]:
    """Return the rows of both; `quick` does few of everything, only to see that it works."""
    ways = {"streams, client alone": _complete, "whole attempts": _solve}
    loads = QUICK if quick else FULL
    return [row for load in loads for what, attempt in ways.items() for row in _rows(what, attempt, load)]


def _rows(what: str, attempt: Exchange, load: StreamLoad) -> list[Measurement]:
    with serving(step_s=STEP_S, tokens=load.tokens) as url:
        cost = asyncio.run(_cost(url, attempt, load))
    many = f"{load.attempts} {what}"
    return [
        Measurement(
            what=f"{many}: CPU for 1,000 tokens/s",
            unit="% of a core",
            ours=cost.cpu_percent,
            limit=load.cpu_limit,
        ),
        Measurement(what=f"{many}: p99 wait for the first text", unit="ms", ours=1000 * cost.p99_wait_s),
        Measurement(
            what=f"{many}: the slowest, beside the median one",
            unit="s",
            ours=cost.durations_s[-1],
            reference=median(cost.durations_s),
            limit=round(STARVED * median(cost.durations_s), 1),
        ),
    ]


async def _cost(url: str, attempt: Exchange, load: StreamLoad) -> Cost:
    model = CompletionsModel(url)
    await model.warm_up()
    waits: list[float] = []
    durations: list[float] = []

    async def one(_: int) -> None:
        started, first = time.perf_counter(), count()

        def on_text(_: str) -> None:
            if next(first) == 0:
                waits.append(time.perf_counter() - started)

        await attempt(model, on_text)
        durations.append(time.perf_counter() - started)

    try:
        await one(0)  # imports and connects what is needed only once
        waits.clear()
        durations.clear()
        before = time.process_time()
        await for_each(range(load.attempts), one, concurrency=load.attempts)
        cpu_s = time.process_time() - before
    finally:
        await model.aclose()
    per_token_s = cpu_s / (load.attempts * load.tokens)
    percent = 100 * per_token_s * 1000
    return Cost(cpu_percent=percent, waits_s=tuple(sorted(waits)), durations_s=tuple(sorted(durations)))


async def _complete(model: CompletionsModel, on_text: Callable[[str], None]) -> None:
    await model.complete(CompletionRequest(prompt="?", stop=("```output",), max_tokens=1024), on_text)


async def _solve(model: CompletionsModel, on_text: Callable[[str], None]) -> None:
    solver = Solver(model=model)
    record = await solver.solve(
        Problem(id="question", question="?"),
        on_event=lambda event: on_text(event["text"]),
        kernel=ScriptedExecutor(executions=[]),
    )
    if record.trajectory.stop_reason is not StopReason.ANSWERED:
        raise MuMathError(f"an attempt ended with {record.trajectory.stop_reason}: {record.trajectory.error}")
