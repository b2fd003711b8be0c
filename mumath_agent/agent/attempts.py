"""Make several attempts at a problem side by side, count their votes while they run, and stop when it is enough.

    problem ─▶ attempts, each with its own kernel and seed ─▶ votes ─▶ decided? ─▶ the others are cancelled ─▶ solution

One clock stands over all problems: what is left of `Attempts.run_wall_s` is shared out again whenever a problem begins,
so that easy ones give their time back. A budget that ends leaves the best answer so far, which says what ended it. Each
attempt is kept as a record the moment it ends (`batch.Maker`), and the solution follows from the records: given again,
the same problems go on with the attempts that are missing, if any still matters.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NotRequired, TypedDict

import anyio

from mumath_agent.agent.batch import PATIENCE_S, Batch, Maker, Sample, Store, open_maker
from mumath_agent.agent.clock import Clock, places
from mumath_agent.agent.selection import select
from mumath_agent.agent.solver import Solver
from mumath_agent.answers import extract_answer
from mumath_agent.concurrency import for_each
from mumath_agent.grading import Grader
from mumath_agent.kernels import KernelPool
from mumath_agent.models.logprobs import LogprobModel
from mumath_agent.problems import check_question
from mumath_agent.records import Problem, RunRecord
from mumath_agent.runs.graded import AnswerOf
from mumath_agent.runs.voting import Count
from mumath_agent.runs.wording import answer_line
from mumath_agent.solutions import (
    TEMPERATURE,
    Attempts,
    Budget,
    Confidence,
    Ending,
    Select,
    Selection,
    Solution,
)

if TYPE_CHECKING:
    from mumath_agent.agent.graph import Event

CONCURRENCY = 8


class SolvingEvent(TypedDict):
    """One thing that happened in the attempts at a problem."""

    event: str
    """Those of one attempt (`events.Event`), with its `sample`; and "attempt": it begins. "ended": it has ended, `text`
    says how. "votes": they have changed, `text` is the leading answer. "cancelled": the attempt isn't needed."""
    problem: str
    """Its id."""
    text: str
    sample: NotRequired[int]
    status: NotRequired[str]
    figures: NotRequired[tuple[str, ...]]
    votes: NotRequired[dict[str, int]]
    """The votes of each answer."""


OnEvent = Callable[[SolvingEvent], None]


def batch_of(
    problems: Sequence[Problem], solver: Solver, how: Attempts, answer_of: AnswerOf = extract_answer
) -> Batch:
    """Return the attempts at the problems: with a greedy solver the first is greedy and the others are sampled."""
    sampling, later = solver.sampling, None
    if how.weight.needs_logprobs:
        solver = replace(solver, model=LogprobModel(solver.model))
    if how.number > 1:
        seed = how.seed if sampling.seed is None else sampling.seed
        later = replace(sampling, temperature=sampling.temperature or TEMPERATURE, seed=seed)
        sampling = later if sampling.temperature else replace(sampling, seed=None)
    return Batch(
        problems=tuple(problems),
        samples=how.number,
        solver=replace(solver, sampling=sampling),
        later=later,
        answer_of=answer_of,
    )


async def solve_problems(
    batch: Batch,
    how: Attempts,
    store: Store | None = None,
    *,
    grader: Grader,
    concurrency: int = CONCURRENCY,
    patience_s: float = PATIENCE_S,
    on_event: OnEvent = lambda _: None,
    on_solution: Callable[[Solution], None] = lambda _: None,
    on_outage: Callable[[str], None] = lambda _: None,
    pool: KernelPool | None = None,
) -> None:
    """Solve the problems of a batch, with at most `concurrency` attempts at a time, and tell each solution.

    Their kernels are those of `pool`, or of one of their own.

    Raises:
        ModelUnreachable: nothing answered for `patience_s`, and no budget ended before. Nothing done is lost.
        InputError: a question can't be used (nothing was attempted), or the store can't take a record.
    """
    for problem in batch.problems:
        check_question(problem.question)
    if (written_at_once := getattr(batch.solver.model, "at_once", None)) is not None:
        concurrency = min(concurrency, written_at_once + 1)  # one more, whose program runs meanwhile
    at_once, side_by_side = places(how, len(batch.problems), concurrency)
    clock = Clock(how, problems=len(batch.problems), at_once=at_once)
    async with open_maker(
        batch, store, grader, patience_s=patience_s, on_outage=on_outage, pool=pool
    ) as maker:

        async def solve(problem: Problem) -> None:
            solving = _Solving(problem, how, maker, Count(grader, how), on_event)
            solution = await solving.solve(clock, side_by_side)
            if problem.target is not None and solution.attempts:
                verdict = await grader.grade(solution.answer, problem.target)
                solution = replace(solution, verdict=verdict)
            on_solution(solution)

        await for_each(batch.problems, solve, concurrency=at_once)


async def solve_problem(
    problem: Problem,
    solver: Solver,
    how: Attempts,
    store: Store | None = None,
    *,
    grader: Grader | None = None,
    pool: KernelPool | None = None,
    concurrency: int = CONCURRENCY,
    on_event: OnEvent = lambda _: None,
) -> Solution:
    """Solve one problem, for somebody who waits for it: a server that is away isn't waited for.

    Who has a grader and a pool of kernels lends them; without, they are opened and closed.

    Raises:
        ModelUnreachable: nothing answered, and no budget ended before.
        InputError: the question can't be used.
    """
    solved: list[Solution] = []
    async with nullcontext(grader) if grader else Grader() as grader:
        await solve_problems(
            batch_of([problem], solver, how),
            how,
            store,
            grader=grader,
            pool=pool,
            concurrency=concurrency,
            patience_s=0.0,
            on_event=on_event,
            on_solution=solved.append,
        )
    return solved[0]


def unsolved(how: Attempts, broken: RunRecord) -> Solution:
    """Return the solution of a problem for which there was no model, as a record of an attempt tells."""
    budget = Budget(
        ending=Ending.ALL,
        finished=0,
        earlier=0,
        cancelled=0,
        unbegun=how.number,
        tokens=0,
        saved_tokens=0,
        duration_s=0.0,
    )
    nothing = Confidence(value=0.0, share=0.0, agreement=None, logprob=None, is_low=True)
    return Solution(
        problem=broken.problem,
        how=how,
        attempts=(broken,),
        votes=(),
        answer=None,
        confidence=nothing,
        budget=budget,
    )


@dataclass(slots=True)
class _Solving:
    """The attempts at one problem."""

    problem: Problem
    how: Attempts
    maker: Maker
    count: Count
    on_event: OnEvent
    records: list[RunRecord] = field(default_factory=list)
    earlier: int = 0
    written: dict[int, int] = field(default_factory=dict)
    """Characters that attempts under way have written."""
    selection: Selection | None = None

    async def solve(self, clock: Clock, concurrency: int) -> Solution:
        """Make the attempts that are missing until it is decided or a budget ends."""
        started = time.monotonic()
        owed = await self._owed()
        seconds, wall = clock.share()
        ending = self.count.decided()
        if ending is None:
            with anyio.move_on_after(seconds) as scope:
                await for_each(owed, partial(self._attempt, scope), concurrency=min(concurrency, len(owed)))
            await self.count.add(*self.records)
            ending = self.count.decided() or (wall if scope.cancelled_caught else Ending.ALL)
            if ending is Ending.RUN_WALL and not self.records:
                clock.was_too_short(seconds)
        if ending in (Ending.DECIDED, Ending.ENOUGH):
            for sample in owed:
                await self.maker.forget(sample)
        await self._select(seconds - (time.monotonic() - started))
        for number in self.written:
            self.on_event({**self._event("cancelled"), "sample": number})
        return self._solution(ending, time.monotonic() - started)

    async def _owed(self) -> list[Sample]:
        """Return the attempts to make; those that were made before are counted."""
        samples = [Sample(problem=self.problem, number=number) for number in range(self.how.number)]
        earlier = {sample: await self.maker.made(sample) for sample in samples}
        self.records += [record for record in earlier.values() if record]
        self.earlier = len(self.records)
        await self.count.add(*self.records)
        return [sample for sample, record in earlier.items() if record is None]

    async def _attempt(self, scope: anyio.CancelScope, sample: Sample) -> None:
        """Make one attempt to its end, and cancel the others if they aren't needed any more."""
        if scope.cancel_called:
            return
        self.written[sample.number] = 0
        self.on_event({**self._event("attempt"), "sample": sample.number})
        while (record := await self.maker.make(sample, partial(self._heard, sample.number))) is None:
            pass
        del self.written[sample.number]
        self.records.append(record)
        self.on_event({**self._event("ended", answer_line(record.trajectory)), "sample": sample.number})
        before = self.count.classes
        await self.count.add(record)
        if self.count.classes != before:
            told = self._event("votes", self.count.classes[0].answer)
            told["votes"] = {each.answer: each.votes for each in self.count.classes}
            self.on_event(told)
        if self.count.decided():
            scope.cancel()

    async def _select(self, within_s: float) -> None:
        """Have the model choose between answers that the votes leave in doubt, if that was asked for."""
        in_doubt = sum(each.votes > 0 for each in self.count.classes) > 1 and self.count.confidence().is_low
        if self.how.select is Select.VOTES or not in_doubt:
            return
        with anyio.move_on_after(within_s):
            self.selection = await select(
                self.how.select, self.problem, self.count.classes, self.records, self.maker.ask
            )
            if self.selection.answer is not None:
                self.count.choose(self.selection.answer)

    def _heard(self, sample: int, event: "Event") -> None:
        if event["event"] == "text":
            self.written[sample] += len(event["text"])
        told = self._event(event["event"], event["text"])
        told["sample"] = sample
        if "status" in event:
            told["status"], told["figures"] = event["status"], event.get("figures", ())
        self.on_event(told)

    def _event(self, event: str, text: str = "") -> SolvingEvent:
        return {"event": event, "problem": self.problem.id, "text": text}

    def _solution(self, ending: Ending, duration_s: float) -> Solution:
        records = sorted(self.records, key=lambda record: record.sample)
        return Solution(
            problem=self.problem,
            how=self.how,
            attempts=tuple(records),
            votes=self.count.classes,
            answer=self.count.answer,
            confidence=self.count.confidence(),
            budget=self._budget(ending, records, duration_s),
            selection=self.selection,
        )

    def _budget(self, ending: Ending, records: Sequence[RunRecord], duration_s: float) -> Budget:
        completions = [each for record in records for each in record.trajectory.completions]
        tokens = sum(completion.completion_tokens for completion in completions)
        asked = self.selection.asked if self.selection else ()
        selecting = sum(each.completion_tokens for one in asked for each in one.trajectory.completions)
        chars = sum(len(completion.text) for completion in completions)
        left = self.how.number - len(records)
        expected = left * tokens / len(records) if records else 0.0
        wasted = sum(self.written.values()) * tokens / chars if chars else 0.0
        return Budget(
            ending=ending,
            finished=len(records),
            earlier=self.earlier,
            cancelled=len(self.written),
            unbegun=left - len(self.written),
            tokens=tokens + selecting,
            saved_tokens=max(0, round(expected - wasted)),
            duration_s=duration_s,
        )
