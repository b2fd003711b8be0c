"""Show attempts at one question while they run: a row each, and the votes.

In a terminal the rows change where they stand, on stderr; elsewhere there is a line for each attempt that ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.text import Text

from mumath_agent.commands.console import remark, stderr
from mumath_agent.runs.wording import short

if TYPE_CHECKING:
    from mumath_agent.agent.attempts import SolvingEvent

_MOST_ROWS = 16
_WIDEST = 60


@dataclass(slots=True)
class _Row:
    doing: str = "begins"
    programs: int = 0
    has_ended: bool = False


class AttemptRows:
    """Takes the events of the attempts; `with AttemptRows(8) as rows: … on_event=rows.heard`."""

    def __init__(self, attempts: int) -> None:
        """Begin before the first event."""
        self._attempts = attempts
        self._rows: dict[int, _Row] = {}
        self._votes: Mapping[str, int] = {}
        self._live = Live(console=stderr, get_renderable=self._shown, transient=True, refresh_per_second=4)

    def __enter__(self) -> Self:
        """Show the rows."""
        if stderr.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take them away."""
        self._live.stop()

    def heard(self, event: "SolvingEvent") -> None:
        """Change what an event changes."""
        if event["event"] == "votes":
            self._votes = event["votes"]
            return
        row = self._rows.setdefault(event["sample"], _Row())
        match event["event"]:
            case "text":
                row.doing = "writes"
            case "program":
                row.doing, row.programs = "runs a program", row.programs + 1
            case "ended":
                row.doing, row.has_ended = short(event["text"], _WIDEST), True
            case "cancelled":
                row.doing, row.has_ended = "not needed any more", True
        if row.has_ended and not stderr.is_terminal:
            remark(self._line(event["sample"]))

    def _shown(self) -> Text:
        running_first = sorted(self._rows, key=lambda sample: (self._rows[sample].has_ended, sample))
        lines = [self._line(sample) for sample in sorted(running_first[:_MOST_ROWS])]
        if (more := len(self._rows) - _MOST_ROWS) > 0:
            lines.append(f"and {more} more that have ended")
        votes = ", ".join(f"{short(answer)} ({number})" for answer, number in self._votes.items())
        lines.append(f"votes: {votes or 'none yet'}")
        return Text("\n".join(short(line, stderr.width) for line in lines), style="dim")

    def _line(self, sample: int) -> str:
        row = self._rows[sample]
        ran = f", {row.programs} program{'s' * (row.programs != 1)}" if row.programs else ""
        return f"attempt {sample + 1} of {self._attempts}: {row.doing}{ran}"
