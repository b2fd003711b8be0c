"""Bring a lost session back: run its programs again in a new kernel, and compare what they do with what they did.

A session is brought back only if every program does exactly what it did before: the same output, result, error and
figures. Otherwise its state is lost, and the next execution says so (`Execution.state_lost`). What would take too much
memory to remember isn't brought back either.
"""

from collections.abc import Iterable

from mumath_agent.kernels.kernel import End, Kernel
from mumath_agent.kernels.program import run_program
from mumath_agent.protocols import ExecutedCell
from mumath_agent.records import Execution, ExecutionStatus

MOST_CHARS = 64 << 20
"""Of programs and of what they did; a session that lasts for days must not fill our memory."""
REPLAY_SLACK = 2.0
"""A program that runs again may take this many times as long as it took before, plus a second."""


class History:
    """The programs that made the state of a session, in order, each with what it did."""

    def __init__(self, cells: Iterable[ExecutedCell] = ()) -> None:
        """Begin with what ran so far."""
        self._cells = list[ExecutedCell]()
        self._chars, self._is_whole = 0, True
        for code, execution in cells:
            self.add(code, execution)

    def add(self, code: str, execution: Execution) -> None:
        """Add the program that ran last."""
        self._chars += _size(code, execution)
        if self._is_whole and self._chars <= MOST_CHARS:
            self._cells.append(ExecutedCell(code, execution))
        else:
            self._cells.clear()
            self._is_whole = False

    def copy(self) -> "History":
        """Return a copy that grows by itself."""
        history = History(self._cells)
        history._chars, history._is_whole = self._chars, self._is_whole
        return history

    @property
    def is_repeatable(self) -> bool:
        """False if a program was stopped half-way, at a moment that no one knows, or if some are forgotten."""
        stopped = (ExecutionStatus.TIMEOUT, ExecutionStatus.DIED)
        return self._is_whole and all(cell.execution.status not in stopped for cell in self._cells)

    async def repeat(self, kernel: Kernel, *, interrupt_grace_s: float) -> bool:
        """Run all programs again in `kernel`; return False at the first that can't be or doesn't do the same."""
        if not self.is_repeatable:
            return False
        for code, before in self._cells:
            again, end = await run_program(
                kernel,
                code,
                timeout_s=REPLAY_SLACK * before.duration_s + 1,
                interrupt_grace_s=interrupt_grace_s,
            )
            if end is not End.COMPLETE or _effects(again) != _effects(before):
                return False
        return True


def in_last_session(cells: Iterable[ExecutedCell]) -> list[ExecutedCell]:
    """Return those programs of an attempt that made its session what it was when the attempt was last at work."""
    history: list[ExecutedCell] = []
    for cell in cells:
        if cell.execution.state_lost:
            history = []
        if cell.execution.status is not ExecutionStatus.REFUSED and not broke_its_kernel(cell.execution):
            history.append(cell)
    return history


def broke_its_kernel(execution: Execution) -> bool:
    """Tell whether a program made its kernel be replaced; a run that is taken up again has a new kernel, too."""
    replaced = execution.state_lost or execution.state_replayed
    return replaced and execution.status in (ExecutionStatus.TIMEOUT, ExecutionStatus.DIED)


def _size(code: str, execution: Execution) -> int:
    texts = (
        code,
        execution.stdout,
        execution.stderr,
        execution.result,
        execution.error,
        *execution.artefacts,
    )
    return sum(len(text or "") for text in texts)


def _effects(execution: Execution) -> tuple[object, ...]:
    """Return what two runs of a program must have in common."""
    return (
        execution.status,
        execution.stdout,
        execution.stderr,
        execution.result,
        execution.error,
        execution.artefacts,
    )
