"""A benchmark run: every problem, every sample, each attempt at its own pace, each on disk the moment it ends.

    problems × samples ─▶ attempts owed ─▶ solver ─▶ grader ─▶ attempts.jsonl

Nothing waits for a round of others: a free place takes the next attempt. The folder is the memory: the same command,
after whatever ended the last one, makes the attempts that are missing and no other. Attempts that machinery broke are
not results. One whose server didn't answer is made again as soon as the server is back; others are made again a few
times and then recorded, to be counted apart. What the numbers mean is for `report`.
"""

import hashlib
import json
import math
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio

from benchmarks.runs import RunFolder
from mumath_agent.answers import extract_answer
from mumath_agent.errors import ModelUnreachable
from mumath_agent.grading import Grader
from mumath_agent.kernels import KernelPool
from mumath_agent.records import BROKEN, Answer, Problem, RunRecord, StopReason, to_json
from mumath_agent.solver import Solver
from mumath_agent.transcript import Transcript

TRIES = 3
"""How often an attempt is made before its breaking is recorded."""
PATIENCE_S = 600.0
"""How long a server may be away."""
_LONGEST_PAUSE_S = 15.0
_MAY_PASS = (StopReason.KERNEL_ERROR, StopReason.INTERNAL_ERROR)
"""A server that said no would say so again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to do."""

    problems: tuple[Problem, ...]
    samples: int
    solver: Solver
    """Its sampling seed is the run's; every attempt gets one of its own, drawn from it."""
    answer_of: Callable[[Transcript], Answer | None] = extract_answer
    """The task's rule: which words of a transcript are its answer."""

    def all_samples(self) -> list["Sample"]:
        """The first samples of all problems before the second ones, so that an early look sees all problems."""
        return [Sample(problem=p, number=n) for n in range(self.samples) for p in self.problems]

    def solver_for(self, sample: "Sample") -> Solver:
        sampling = self.solver.sampling
        if sampling.seed is None:
            return self.solver
        return replace(self.solver, sampling=replace(sampling, seed=sample.seed(sampling.seed)))

    def key(self, sample: "Sample") -> str:
        """Names all that makes an attempt what it is: problem, prompt, settings, number of the sample."""
        solver, problem = self.solver_for(sample), sample.problem
        prompt = solver.dialect.prompt(Transcript(question=problem.question))
        content = [problem.id, problem.question, prompt, to_json(solver.settings), sample.number]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One of the attempts at a problem."""

    problem: Problem
    number: int
    """Counted from 0."""

    def seed(self, run_seed: int) -> int:
        """The same in every run, another for every attempt."""
        content = json.dumps([run_seed, self.problem.id, self.number])
        return int.from_bytes(hashlib.sha256(content.encode()).digest()[:4]) >> 1


async def run_attempts(
    plan: Plan,
    folder: RunFolder,
    *,
    concurrency: int,
    grader: Grader,
    patience_s: float = PATIENCE_S,
    on_record: Callable[[RunRecord], None] = lambda _: None,
    on_outage: Callable[[str], None] = lambda _: None,
) -> None:
    """Make the attempts that `folder` lacks, at most `concurrency` at a time.

    Raises:
        ModelUnreachable: nothing answered for `patience_s`. Nothing done is lost.
        InputError: a record can't be written, or the folder holds another run.
    """
    owed = deque(s for s in plan.all_samples() if folder.done(s.problem, s.number, plan.key(s)) is None)
    tries: Counter[Sample] = Counter()
    outage = _Outage(patience_s, on_outage)

    async def work(pool: KernelPool) -> None:
        while owed:
            sample = owed.popleft()
            async with plan.solver.new_kernel(pool) as kernel:
                record = await plan.solver_for(sample).solve(sample.problem, kernel=kernel)
            stop = record.trajectory.stop_reason
            if stop is StopReason.MODEL_UNREACHABLE:
                owed.append(sample)
                await outage.pause(record.trajectory.error or "")
                continue
            outage.over()
            tries[sample] += 1
            if stop in _MAY_PASS and tries[sample] < TRIES:
                owed.append(sample)
                continue
            record = await _graded(replace(record, sample=sample.number, key=plan.key(sample)), plan, grader)
            folder.append(record)
            on_record(record)

    try:
        async with KernelPool(plan.solver.sandbox, spares=1) as pool, anyio.create_task_group() as workers:
            for _ in range(min(concurrency, len(owed))):
                workers.start_soon(work, pool)
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended the workers: the first to fail, the others were cancelled for it."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _graded(record: RunRecord, plan: Plan, grader: Grader) -> RunRecord:
    """With the answer the task's rule finds, and the verdict on it, where there is something to compare."""
    attempt, target = record.trajectory, record.problem.target
    if attempt.stop_reason is StopReason.ANSWERED:
        attempt = replace(attempt, answer=plan.answer_of(attempt.transcript))
    if target is None or attempt.stop_reason in BROKEN:
        return replace(record, trajectory=attempt)
    verdict = await grader.grade(attempt.answer.text if attempt.answer else None, target)
    return replace(record, trajectory=attempt, verdict=verdict)


class _Outage:
    """A server that doesn't answer: everybody who noticed waits, longer each time, until patience ends."""

    def __init__(self, patience_s: float, on_outage: Callable[[str], None]) -> None:
        self._patience_s = patience_s
        self._tell = on_outage
        self._since = math.inf

    def over(self) -> None:
        self._since = math.inf

    async def pause(self, error: str) -> None:
        now = time.monotonic()
        if self._since == math.inf:
            self._since = now
            self._tell(f"{error}; waiting up to {self._patience_s:g} s for it")
        away_s = now - self._since
        if away_s > self._patience_s:
            raise ModelUnreachable(
                f"{error}; given up after {away_s:.0f} s, the same command goes on from here"
            )
        await anyio.sleep(min(_LONGEST_PAUSE_S, 0.5 + away_s / 4))
