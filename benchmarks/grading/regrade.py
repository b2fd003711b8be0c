"""Grade a finished run again, without generating: each answer is read from its transcript and compared afresh.

So what a new rule of extraction or a better grader changes is seen without a model. As in a run, `runs.graded` decides:
records of broken machinery stay as they are, and a problem without a gold answer has no verdict.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mumath_agent.answers import extract_answer
from mumath_agent.concurrency import map_each
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome, RunRecord
from mumath_agent.runs.graded import AnswerOf, graded


@dataclass(frozen=True, slots=True, kw_only=True)
class Regraded:
    """A record before and after."""

    before: RunRecord
    after: RunRecord

    @property
    def is_flipped(self) -> bool:
        """Whether the two have different outcomes."""
        return outcome_of(self.before) is not outcome_of(self.after)


async def regrade_all(
    records: Sequence[RunRecord],
    *,
    workers: int,
    timeout_s: float,
    answer_of: AnswerOf = extract_answer,
    on_graded: Callable[[], None] = lambda: None,
) -> tuple[Regraded, ...]:
    """Grade all records again, several at a time; the order stays."""

    async def regrade(record: RunRecord) -> Regraded:
        after = await graded(record, grader, answer_of)
        on_graded()
        return Regraded(before=record, after=after)

    async with Grader(workers=workers, timeout_s=timeout_s) as grader:
        # Twice as many as workers: a worker that is done finds the next record waiting.
        return tuple(await map_each(records, regrade, concurrency=2 * workers))


def outcome_of(record: RunRecord) -> Outcome | None:
    """Return the outcome of a record's verdict; None: it wasn't graded."""
    return None if record.verdict is None else record.verdict.outcome
