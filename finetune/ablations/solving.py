"""How a finished arm does on the held-out problems: the project's own solver, greedy, real kernels, the grader.

Beside the verdict it is looked at whether the model wrote the numbers it needed at all: a small model learns to copy
late, and two arms that can't copy yet say nothing about anything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from finetune.ablations.material import Asked
from finetune.release.export import export
from finetune.wordproblems.problem import numbers_in
from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.grading import Grader
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.records import Limits, Outcome, RunRecord
from mumath_agent.transcript import Kind

_CELL_TIMEOUT_S = 60.0
"""Far more than these programs take, so that a busy machine changes no result."""
_CONCURRENCY = 4
"""The engine writes one completion at a time; the programs of others run meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """What became of a problem."""

    outcome: Outcome
    copied: bool
    """All numbers that its solution takes were written."""


async def solve(checkpoint: Path, asked: Sequence[Asked], *, max_new_tokens: int) -> tuple[Solved, ...]:
    """One greedy attempt at each problem with the model in `checkpoint`, in the order of `asked`."""
    records: dict[str, RunRecord] = {}
    with TemporaryDirectory() as folder:
        export(checkpoint, Path(folder))
        model = EmbeddedModel(Path(folder))
        solver = Solver(
            model=model, limits=Limits(max_new_tokens=max_new_tokens, cell_timeout_s=_CELL_TIMEOUT_S)
        )
        batch = Batch(problems=tuple(one.problem for one in asked), solver=solver)
        try:
            async with Grader() as grader:
                await run_batch(
                    batch,
                    concurrency=_CONCURRENCY,
                    grader=grader,
                    on_record=lambda record: records.update({record.problem.id: record}),
                )
        finally:
            await model.aclose()
    return tuple(_solved(records[one.problem.id], one) for one in asked)


def _solved(record: RunRecord, asked: Asked) -> Solved:
    written = [s.text for s in record.trajectory.transcript.segments if s.kind is not Kind.OUTPUT]
    return Solved(
        outcome=record.verdict.outcome if record.verdict else Outcome.UNGRADED,
        copied=asked.taken <= set(numbers_in("\n".join(written))),
    )
