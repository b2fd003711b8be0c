"""Make many attempts: every problem, every sample, each at its own pace, each kept the moment it ends.

    problems × samples ─▶ attempts owed ─▶ solver ─▶ grader ─▶ store

Nothing waits for a round of others: a free place takes the next attempt. The store is the memory: the same batch,
after whatever ended the last one, makes the attempts that are missing and no other. Where the solver has a
checkpointer, attempts that were under way go on from their last step, and their kernels draw the random numbers they
would have drawn. Attempts that machinery broke aren't results. One whose server didn't answer is made again as soon as
the server is back; others are made again a few times and then kept as broken, to be counted apart. Benchmark runs,
`solve --file` and the synthesis of training data are such batches.
"""

import hashlib
import json
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import anyio

from mumath_agent.agent.solver import Solver
from mumath_agent.answers import extract_answer
from mumath_agent.concurrency import for_each
from mumath_agent.errors import ModelUnreachable
from mumath_agent.grading import Grader
from mumath_agent.kernels import KernelPool
from mumath_agent.problems import check_question
from mumath_agent.records import BROKEN, Problem, RunRecord, Sampling, Settings, StopReason, to_json
from mumath_agent.runs.graded import AnswerOf, graded, with_answer
from mumath_agent.transcript import Transcript

if TYPE_CHECKING:
    from mumath_agent.agent.graph import Event

TRIES = 3
"""How often an attempt is made before it is recorded as broken."""
PATIENCE_S = 600.0
"""How long a server may be away."""
_LONGEST_PAUSE_S = 15.0
_SEEDS = 2**32 - 1
_MAY_PASS = (StopReason.KERNEL_ERROR, StopReason.INTERNAL_ERROR)
"""Stop reasons of attempts that may go well the next time; a server that refused would refuse again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The problems to attempt, and how."""

    problems: tuple[Problem, ...]
    samples: int = 1
    """Attempts per problem."""
    solver: Solver
    """Its sampling seed is the batch's; every attempt's own seed is drawn from it."""
    later: Sampling | None = None
    """How the samples after the first are drawn, if not as the first: that one may be greedy."""
    answer_of: AnswerOf = extract_answer

    def all_samples(self) -> list["Sample"]:
        """Return the first samples of all problems before the second ones, so that an early look sees all problems."""
        return [Sample(problem=p, number=n) for n in range(self.samples) for p in self.problems]

    def finished(self, store: "Store") -> Iterator[RunRecord]:
        """Yield the records of this batch that `store` holds already."""
        for sample in self.all_samples():
            if record := store.done(sample.problem, sample.number, self.key(sample)):
                yield record

    def solver_for(self, sample: "Sample") -> Solver:
        """Return the solver with the sample's own seed."""
        sampling = self.later if self.later and sample.number else self.solver.sampling
        if sampling.seed is not None:
            sampling = replace(sampling, seed=sample.seed(sampling.seed))
        return self.solver if sampling == self.solver.sampling else replace(self.solver, sampling=sampling)

    @property
    def later_settings(self) -> Settings | None:
        """The settings of the samples after the first, where they are others."""
        return replace(self.solver, sampling=self.later).settings if self.later else None

    def key(self, sample: "Sample") -> str:
        """Return a hash of all that makes an attempt what it is: problem, prompt, settings, number of the sample."""
        solver, problem = self.solver_for(sample), sample.problem
        prompt = solver.dialect.prompt(Transcript(question=problem.question))
        sent = prompt if isinstance(prompt, str) else to_json(prompt)
        content = [problem.id, problem.question, sent, to_json(solver.settings), sample.number]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One of the attempts at a problem."""

    problem: Problem
    number: int
    """Counted from 0."""

    def seed(self, batch_seed: int) -> int:
        """Return the attempt's seed: another for every attempt, the same whenever the batch is made."""
        content = json.dumps([batch_seed, self.problem.id, self.number])
        return int.from_bytes(hashlib.sha256(content.encode()).digest()[:4]) >> 1


class Store(Protocol):
    """A place where records are kept and found again."""

    def done(self, problem: Problem, sample: int, key: str) -> RunRecord | None:
        """Return the record of a finished attempt, or None; one that machinery broke isn't finished.

        Raises:
            InputError: there is one with another key.
        """
        ...

    def append(self, record: RunRecord) -> None:
        """Keep a record for good."""
        ...


async def run_batch(
    batch: Batch,
    store: Store | None = None,
    *,
    concurrency: int,
    grader: Grader | None = None,
    patience_s: float = PATIENCE_S,
    on_record: Callable[[RunRecord], None] = lambda _: None,
    on_outage: Callable[[str], None] = lambda _: None,
) -> None:
    """Make the attempts that `store` lacks, at most `concurrency` at a time; without a grader none gets a verdict.

    Raises:
        ModelUnreachable: nothing answered for `patience_s`. Nothing done is lost.
        InputError: a question can't be used (nothing was attempted), or the store can't take a record.
    """
    for problem in batch.problems:
        check_question(problem.question)
    async with open_maker(batch, store, grader, patience_s=patience_s, on_outage=on_outage) as maker:
        owed = _Owed()

        async def attempt(sample: Sample) -> None:
            if (record := await maker.make(sample)) is None:
                owed.add(sample)
            else:
                on_record(record)

        for sample in batch.all_samples():
            if await maker.made(sample) is None:
                owed.add(sample)
        await for_each(owed, attempt, concurrency=min(concurrency, len(owed)))


@asynccontextmanager
async def open_maker(
    batch: Batch,
    store: Store | None,
    grader: Grader | None,
    *,
    patience_s: float,
    on_outage: Callable[[str], None],
    pool: KernelPool | None = None,
) -> "AsyncIterator[Maker]":
    """Yield what makes the attempts of a batch; its kernels end with the block, unless they are of a given pool."""
    # With a checkpointer each kernel has its own seed, so none can wait ready.
    spares = 0 if batch.solver.checkpointer else 1
    async with nullcontext(pool) if pool else KernelPool(batch.solver.sandbox, spares=spares) as pool:
        yield Maker(batch, store, grader, pool, _Outage(patience_s, on_outage))


class Maker:
    """Makes one attempt after the other, grades it and keeps it the moment it ends."""

    def __init__(
        self, batch: Batch, store: Store | None, grader: Grader | None, pool: KernelPool, outage: "_Outage"
    ) -> None:
        """Begin; see `open_maker`."""
        self._batch, self._store, self._grader = batch, store, grader
        self._pool, self._outage = pool, outage
        self._keeper = batch.solver.checkpointer
        self._tries: Counter[Sample] = Counter()

    async def made(self, sample: Sample) -> RunRecord | None:
        """Return the record that the store has of an attempt; None if it is owed."""
        key = self._batch.key(sample)
        record = self._store.done(sample.problem, sample.number, key) if self._store else None
        if record:  # its run may have been killed after it kept the record
            await self.forget(sample)
        return record

    async def forget(self, sample: Sample) -> None:
        """Drop what is kept of an attempt that isn't going on."""
        if self._keeper:
            await self._keeper.adelete_thread(self._batch.key(sample))

    async def make(
        self, sample: Sample, on_event: "Callable[[Event], None] | None" = None
    ) -> RunRecord | None:
        """Make an attempt and return its record; None if it has to be made again.

        Raises:
            ModelUnreachable: nothing has answered for too long.
        """
        batch, key = self._batch, self._batch.key(sample)
        seed = int(key, 16) & _SEEDS if self._keeper else None
        async with batch.solver.new_kernel(self._pool, seed=seed) as kernel:
            solver = batch.solver_for(sample)
            record = await solver.solve(sample.problem, on_event=on_event, kernel=kernel, thread=key)
        stop = record.trajectory.stop_reason
        if stop is StopReason.MODEL_UNREACHABLE:
            await self._outage.pause(record.trajectory.error or "")
            return None
        self._outage.over()
        self._tries[sample] += 1
        if stop in _MAY_PASS and self._tries[sample] < TRIES:
            return None
        record = await self._read(replace(record, sample=sample.number, key=key))
        if self._store:
            self._store.append(record)
        if stop not in BROKEN:
            await self.forget(sample)
        return record

    async def ask(self, question: str) -> RunRecord:
        """Make a greedy attempt at a question that isn't one of the batch; it isn't kept."""
        solver = replace(self._batch.solver, sampling=Sampling(), checkpointer=None)
        async with solver.new_kernel(self._pool) as kernel:
            return await solver.solve(Problem(id="selection", question=question), kernel=kernel)

    async def _read(self, record: RunRecord) -> RunRecord:
        """Return the record with its answer, and a verdict if there is a grader."""
        if self._grader:
            return await graded(record, self._grader, self._batch.answer_of)
        return with_answer(record, self._batch.answer_of)


class _Owed(Iterator[Sample]):
    """Samples still to be attempted; one that has to be made again is added at the end, at any time."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def __len__(self) -> int:
        return len(self._samples)

    def __next__(self) -> Sample:
        if not self._samples:
            raise StopIteration
        return self._samples.popleft()

    def add(self, sample: Sample) -> None:
        self._samples.append(sample)


class _Outage:
    """A server that doesn't answer: every attempt that noticed waits, longer each time, until patience ends."""

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
        if away_s >= self._patience_s:
            raise ModelUnreachable(
                f"{error}; given up after {away_s:.0f} s, the same command goes on from here"
            )
        await anyio.sleep(min(_LONGEST_PAUSE_S, 0.5 + away_s / 4))
