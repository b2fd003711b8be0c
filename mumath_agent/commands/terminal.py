"""How a run looks to a person: text as it comes, output set apart, one line for the answer.

In a terminal the model's text, program output and errors have colours (rich); in a pipe the same characters come
plain, and what is printed before the answer line is the transcript itself.
"""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from mumath_agent.records import ExecutionStatus, RunRecord
from mumath_agent.runs.wording import answer_line

if TYPE_CHECKING:
    from mumath_agent.agent.graph import Event


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


def result_line(record: RunRecord) -> str:
    """Return one line for one problem of many."""
    return f"{record.problem.id}: {answer_line(record.trajectory)}"
