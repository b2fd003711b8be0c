"""Show a run to a person: text as it comes, output set apart, one line for the answer.

In a terminal the model's text, program output and errors have colours (rich); in a pipe the same characters come
plain, and what is printed before the answer line is the transcript itself.
"""

import json
from typing import TYPE_CHECKING

from mumath_agent.commands.console import ANSWERED, BROKEN, NO_ANSWER, remark, show_part
from mumath_agent.records import ExecutionStatus, RunRecord, StopReason, to_json
from mumath_agent.runs.wording import answer_line, solution_line
from mumath_agent.solutions import Solution

if TYPE_CHECKING:
    from mumath_agent.agent.graph import Event
    from mumath_agent.agent.solver import Solver


class LiveTranscript:
    """Prints the events of one run as they come."""

    def __init__(self) -> None:
        """Begin before the first event."""
        self._held = ""

    def __call__(self, event: "Event") -> None:
        """Print what an event adds to the transcript."""
        if event["event"] == "text":
            text = self._held + event["text"]
            shown = text.rstrip()
            # White space at the end may turn out to stand before program output, where it is dropped.
            self._held = text[len(shown) :]
            show_part(shown)
        elif event["event"] == "output":
            self._held = ""
            failed = event.get("status") != ExecutionStatus.OK
            show_part(event["text"], "red" if failed else "green")
        elif event["event"] == "note":
            show_part(self._held + event["text"], "yellow")
            self._held = ""


def result_line(record: RunRecord | Solution) -> str:
    """Return one line for one problem of many."""
    if isinstance(record, Solution):
        return f"{record.problem.id}: {solution_line(record)}"
    doubt = " (doubtful)" if record.is_doubtful else ""
    return f"{record.problem.id}: {answer_line(record.trajectory)}{doubt}"


def as_line(record: RunRecord | Solution) -> str:
    """Return the record as one line of JSON."""
    return json.dumps(to_json(record), ensure_ascii=False)


def introduce(solver: "Solver") -> None:
    """Say on stderr which model is going to answer."""
    about = (
        "small; for real mathematics, name a server with --base-url"
        if getattr(solver.model, "caution", "")
        else f"dialect {solver.dialect.name}"
    )
    remark(f"model: {solver.model.name} ({about})")


def exit_code(record: RunRecord | Solution) -> int:
    """Return the exit code that an attempt stands for, or the answer of several."""
    if isinstance(record, Solution):
        codes = {exit_code(attempt) for attempt in record.attempts}
        return ANSWERED if record.ok else BROKEN if codes == {BROKEN} else NO_ANSWER
    if record.trajectory.error or record.trajectory.stop_reason is StopReason.KERNEL_DIED:
        return BROKEN
    return ANSWERED if record.trajectory.answer else NO_ANSWER
