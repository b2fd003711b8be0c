"""Show a run's progress: how far it is, how accurate, how fast.

On a terminal it is a line that changes; elsewhere, so that a log stays readable, a line a minute.
"""

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.report.metrics import wilson
from mumath_agent.records import BROKEN, Outcome, RunRecord
from mumath_agent.solutions import Solution

LOG_EVERY_S = 60.0


class LiveProgress:
    """Counts records as they come; `with LiveProgress(console, total) as live: live.add(record)`."""

    def __init__(self, console: Console, *, total: int) -> None:
        """Take where to show it, and how many records to expect."""
        self._console = console
        self._progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=total, said="")
        self._total = total
        self._done = self._graded = self._correct = self.broken = 0
        self._new = self._tokens = self._cells = self._saved = 0
        self._started = self._logged = time.monotonic()

    def __enter__(self) -> Self:
        """Show the line."""
        self._progress.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the line away."""
        self._progress.stop()

    def add(self, record: RunRecord, *, earlier: bool = False) -> None:
        """Count a record; `earlier` ones were made by another command and don't count for this one's speed."""
        self._done += 1
        self.broken += record.trajectory.stop_reason in BROKEN
        if record.verdict is not None:
            self._graded += 1
            self._correct += record.verdict.outcome is Outcome.CORRECT
        self._new += not earlier
        self._work([] if earlier else [record])
        self._show()

    def add_solution(self, solution: Solution) -> None:
        """Count a problem with the answer that its attempts chose; one without any attempt is a miss."""
        self._done += 1
        self.broken += sum(record.trajectory.stop_reason in BROKEN for record in solution.attempts)
        self._graded += solution.problem.target is not None
        self._correct += solution.verdict is not None and solution.verdict.outcome is Outcome.CORRECT
        self._saved += solution.budget.saved_tokens
        self._new += solution.budget.finished > solution.budget.earlier
        if solution.budget.earlier == 0:
            self._work(solution.attempts)
        self._show()

    def _work(self, records: Iterable[RunRecord]) -> None:
        """Count what this command had the model and the kernels do."""
        for record in records:
            self._tokens += sum(c.completion_tokens for c in record.trajectory.completions)
            self._cells += len(record.trajectory.executions)

    @property
    def summary(self) -> str:
        """Accuracy so far, and speed since this command began."""
        parts = []
        if self._graded:
            low, high = wilson(self._correct, self._graded)
            parts.append(f"{self._correct / self._graded:.1%} right ({low:.1%} to {high:.1%})")
        if self.broken:
            parts.append(f"{self.broken} broken")
        if self._new:
            seconds = max(1e-9, time.monotonic() - self._started)
            parts += [f"{self._tokens / seconds:,.0f} tokens/s", f"{self._cells / seconds:.1f} cells/s"]
        if self._saved:
            parts.append(f"about {self._saved:,} tokens not needed")
        return " · ".join(parts)

    def _show(self) -> None:
        if self._console.is_terminal:
            self._progress.update(self._task, completed=self._done, said=self.summary)
        elif self._new and time.monotonic() - self._logged >= LOG_EVERY_S:
            self._logged = time.monotonic()
            self._console.print(f"{self._done}/{self._total} · {self.summary}", soft_wrap=True)
