"""How a run looks to a person: text as it comes, output set apart, one line for the answer.

In a terminal the model's text, program output and errors have colours (rich); in a pipe the same characters come
plain, and what is printed before the answer line is the transcript itself.
"""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from mumath_agent.records import ExecutionStatus, RunRecord, StopReason, Trajectory

if TYPE_CHECKING:
    from mumath_agent.graph import Event

_WHY = {
    StopReason.NO_ANSWER: "the model ended without an answer",
    StopReason.MAX_TURNS: "no answer within the allowed turns (--max-turns)",
    StopReason.MAX_TOKENS: "a completion was cut by the token limit (--max-new-tokens)",
    StopReason.WALL_CLOCK: "no answer within the allowed time",
    StopReason.KERNEL_DIED: "the Python session had to be replaced too often",
}


class LiveTranscript:
    """Prints the events of one run as they come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._held = ""

    def __call__(self, event: "Event") -> None:
        if event["event"] == "text":
            text = self._held + event["text"]
            shown = text.rstrip()
            # White space at the end may turn out to stand before program output, where it is dropped.
            self._held = text[len(shown) :]
            self._print(shown, "")
        elif event["event"] == "output":
            self._held = ""
            failed = event.get("status") != ExecutionStatus.OK
            self._print(event["text"], "red" if failed else "green")

    def _print(self, text: str, style: str) -> None:
        # Text(), not str: markup in model text must not be interpreted.
        self._console.print(Text(text, style=style), end="", soft_wrap=True)


def answer_line(attempt: Trajectory) -> str:
    """One line: the answer, or why there is none."""
    if attempt.answer:
        return f"Answer: {attempt.answer.text}"
    return f"No answer: {attempt.error or _WHY.get(attempt.stop_reason, attempt.stop_reason.value)}"


def result_line(record: RunRecord) -> str:
    """One line for one problem of many."""
    return f"{record.problem.id}: {answer_line(record.trajectory)}"
