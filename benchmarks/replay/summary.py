"""Sum up a replay in one record: how many answers are right, how many cells agree, and everything that differs.

Two things are compared with the recording: what each program printed, and the verdict on each solution's answer. Both
answers, the recorded one and ours, are graded by our grader, so a difference between them is never the grader's.
Figures of papers stand beside them for the files that are known.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.replay.cells import CellDifference, differences
from benchmarks.replay.outputs import DifferenceCause
from benchmarks.replay.recordings import RecordedSolution
from mumath_agent.records import (
    BROKEN,
    Execution,
    ExecutionStatus,
    Outcome,
    RunRecord,
    StopReason,
    Verdict,
)


class ReplayMode(StrEnum):
    """Which part of a recording is replayed."""

    CELLS = "cells"
    """Its programs: each is run again, in order."""
    AGENT = "agent"
    """Its completions: they answer the prompts of our agent."""


class FlipReason(StrEnum):
    """Why our verdict on a solution isn't that on its recorded answer."""

    MACHINERY = "machinery"
    """Our attempt broke."""
    GRADER = "grader"
    """One of the two answers could not be graded."""
    TIME_OUT = "time-out"
    """A program was stopped here."""
    EXECUTION = "execution differs"
    """A program printed something else here."""
    BROKEN_OFF = "recording broke off"
    """Its last words are a program, and nothing follows to take an answer from."""
    EXTRACTION = "extraction"
    """Other words of the same text were taken for the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictFlip:
    """A solution on which the two verdicts differ."""

    id: str
    target: str | None
    recorded_answer: str | None
    recorded_outcome: Outcome
    our_answer: str | None
    our_outcome: Outcome | None
    """None: machinery broke."""
    why: FlipReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Ungraded:
    """An answer that could not be graded."""

    id: str
    answer: str | None
    target: str | None
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperFigure:
    """A figure that a paper reports."""

    figure: float
    """Percent."""
    source: str


_PAPERS = {
    "tora-70b.gsm8k": PaperFigure(figure=84.3, source="ToRA (arXiv 2309.17452), table 2"),
    "mathcoder-cl-34b.svamp": PaperFigure(figure=82.5, source="MathCoder (arXiv 2310.03731), table 2"),
    "mathcoder-l-7b.simuleq": PaperFigure(figure=47.5, source="MathCoder (arXiv 2310.03731), table 2"),
}


_SAME_IN_OTHER_WORDS = (DifferenceCause.FLOAT_FORMAT, DifferenceCause.TEXT_FORMAT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """All figures of a replay; its JSON form is what `replay --json` prints."""

    mode: ReplayMode
    solutions: int
    accuracy: float | None
    """Percent of the solutions with a gold answer. In agent mode of our answers, else of the recorded ones."""
    published: float | None
    """The same for the recorded answers, as our grader sees them."""
    paper: PaperFigure | None
    cells: int
    cells_equal: int
    cells_excused: int
    """Those that differ for a reason that isn't a fault of ours."""
    agreement: float
    """Share of the cells that are equal or excused."""
    counts: dict[DifferenceCause, int]
    """Cells by cause."""
    seconds: float
    differences: tuple[CellDifference, ...]
    flips: tuple[VerdictFlip, ...]
    ungraded: tuple[Ungraded, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedSolution:
    """A recorded solution and what became of it here."""

    solution: RecordedSolution
    executions: tuple[Execution, ...]
    recorded_verdict: Verdict | None
    """On the recorded answer; None without a gold answer."""
    record: RunRecord | None = None
    """Our attempt, in agent mode."""

    @property
    def differences(self) -> tuple[CellDifference, ...]:
        """The cells that printed something else here."""
        return differences(self.solution, self.executions)


def report(
    mode: ReplayMode, file_name: str, replayed: Sequence[ReplayedSolution], seconds: float
) -> ReplayReport:
    """Return all figures of a replay; `file_name` is without its suffix."""
    found = [(each, each.differences) for each in replayed]
    cells = sum(len(each.solution.cells) for each in replayed)
    counts = Counter(row.cause for _, rows in found for row in rows)
    counts[DifferenceCause.EQUAL] = cells - counts.total()
    scored = [each for each in replayed if each.solution.target is not None]
    published = _accuracy([each.recorded_verdict for each in scored])
    ours = _accuracy([_our_verdict(each) for each in scored])
    return ReplayReport(
        mode=mode,
        solutions=len(replayed),
        accuracy=ours if mode is ReplayMode.AGENT else published,
        published=published,
        paper=_PAPERS.get(file_name),
        cells=cells,
        cells_equal=counts[DifferenceCause.EQUAL],
        cells_excused=cells - counts[DifferenceCause.EQUAL] - counts[DifferenceCause.OURS],
        agreement=round(1 - counts[DifferenceCause.OURS] / cells, 4) if cells else 1.0,
        counts={cause: counts[cause] for cause in DifferenceCause},
        seconds=round(seconds, 1),
        differences=tuple(row for _, rows in found for row in rows),
        flips=tuple(flip for each, rows in found if (flip := _flip(each, rows)) is not None),
        ungraded=tuple(row for each in replayed for row in _ungraded(each)),
    )


def _accuracy(verdicts: Sequence[Verdict | None]) -> float | None:
    """Return the percentage of all that is correct, with one decimal; None where there are none."""
    if not verdicts:
        return None
    correct = sum(verdict is not None and verdict.outcome is Outcome.CORRECT for verdict in verdicts)
    return round(100 * correct / len(verdicts), 1)


def _our_verdict(each: ReplayedSolution) -> Verdict | None:
    return each.record.verdict if each.record else None


def _our_answer(each: ReplayedSolution) -> str | None:
    return each.record.trajectory.answer.text if each.record and each.record.trajectory.answer else None


def _flip(each: ReplayedSolution, rows: Sequence[CellDifference]) -> VerdictFlip | None:
    recorded, ours = each.recorded_verdict, _our_verdict(each)
    if each.record is None or recorded is None or (ours and ours.outcome is recorded.outcome):
        return None
    return VerdictFlip(
        id=each.solution.id,
        target=each.solution.target,
        recorded_answer=each.solution.answer,
        recorded_outcome=recorded.outcome,
        our_answer=_our_answer(each),
        our_outcome=ours.outcome if ours else None,
        why=_why(each.record, recorded, rows),
    )


def _why(record: RunRecord, recorded: Verdict, rows: Sequence[CellDifference]) -> FlipReason:
    attempt = record.trajectory
    if attempt.stop_reason in BROKEN or record.verdict is None:
        return FlipReason.MACHINERY
    if Outcome.UNGRADED in (recorded.outcome, record.verdict.outcome):
        return FlipReason.GRADER
    if attempt.stop_reason is StopReason.MAX_TOKENS:
        return FlipReason.BROKEN_OFF
    if any(execution.status is ExecutionStatus.TIMEOUT for execution in attempt.executions):
        return FlipReason.TIME_OUT
    if any(row.cause not in _SAME_IN_OTHER_WORDS for row in rows):
        return FlipReason.EXECUTION
    return FlipReason.EXTRACTION


def _ungraded(each: ReplayedSolution) -> list[Ungraded]:
    graded = [(each.solution.answer, each.recorded_verdict), (_our_answer(each), _our_verdict(each))]
    return [
        Ungraded(id=each.solution.id, answer=answer, target=each.solution.target, detail=verdict.detail)
        for answer, verdict in graded
        if verdict is not None and verdict.outcome is Outcome.UNGRADED
    ]
