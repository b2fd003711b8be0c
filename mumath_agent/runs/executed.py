"""Which programs an attempt ran, in order, and what each gave: read off its record.

The transcript says what the model asked to run, the executions say what became of it; a program that a person edited is
the one that ran, and one that was rejected did not. Notebooks are written from this and replays run it again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mumath_agent.dialects import get_dialect
from mumath_agent.protocols import ExecutedCell
from mumath_agent.records import ExecutionStatus, RunRecord, Settings
from mumath_agent.transcript import Kind, Segment, Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The programs one attempt ran, and what each gave."""

    id: str
    cells: tuple[ExecutedCell, ...]
    settings: Settings | None
    """None: a notebook of others, which doesn't say."""


class Turn(NamedTuple):
    """What the model wrote in one go, and what came of it."""

    segments: tuple[Segment, ...]
    ran: ExecutedCell | None
    """None: it asked for nothing, or what it asked for was not run."""


def turns_of(record: RunRecord) -> Iterator[Turn]:
    """The turns of an attempt, each with the program that was run in it."""
    dialect = get_dialect(record.settings.dialect)
    executions = iter(record.trajectory.executions)
    for segments in record.trajectory.transcript.turns:
        asking = tuple(segment for segment in segments if segment.kind is not Kind.OUTPUT)
        program = dialect.pending_code(Transcript(question="", segments=asking))
        execution = None if program is None else next(executions, None)
        if program is None or execution is None or execution.status is ExecutionStatus.REFUSED:
            yield Turn(segments, None)
        else:
            yield Turn(
                segments, ExecutedCell(program if execution.edited is None else execution.edited, execution)
            )


def session_of(record: RunRecord) -> Session:
    """What an attempt ran."""
    return Session(
        id=f"{record.problem.id}#{record.sample}" if record.sample else record.problem.id,
        cells=tuple(turn.ran for turn in turns_of(record) if turn.ran is not None),
        settings=record.settings,
    )
