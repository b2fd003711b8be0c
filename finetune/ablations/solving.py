"""Let a finished arm solve the held-out problems: see `finetune.training.solve_rate`.

Beside the verdict it is recorded whether the model wrote the numbers it needed: a small model learns to copy numbers
late, and arms that can't copy yet show nothing about anything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from finetune.ablations.material import HeldOutProblem
from finetune.release.export import export
from finetune.training.solve_rate import greedy_attempts
from finetune.wordproblems.problem import numbers_in
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.records import Limits, Outcome, RunRecord

_CELL_TIMEOUT_S = 60.0
"""Far more than these programs take, so that a busy machine changes no result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemResult:
    """The outcome of a held-out problem."""

    outcome: Outcome
    copied: bool
    """The model wrote all numbers that the solution needs."""


async def solve(
    checkpoint: Path, held_out: Sequence[HeldOutProblem], *, max_new_tokens: int
) -> tuple[ProblemResult, ...]:
    """Make one greedy attempt at each problem with the model in `checkpoint`; return the results in order."""
    problems = [one.problem for one in held_out]
    limits = Limits(max_new_tokens=max_new_tokens, cell_timeout_s=_CELL_TIMEOUT_S)
    with TemporaryDirectory() as folder:
        export(checkpoint, Path(folder))
        model = EmbeddedModel(Path(folder))
        try:
            records = await greedy_attempts(model, problems, limits=limits)
        finally:
            await model.aclose()
    return tuple(_result(record, one) for record, one in zip(records, held_out, strict=True))


def _result(record: RunRecord, held_out: HeldOutProblem) -> ProblemResult:
    written = [s.text for s in record.trajectory.transcript.segments if s.kind.written]
    return ProblemResult(
        outcome=record.verdict.outcome if record.verdict else Outcome.UNGRADED,
        copied=held_out.needed <= set(numbers_in("\n".join(written))),
    )
