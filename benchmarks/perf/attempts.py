"""Measure what several attempts at each of many problems cost beside their model, and how budgets end.

The texts are recorded, their programs run in real kernels, and a simulated server takes the time that a model would.
Every attempt at a problem gets the same text, so all votes agree; early stop is off, so that all are made. The model's
time is what the same texts take in the same order from the same server with nothing around them: no programs, no
kernels, no votes.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.perf.bench import our_cpu_s, timed
from benchmarks.perf.simulated import SimulatedServer, Speed
from benchmarks.perf.table import Measurement
from benchmarks.replay.agent import replay_model
from benchmarks.replay.recordings import RecordedSolution, load_recorded
from mumath_agent.agent.attempts import batch_of, solve_problems
from mumath_agent.agent.solver import Solver
from mumath_agent.concurrency import for_each
from mumath_agent.errors import MuMathError
from mumath_agent.grading import Grader
from mumath_agent.kernels.forkserver import server_for
from mumath_agent.records import Completion, Limits, Problem
from mumath_agent.solutions import Attempts, Ending, Solution

FILE = "tora-70b.gsm8k.jsonl"
_MAKESPAN, _CPU = "makespan, and of the model alone", "CPU beside the model, of the model's time"
_OVERRUN = "run wall of half the time: overrun"
_MB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptsLoad:
    """How many attempts at how many problems, and the server that writes them."""

    problems: int
    attempts: int
    speed: Speed

    @property
    def what(self) -> str:
        """The load in a few words."""
        return f"{self.problems} problems x {self.attempts} attempts"


FULL = AttemptsLoad(problems=64, attempts=8, speed=Speed(slots=64, tokens_per_s=50))
WALLED = AttemptsLoad(problems=20, attempts=4, speed=Speed(slots=8, tokens_per_s=200))
QUICK = AttemptsLoad(problems=3, attempts=2, speed=Speed(slots=4, tokens_per_s=2000))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    solutions: tuple[Solution, ...]
    seconds: float
    cpu_s: float
    """Of this process, its workers, the fork server and all kernels."""
    grown_mb: float
    """What this process takes more than before."""
    kernels: int
    """Processes that are left behind."""
    alone_s: float
    """What the model alone takes."""


def measure(quick: bool, folder: Path) -> list[Measurement]:
    """Return the rows; `folder` has the recorded solutions, `quick` only shows that it works."""
    path, load = folder / FILE, QUICK if quick else FULL
    if not path.exists():
        reason = f"skipped: there is no {path}"
        return [
            Measurement(what=f"{load.what}: {_MAKESPAN}", unit="s", at_least=0.95, skipped=reason),
            Measurement(what=f"{load.what}: {_CPU}", unit="%", limit=5, skipped=reason),
            Measurement(what=_OVERRUN, unit="s", limit=2, skipped=reason),
        ]
    recorded = [item for item in load_recorded(path) if isinstance(item, RecordedSolution)]
    return asyncio.run(_rows(load, QUICK if quick else WALLED, recorded))


async def _rows(
    load: AttemptsLoad, walled: AttemptsLoad, recorded: Sequence[RecordedSolution]
) -> list[Measurement]:
    made = await _make(load, recorded, Attempts(number=load.attempts, early_stop=False))
    whole = await _make(walled, recorded, Attempts(number=walled.attempts, early_stop=False))
    wall_s = whole.seconds / 2
    cut = await _make(walled, recorded, Attempts(number=walled.attempts, early_stop=False, run_wall_s=wall_s))
    _check(made.solutions, load.problems, {Ending.ALL})
    _check(cut.solutions, walled.problems, {Ending.ALL, Ending.RUN_WALL})
    what, wrote_s = load.what, _written_s(made.solutions, load.speed)
    return [
        Measurement(
            what=f"{what}: {_MAKESPAN}", unit="s", ours=made.seconds, reference=made.alone_s, at_least=0.95
        ),
        Measurement(what=f"{what}: {_CPU}", unit="%", ours=100 * made.cpu_s / wrote_s, limit=5),
        Measurement(what=f"{what}: memory of the agent", unit="MB more", ours=made.grown_mb),
        Measurement(what=f"{what}: processes left behind", unit="", ours=made.kernels, limit=0),
        Measurement(what=_OVERRUN, unit="s", ours=cut.seconds - wall_s, limit=2),
    ]


async def _make(load: AttemptsLoad, recorded: Sequence[RecordedSolution], how: Attempts) -> _Made:
    solutions = list(recorded[: load.problems])
    texts = replay_model(solutions)
    solver = Solver(
        model=SimulatedServer(texts, load.speed),
        dialect=texts.dialect,
        limits=Limits(),
        fresh_cells=solutions[0].settings.fresh_cells,
    )
    problems = [Problem(id=each.id, question=each.question) for each in solutions]
    server, found = await server_for(solver.sandbox), list[Solution]()
    async with Grader(workers=2) as grader:
        await grader.grade("1/2", "0.5")  # its workers start once in a process
        us, before = psutil.Process(), _processes()
        memory, cpu_s, started = us.memory_info().rss, our_cpu_s(server), time.perf_counter()
        await solve_problems(
            batch_of(problems, solver, how),
            how,
            grader=grader,
            concurrency=_concurrency(load.speed),
            on_solution=found.append,
        )
        seconds = time.perf_counter() - started
        return _Made(
            solutions=tuple(found),
            seconds=seconds,
            cpu_s=our_cpu_s(server) - cpu_s,
            grown_mb=(us.memory_info().rss - memory) / _MB,
            kernels=len(_processes() - before),
            alone_s=await _alone(found, load.speed),
        )


async def _alone(solutions: Sequence[Solution], speed: Speed) -> float:
    """Return the seconds that the server takes for all that was written, and for nothing else."""
    slots = asyncio.Semaphore(speed.slots)
    attempts = [record.trajectory.completions for solution in solutions for record in solution.attempts]

    async def write(completions: Sequence[Completion]) -> None:
        for completion in completions:
            async with slots:
                await asyncio.sleep(completion.completion_tokens / speed.tokens_per_s)

    return await timed(for_each(attempts, write, concurrency=_concurrency(speed)))


def _written_s(solutions: Sequence[Solution], speed: Speed) -> float:
    """Return for how many seconds the model wrote, all attempts together."""
    return sum(solution.budget.tokens for solution in solutions) / speed.tokens_per_s


def _concurrency(speed: Speed) -> int:
    """Return how many attempts are made at a time: while programs run, others keep the server busy."""
    return 2 * speed.slots


def _processes() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _check(solutions: Sequence[Solution], problems: int, endings: set[Ending]) -> None:
    """Refuse to measure something else than what is named.

    Raises:
        MuMathError: a problem has no solution, or one that ended otherwise.
    """
    ended = {solution.budget.ending for solution in solutions}
    if len(solutions) != problems or not ended <= endings:
        raise MuMathError(f"{len(solutions)} of {problems} problems ended, by {sorted(ended)}")
