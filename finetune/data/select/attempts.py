"""Read attempts from run records, one line at a time, and keep only what selection needs.

A run record holds everything three times over (transcript, completions, executions). Here the text is kept once, and a
question's text once for all its attempts, so that half a million attempts fit into memory.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from finetune.data.records import UNCONFIRMED, Solution, SolutionFormat
from finetune.data.select.form import fault_of
from finetune.data.select.reasons import Fault
from mumath_agent.dialects import get_dialect
from mumath_agent.errors import InputError
from mumath_agent.records import Outcome, RunRecord
from mumath_agent.runs.jsonl import read_records
from mumath_agent.transcript import Kind, Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at a question."""

    id: str
    question: str
    text: str
    """The whole solution."""
    format: SolutionFormat
    dialect: str
    source: str
    seed_id: str | None = None
    augmentation: str | None = None
    target: str | None = None
    unconfirmed: bool = False
    """Whether the target may not be the answer, because a teacher's wording may have lost it."""
    answer: str | None = None
    outcome: Outcome | None = None
    """The record's; None where it wasn't graded."""
    fault: Fault | None = None
    """A fault that doesn't depend on its answer."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The solution, cut by its dialect."""
        return get_dialect(self.dialect).parse(self.text)

    @property
    def solution(self) -> Solution:
        """The training row."""
        return Solution(
            id=self.id,
            question=self.question,
            solution=self.text,
            format=self.format,
            dialect=self.dialect,
            source=self.source,
            seed_id=self.seed_id,
            augmentation=self.augmentation,
            pseudo=self.target is None,
        )


def read_attempts(paths: Iterable[Path]) -> Iterator[Attempt]:
    """Yield the attempts in files of run records.

    Raises:
        InputError: a file can't be read or is empty, or a line isn't a run record; the message names the line.
    """
    questions: dict[str, str] = {}
    for path in paths:
        found = False
        for record in read_records(path, RunRecord):
            if isinstance(record, InputError):
                raise record
            found = True
            question = record.problem.question
            yield attempt(record, questions.setdefault(question, question))
        if not found:
            raise InputError(f"{path} holds no run record; make some with `python -m finetune synthesize`")


def attempt(record: RunRecord, question: str) -> Attempt:
    """Return the attempt in a record; `question` is its question, to be shared between attempts."""
    problem, trajectory = record.problem, record.trajectory
    dialect = get_dialect(record.settings.dialect)
    text = trajectory.transcript.text
    has_program = any(segment.kind is not Kind.RATIONALE for segment in dialect.parse(text))
    return Attempt(
        id=f"{problem.id}/{record.sample}",
        question=question,
        text=text,
        format=SolutionFormat.CODE if has_program else SolutionFormat.COT,
        dialect=dialect.name,
        source=problem.source,
        seed_id=problem.seed_id,
        augmentation=problem.augmentation,
        target=problem.target,
        unconfirmed=UNCONFIRMED in problem.tags,
        answer=trajectory.answer.text if trajectory.answer else None,
        outcome=record.verdict.outcome if record.verdict else None,
        fault=fault_of(trajectory, dialect, output_chars=record.settings.limits.output_chars),
    )
