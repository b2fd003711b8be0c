"""Measure how many problems a model solves: greedy attempts with the project's own solver, real kernels and the grader.

    problems ─▶ one greedy attempt each ─▶ graded records ─▶ solve rate by source, and over all

There is no second, faster solving loop: the figures are those of what a user gets.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.concurrency import map_each
from mumath_agent.dialects import get_dialect
from mumath_agent.grading import Grader
from mumath_agent.protocols import CompletionModel, Dialect
from mumath_agent.records import Limits, Outcome, Problem, RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveRate:
    """The number of problems that a model solved, out of some."""

    problems: int
    solved: int
    """Attempts whose answer is right."""
    output_right: int
    """Attempts whose last program printed the right answer, whatever they answered."""

    @property
    def share(self) -> float:
        """Share of the problems that were solved, between 0 and 1."""
        return self.solved / self.problems


async def solve_rate(
    model: CompletionModel,
    problems: Sequence[Problem],
    *,
    dialect: Dialect | None = None,
    concurrency: int = 4,
    on_done: Callable[[], None] = lambda: None,
) -> dict[str, SolveRate]:
    """Return the solve rate by the problems' source, and over all problems under "all".

    `on_done` is called after each attempt.
    """
    records = await greedy_attempts(
        model, problems, dialect=dialect, concurrency=concurrency, on_done=on_done
    )
    async with Grader() as grader:

        async def output_right(record: RunRecord) -> bool:
            executions = record.trajectory.executions
            printed = executions[-1].stdout.strip() if executions else None
            verdict = await grader.grade(printed, record.problem.target or "")
            return verdict.outcome is Outcome.CORRECT

        outputs = await map_each(records, output_right, concurrency=concurrency)
    by_source: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for record, output in zip(records, outputs, strict=True):
        solved = record.verdict is not None and record.verdict.outcome is Outcome.CORRECT
        for source in ("all", record.problem.source):
            by_source[source].append((solved, output))
    return {source: _rate(found) for source, found in sorted(by_source.items())}


async def greedy_attempts(
    model: CompletionModel,
    problems: Sequence[Problem],
    *,
    dialect: Dialect | None = None,
    limits: Limits | None = None,
    concurrency: int = 4,
    on_done: Callable[[], None] = lambda: None,
) -> list[RunRecord]:
    """Return the graded record of one greedy attempt at each problem, in the order of the problems."""
    records: dict[Problem, RunRecord] = {}

    def keep(record: RunRecord) -> None:
        records[record.problem] = record
        on_done()

    solver = Solver(model=model, dialect=dialect or get_dialect("fenced"), limits=limits or Limits())
    async with Grader() as grader:
        batch = Batch(problems=tuple(problems), solver=solver)
        await run_batch(batch, concurrency=concurrency, grader=grader, on_record=keep)
    return [records[problem] for problem in problems]


def table(rates: Mapping[str, SolveRate]) -> Iterator[str]:
    """Yield the lines of a Markdown table of solve rates."""
    yield "| problems | n | solved | last output right |"
    yield "|---|---|---|---|"
    for source, rate in rates.items():
        output = rate.output_right / rate.problems
        yield f"| {source} | {rate.problems} | {100 * rate.share:.1f} % | {100 * output:.1f} % |"


def _rate(found: list[tuple[bool, bool]]) -> SolveRate:
    solved, output_right = (sum(column) for column in zip(*found, strict=True))
    return SolveRate(problems=len(found), solved=solved, output_right=output_right)
