"""Measure what learning brought: greedy attempts at held-out problems, compared with those of an earlier model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.settings import SolverSettings, opened_solver
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome, Problem, RunRecord, Sampling
from mumath_agent.runs.paired import AccuracyDifference, difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """The share of held-out problems that was right."""

    right: int
    problems: int
    low: float
    high: float
    """95 % Wilson interval of the share that is right."""

    @property
    def share(self) -> float:
        """The share that is right."""
        return self.right / self.problems


def accuracy(records: Sequence[RunRecord]) -> Accuracy:
    """Return the accuracy of some attempts, one a problem; one that wasn't graded counts as not right."""
    right = int(are_right(records).sum())
    share = binomtest(right, len(records)).proportion_ci(method="wilson")
    return Accuracy(right=right, problems=len(records), low=float(share.low), high=float(share.high))


def gain(records: Sequence[RunRecord], before: Sequence[RunRecord]) -> AccuracyDifference:
    """Return by how much attempts are better than earlier ones at the same problems in the same order."""
    return difference(are_right(records) - are_right(before))


def are_right(records: Sequence[RunRecord]) -> NDArray[np.float64]:
    """Return 1 for each attempt that is right and 0 for the others."""
    return np.array(
        [each.verdict is not None and each.verdict.outcome is Outcome.CORRECT for each in records],
        dtype=np.float64,
    )


async def greedy_records(
    problems: Sequence[Problem], settings: SolverSettings, *, concurrency: int
) -> list[RunRecord]:
    """Return the graded record of one greedy attempt at each problem, in the order of the problems."""
    made: dict[Problem, RunRecord] = {}

    def keep(record: RunRecord) -> None:
        made[record.problem] = record

    async with opened_solver(settings) as solver, Grader() as grader:
        batch = Batch(problems=tuple(problems), solver=replace(solver, sampling=Sampling()))
        await run_batch(batch, concurrency=concurrency, grader=grader, on_record=keep)
    return [made[problem] for problem in problems]
