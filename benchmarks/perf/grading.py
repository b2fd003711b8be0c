"""Measure how many answers a second are graded, and what a pair that never ends costs the others.

Numbers are compared in our own process; what has to be read as mathematics goes to a worker process, one here, so that
rates are those of one core. Every pair is spelled differently, so that no cache helps.
"""

import resource
import time
from collections.abc import Callable, Sequence

import anyio
import psutil

from benchmarks.grading.hostile import ANSWERS
from benchmarks.perf.table import Measurement
from mumath_agent.errors import MuMathError
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome

HOSTILE = ("5", ANSWERS[0])
LIMIT_S = 3.0
OVER_LIMIT_S, NEXT_S = 0.5, 0.2
"""How much more than its limit a hostile pair may cost, and how much the next pair may."""
_WARM = ("x+1", "1+x")

Pairs = Sequence[tuple[str, str]]
"""A target and an answer each."""


def measure(quick: bool) -> list[Measurement]:
    """Return all rows; `quick` does few of everything, only to see that it works."""
    return anyio.run(_rows, 20 if quick else 1)


def numeric(number: int) -> list[tuple[str, str]]:
    """Return pairs of numbers, spelled as models and files spell them; all are equal."""
    spellings: list[Callable[[int], tuple[str, str]]] = [
        lambda n: (str(n), f"{n:,}.00"),
        lambda n: (f"\\frac{{{n}}}{{7}}", f"\\dfrac{{{2 * n}}}{{14}}"),
        lambda n: (f"{n}.5", f"{n}\\frac{{1}}{{2}}"),
        lambda n: (str(n), f"\\${n}"),
        lambda n: (str(n), f"x = {n}\\text{{ cm}}"),
    ]
    return [spellings[n % len(spellings)](n + 2) for n in range(number)]


def symbolic(number: int) -> list[tuple[str, str]]:
    """Return pairs that have to be read as mathematics; all are equal."""
    spellings: list[Callable[[int], tuple[str, str]]] = [
        lambda n: (f"x^2+{2 * n}x+{n * n}", f"(x+{n})^2"),
        lambda n: (f"{n}\\sqrt{{3}}", f"\\sqrt{{{3 * n * n}}}"),
        lambda n: (f"y={n}x+1", f"{n}x+1-y=0"),
        lambda n: (f"\\frac{{\\pi}}{{{n}}}", f"\\pi/{n}+0"),
    ]
    return [spellings[n % len(spellings)](n + 2) for n in range(number)]


async def _rows(divisor: int) -> list[Measurement]:
    async with Grader(timeout_s=LIMIT_S) as grader:
        await grader.grade(*_WARM)
        numbers, symbols = numeric(10_000 // divisor), symbolic(1_000 // divisor)
        numeric_rate, symbolic_rate = await _rate(grader, numbers), await _rate(grader, symbols)
        stalled_rate = await _rate_beside_hostile(grader, numbers)
        hostile_s, next_s = await _hostile_s(grader, ANSWERS[::divisor])
        after = await _rate(grader, symbols)
    return [
        Measurement(what="numeric pairs, one core", unit="pairs/s", ours=numeric_rate, limit=1000),
        Measurement(what="symbolic pairs, one worker", unit="pairs/s", ours=symbolic_rate),
        Measurement(
            what=f"CPU of the worst of {len(ANSWERS[::divisor])} hostile pairs, each limited to {LIMIT_S:g} s",
            unit="s",
            ours=hostile_s,
            limit=LIMIT_S + OVER_LIMIT_S,
        ),
        Measurement(what="CPU of the worst pair after one of them", unit="s", ours=next_s, limit=NEXT_S),
        Measurement(
            what="numeric pairs beside a hostile one, against without",
            unit="pairs/s",
            ours=stalled_rate,
            reference=numeric_rate,
        ),
        Measurement(
            what="symbolic pairs after a hostile one, with a new worker, against before",
            unit="pairs/s",
            ours=after,
            reference=symbolic_rate,
        ),
    ]


async def _rate(grader: Grader, pairs: Pairs) -> float:
    """Return pairs a second; a wrong verdict ends the measurement, since fast and wrong is worth nothing."""
    started = time.perf_counter()
    for target, answer in pairs:
        verdict = await grader.grade(answer, target)
        if verdict.outcome is not Outcome.CORRECT:
            raise MuMathError(f"{answer} and {target} are equal, and the grader says {verdict}")
    return len(pairs) / (time.perf_counter() - started)


async def _rate_beside_hostile(grader: Grader, pairs: Pairs) -> float:
    target, answer = HOSTILE
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(grader.grade, answer, target)
        await anyio.sleep(0.1)
        rate = await _rate(grader, pairs)
        tasks.cancel_scope.cancel()
    return rate


async def _hostile_s(grader: Grader, answers: Sequence[str]) -> tuple[float, float]:
    """Return the CPU seconds of the most costly hostile answer, and of the most costly pair after one.

    CPU time of this process and of the workers that were there before the pair; so other work on the machine counts
    for nothing, and a next pair that has to wait for a new worker to import sympy would show.
    """
    costs = [(await _cpu_s(grader, answer, HOSTILE[0]), await _cpu_s(grader, *_WARM)) for answer in answers]
    return max(hostile for hostile, _ in costs), max(following for _, following in costs)


async def _cpu_s(grader: Grader, answer: str, target: str) -> float:
    workers = {worker: _used(worker) for worker in psutil.Process().children()}
    ended, ours = _used_by_ended(), time.process_time()
    await grader.grade(answer, target)
    living = [(worker, used) for worker, used in workers.items() if worker.is_running()]
    of_ended = sum(used for worker, used in workers.items() if not worker.is_running())
    return (
        time.process_time()
        - ours
        + sum(_used(worker) - used for worker, used in living)
        + (_used_by_ended() - ended - of_ended)
    )


def _used(worker: psutil.Process) -> float:
    times = worker.cpu_times()
    return float(times.user + times.system)


def _used_by_ended() -> float:
    times = resource.getrusage(resource.RUSAGE_CHILDREN)
    return times.ru_utime + times.ru_stime
