"""Measure attempts at their own pace against rounds in lock step, on recorded traces with real programs.

In lock step, as in ToRA's and MuMath-Code's inference, all attempts write their turn, then all programs run, then all
write the next turn: every attempt waits for the slowest, and the server waits for the programs. Both ways get the same
texts, the same kernels and the same simulated server in the same run. Neither can be faster than the server: all tokens
at its full rate, or the tokens of the longest attempt one after the other, whichever takes longer.

There are two loads. "Wide" has as many slots as attempts, so the makespan is the longest attempt's, and lock step adds
up every round's slowest; that is the case where all attempts fit into a 7B model's server on one large GPU, at about
100 tokens/s each. The trace is a 7B model's own, with several programs a problem and some that fail. "Deep" has six
short problems a slot, one program each, so the server is full nearly all of the time and little can be gained.
"""

import asyncio
import os
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.perf.bench import timed
from benchmarks.perf.simulated import SimulatedServer, Speed
from benchmarks.perf.table import Measurement
from benchmarks.replay.agent import replay_model
from benchmarks.replay.recordings import RecordedSolution, load_recorded
from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.concurrency import for_each
from mumath_agent.kernels import KernelPool
from mumath_agent.kernels.forkserver import server_for
from mumath_agent.protocols import CompletionRequest, Dialect, Executor
from mumath_agent.records import Limits, Problem, RunRecord
from mumath_agent.transcript import Transcript

QUICK_PROBLEMS, QUICK_TOKENS_PER_S = 8, 2000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceLoad:
    """A trace and the server that writes it."""

    name: str
    file: str
    problems: int
    speed: Speed
    at_least: float | None
    """Target: how many times shorter than in lock step."""

    @property
    def what(self) -> str:
        """The load in a few words."""
        return f"{self.name}: {self.problems} of {self.file.removesuffix('.jsonl')}"


WIDE = TraceLoad(
    name="wide",
    file="mathcoder-l-7b.simuleq.jsonl",
    problems=128,
    speed=Speed(slots=128, tokens_per_s=100),
    at_least=1.5,
)
DEEP = TraceLoad(
    name="deep",
    file="tora-70b.gsm8k.jsonl",
    problems=96,
    speed=Speed(slots=16, tokens_per_s=100),
    at_least=None,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Makespans:
    """Seconds until the last attempt of a load is done."""

    ours: float
    lock_step: float
    limit: float
    """No schedule can be faster than the server."""

    @property
    def beyond_percent(self) -> float:
        """By how much ours takes longer than the server's limit."""
        return 100 * (self.ours / self.limit - 1)


def measure(quick: bool, data: Path) -> list[Measurement]:
    """Return the rows of both loads; `data` is the folder of recorded solutions, `quick` only shows that it works."""
    return [row for load in (WIDE, DEEP) for row in _rows(_quick(load) if quick else load, data)]


def _quick(load: TraceLoad) -> TraceLoad:
    speed = replace(load.speed, tokens_per_s=QUICK_TOKENS_PER_S)
    return replace(load, problems=QUICK_PROBLEMS, speed=speed)


def _rows(load: TraceLoad, folder: Path) -> list[Measurement]:
    what, beyond = f"makespan, {load.what}", f"beyond the server's limit, {load.name}"
    path = folder / load.file
    if not path.exists():
        reason = f"skipped: there is no {path}"
        return [
            Measurement(what=what, unit="s", at_least=load.at_least, skipped=reason),
            Measurement(what=beyond, unit="%", limit=5, skipped=reason),
        ]
    solutions = [item for item in load_recorded(path) if isinstance(item, RecordedSolution)][: load.problems]
    found = asyncio.run(makespans(solutions, load.speed))
    return [
        Measurement(what=what, unit="s", ours=found.ours, reference=found.lock_step, at_least=load.at_least),
        Measurement(what=beyond, unit="%", ours=found.beyond_percent, limit=5),
    ]


async def makespans(solutions: list[RecordedSolution], speed: Speed) -> Makespans:
    """Measure how long `solutions` take at their own pace and in lock step, all begun at once.

    Attempts have our ordinary limits: 4 turns, 1024 tokens each.
    """
    texts = replay_model(solutions)
    fresh_cells = solutions[0].settings.fresh_cells
    solver = Solver(
        model=SimulatedServer(texts, speed), dialect=texts.dialect, limits=Limits(), fresh_cells=fresh_cells
    )
    problems = [Problem(id=solution.id, question=solution.question) for solution in solutions]
    records: list[RunRecord] = []
    await server_for(solver.sandbox)  # it starts once in a process, so neither way pays for it
    batch = Batch(problems=tuple(problems), solver=solver)
    ours = await timed(run_batch(batch, concurrency=len(problems), on_record=records.append))
    return Makespans(
        ours=ours, lock_step=await _in_lock_step(problems, solver), limit=_limit_s(records, speed)
    )


def _limit_s(records: Iterable[RunRecord], speed: Speed) -> float:
    tokens = [sum(c.completion_tokens for c in record.trajectory.completions) for record in records]
    return max(sum(tokens) / speed.total_tokens_per_s, max(tokens) / speed.tokens_per_s)


@dataclass(slots=True)
class _LockStepAttempt:
    transcript: Transcript
    kernel: Executor


async def _in_lock_step(problems: list[Problem], solver: Solver) -> float:
    """Return the seconds for all `problems` in rounds. Kernels start while the first turns are written."""

    async def write(attempt: _LockStepAttempt) -> None:
        await _write(attempt, solver)

    async def run(attempt: _LockStepAttempt) -> None:
        await _run(attempt, solver)

    started = time.perf_counter()
    async with KernelPool(solver.sandbox, spares=0) as pool, AsyncExitStack() as stack:
        live = [
            _LockStepAttempt(
                transcript=Transcript(question=problem.question),
                kernel=await stack.enter_async_context(solver.new_kernel(pool)),
            )
            for problem in problems
        ]
        for _ in range(solver.limits.max_turns - 1):
            await for_each(live, write, concurrency=len(problems))
            live = [attempt for attempt in live if _program(attempt, solver.dialect) is not None]
            # As many programs at once as there are cores, as in ToRA's executor.
            await for_each(live, run, concurrency=os.cpu_count() or 1)
        await for_each(live, write, concurrency=len(problems))
    return time.perf_counter() - started


async def _write(attempt: _LockStepAttempt, solver: Solver) -> None:
    completion = await solver.model.complete(
        CompletionRequest(
            prompt=solver.dialect.prompt(attempt.transcript),
            stop=solver.dialect.stop,
            max_tokens=solver.limits.max_new_tokens,
            sampling=solver.sampling,
        )
    )
    attempt.transcript = solver.dialect.with_completion(attempt.transcript, completion)


async def _run(attempt: _LockStepAttempt, solver: Solver) -> None:
    """Run the program of the attempt's last turn."""
    program, limits = _program(attempt, solver.dialect), solver.limits
    assert program is not None
    execution = await attempt.kernel.run(program, timeout_s=limits.cell_timeout_s)
    attempt.transcript = solver.dialect.with_output(
        attempt.transcript, execution, max_chars=limits.output_chars
    )


def _program(attempt: _LockStepAttempt, dialect: Dialect) -> str | None:
    return dialect.pending_code(attempt.transcript)
