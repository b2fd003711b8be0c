"""Read off a record which programs an attempt ran, in order, and what each gave.

The transcript says what the model asked to run, the executions say what became of it. A program that a person edited is
the one that ran; one that was rejected didn't run. Notebooks are written from this, and replays run it again.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mumath_agent.dialects import get_dialect
from mumath_agent.protocols import Dialect, ExecutedCell
from mumath_agent.records import Completion, Execution, ExecutionStatus, RunRecord, Settings, StreamName
from mumath_agent.transcript import Kind, Segment, Transcript

STOPPED = (ExecutionStatus.TIMEOUT, ExecutionStatus.DIED)
"""These programs didn't come to their own end, and what they gave depends on the moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedSession:
    """The programs one attempt ran, and what each gave."""

    id: str
    cells: tuple[ExecutedCell, ...]
    settings: Settings | None
    """None: the session is from a notebook that isn't ours and doesn't say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A completion, as the transcript has it, and the output that answers it."""

    written: tuple[Segment, ...]
    """All that the model wrote, including outputs it made up."""
    output: Segment | None
    note: Segment | None
    """What the agent told the model after it."""
    completion: Completion | None
    """None: the record says nothing about how this text was written."""
    execution: Execution | None

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All of the turn, in order."""
        return (*self.written, *filter(None, (self.output, self.note)))

    def cell(self, dialect: Dialect) -> ExecutedCell | None:
        """Return the program that ran in this turn; None if it asked for nothing, or what it asked for was not run."""
        program = dialect.pending_code(Transcript(question="", segments=self.written))
        execution = self.execution
        if program is None or execution is None or execution.status is ExecutionStatus.REFUSED:
            return None
        return ExecutedCell(program if execution.edited is None else execution.edited, execution)


def turns_of(record: RunRecord) -> Iterator[Turn]:
    """Yield the turns of an attempt; their segments are those of its transcript, each once and in order.

    A model can write what looks like an output, and a dialect may keep only some of what a model wrote. So the dialect
    is asked where a turn ends, completion by completion.

    Raises:
        InputError: nothing is known of the record's dialect.
    """
    attempt, dialect = record.trajectory, get_dialect(record.settings.dialect)
    left = deque(attempt.transcript.segments)
    completions, executions = deque(attempt.completions), deque(attempt.executions)
    while completions or executions:
        completion = completions.popleft() if completions else None
        written = _taken(left, _length(completion, dialect)) if completion else _taken_to_answer(left)
        output, note = _next(left, Kind.OUTPUT), _next(left, Kind.NOTE)
        ran = executions and (output is not None or note is None)  # a turn that was only nudged ran nothing
        execution = executions.popleft() if ran else None
        if written or output or note or completion:
            yield Turn(written=written, output=output, note=note, completion=completion, execution=execution)
    if left:
        yield Turn(written=tuple(left), output=None, note=None, completion=None, execution=None)


def session_of(record: RunRecord) -> ExecutedSession:
    """Return what an attempt ran.

    Raises:
        InputError: nothing is known of the record's dialect.
    """
    dialect = get_dialect(record.settings.dialect)
    ran = (turn.cell(dialect) for turn in turns_of(record))
    return ExecutedSession(
        id=f"{record.problem.id}#{record.sample}" if record.sample else record.problem.id,
        cells=tuple(cell for cell in ran if cell is not None),
        settings=record.settings,
    )


def printed(execution: Execution) -> list[tuple[StreamName, str]]:
    """Return what a program printed: the streams' names and texts, in the order in which it printed them."""
    texts: dict[StreamName, str] = {"stdout": execution.stdout, "stderr": execution.stderr}
    taken: dict[StreamName, int] = {"stdout": 0, "stderr": 0}
    pieces: list[tuple[StreamName, str]] = []
    rest: tuple[tuple[StreamName, int], ...] = (
        ("stdout", len(texts["stdout"])),
        ("stderr", len(texts["stderr"])),
    )
    for name, chars in (*execution.stream_order, *rest):
        if text := texts[name][taken[name] : taken[name] + chars]:
            pieces.append((name, text))
            taken[name] += chars
    return pieces


def restarts_of(cells: Sequence[ExecutedCell]) -> tuple[int, ...]:
    """Return the positions of the cells, from 0, that began with nothing because the session before them was lost."""
    positions = []
    for position, (_, execution) in enumerate(cells):
        if execution.state_lost:
            # A program that was stopped lost the session itself; else it was lost since the program before.
            positions.append(position + (execution.status in STOPPED))
    return tuple(position for position in dict.fromkeys(positions) if 0 < position < len(cells))


def _length(completion: Completion, dialect: Dialect) -> int:
    """Return how many segments of a transcript a completion became."""
    return len(dialect.with_completion(Transcript(question=""), completion).segments)


def _taken(left: deque[Segment], number: int) -> tuple[Segment, ...]:
    return tuple(left.popleft() for _ in range(min(number, len(left))))


def _taken_to_answer(left: deque[Segment]) -> tuple[Segment, ...]:
    written = []
    while left and left[0].kind.written:
        written.append(left.popleft())
    return tuple(written)


def _next(left: deque[Segment], kind: Kind) -> Segment | None:
    return left.popleft() if left and left[0].kind is kind else None
