"""Do the steps of a longer work once each: written down when they end, skipped when the same work is begun again.

A step that ended is a line of `steps.jsonl` in the work folder. A step that was killed has no line and is begun again,
which for the stages of this project means that it goes on. What a step prints goes to a log of its own.
"""

import json
import resource
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio

from mumath_agent.errors import InputError, MuMathError
from mumath_agent.problems import read_text
from mumath_agent.runs.identity import require_same
from mumath_agent.runs.jsonl import append_line, load_records, mend, replace_file

C = TypeVar("C")


class StepFailed(MuMathError):
    """A step ended with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """A step that ended: a line of `steps.jsonl`."""

    name: str
    rows: int | None
    """Rows that it wrote, if it writes rows."""
    summary: str
    """Its result in one line, if it doesn't."""
    wall_s: float
    cpu_s: float
    """CPU time of this program, the programs it started and their programs."""


class Wrote(Protocol):
    """The report of a stage that writes rows."""

    @property
    def rows(self) -> int:
        """The rows that it wrote."""
        ...


class Steps:
    """The steps of a work folder."""

    def __init__(
        self,
        work: Path,
        identity: Mapping[str, Any],
        *,
        on_begin: Callable[[str], None] = lambda name: None,
        on_end: Callable[[StepReport], None] = lambda report: None,
    ) -> None:
        """Read which steps ended before.

        Args:
            work: folder of everything that is made.
            identity: JSON object of all that the folder's content depends on.
            on_begin: is told the name of each step that is begun.
            on_end: is told of each step that has ended, also in an earlier call.

        Raises:
            InputError: the folder was begun with another `identity`, or can't be written.
        """
        self._logs = work / "logs"
        self._file = work / "steps.jsonl"
        self._on_begin, self._on_end = on_begin, on_end
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"can't write to {work}: {error.strerror}; name another --work") from None
        _claim(work, identity)
        mend(self._file)
        known = load_records(self._file, StepReport) if self._file.stat().st_size else []
        self._known = {report.name: report for report in known}
        self._reported: dict[str, StepReport] = {}

    @property
    def reports(self) -> tuple[StepReport, ...]:
        """The steps that were asked for and have ended."""
        return tuple(self._reported.values())

    def has(self, name: str) -> bool:
        """Return whether a step has ended."""
        return name in self._known

    def log(self, name: str) -> Path:
        """Return the file of what a step prints."""
        return self._logs / f"{name.replace(', ', '-').replace(' ', '-')}.log"

    def do(self, name: str, work: Callable[[], int | str]) -> None:
        """Do a step, unless it ended before; `work` returns the rows that it wrote, or a line that sums it up.

        Raises:
            StepFailed: it ended with an error; the same step goes on from there.
        """
        if self.has(name):
            self.repeat(name)
            return
        self._on_begin(name)
        with self.clocked(name) as report, self.log(name).open("w", encoding="utf-8") as output:
            try:
                with redirect_stdout(output), redirect_stderr(output):
                    report(work())
            except MuMathError as error:
                raise StepFailed(f"{name}: {error}; see {self.log(name)}") from None

    def run(self, name: str, stage: Callable[[C], Awaitable[Wrote]], config: C) -> None:
        """Run a stage of the data pipeline as a step; see `do`."""
        self.do(name, lambda: anyio.run(stage, config).rows)

    def repeat(self, name: str) -> None:
        """Report a step that ended before, if it did."""
        if name in self._known and name not in self._reported:
            self._report(self._known[name])

    @contextmanager
    def clocked(self, name: str) -> Iterator[Callable[[int | str], None]]:
        """Write down what is done inside as a step, with the time that no step inside has taken for itself.

        Yields a function that takes the step's rows or its summary.
        """
        result: list[int | str] = [""]
        began, cpu_s, steps = time.monotonic(), _cpu_s(), len(self._reported)
        yield result.append
        inside = self.reports[steps:]
        report = StepReport(
            name=name,
            rows=result[-1] if isinstance(result[-1], int) else None,
            summary=result[-1] if isinstance(result[-1], str) else "",
            wall_s=round(time.monotonic() - began - sum(step.wall_s for step in inside), 1),
            cpu_s=round(_cpu_s() - cpu_s - sum(step.cpu_s for step in inside), 1),
        )
        append_line(self._file, report)
        self._known[name] = report
        self._report(report)

    def _report(self, report: StepReport) -> None:
        self._reported[report.name] = report
        self._on_end(report)


def _claim(work: Path, identity: Mapping[str, Any]) -> None:
    """Write down whose folder it is, or refuse it."""
    file = work / "pipeline.json"
    if file.exists():
        require_same(json.loads(read_text(file)), dict(identity), str(work))
    else:
        replace_file(file, json.dumps(identity, indent=1, ensure_ascii=False) + "\n")


def _cpu_s() -> float:
    """Return the CPU time of this process and of its descendants that have ended and been waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
