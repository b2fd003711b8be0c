"""Turn an execution into the text that a model reads, before a dialect puts its marks around it.

Stdout comes first, then stderr, then the last value or the error: the order in which a person reads a notebook cell.
Control characters are removed and lone surrogates replaced, an empty output becomes a word, and a text that is too long
loses its middle to a mark that can't be mistaken for digits.
"""

from mumath_agent.dialects.marks import seen
from mumath_agent.records import Execution, ExecutionStatus

EMPTY = "Done"
"""The output that MuMath-Code's and ToRA's inference shows for a program that printed nothing."""
STATE_LOST = (
    "[The Python session was restarted. Every variable, function and import from before is gone: "
    "define again whatever you need.]"
)
EDITED = "[A person changed the program before it ran. What ran instead:]"
EDITED_OUTPUT = "[Its output:]"

_TEXT_OF_STATUS = {
    ExecutionStatus.TIMEOUT: "TimeoutError: the program ran too long and was stopped.",
    ExecutionStatus.MEMORY: "MemoryError: the program used too much memory.",
    ExecutionStatus.DIED: "The Python process died while it ran this program.",
    ExecutionStatus.REFUSED: "The program was not run.",
}


def output_text(execution: Execution, *, max_chars: int) -> str:
    """Return an execution as text of about `max_chars` characters at most, plus the notices."""
    parts = [execution.stdout, execution.stderr, execution.result or "", _error_text(execution)]
    text = "\n".join(part.strip("\n") for part in map(plain, parts) if part.strip())
    text = shortened(text, max_chars) if text else EMPTY
    if execution.edited is not None:
        text = f"{EDITED}\n{plain(execution.edited).rstrip()}\n{EDITED_OUTPUT}\n{text}"
    return f"{text}\n{STATE_LOST}" if execution.state_lost else text


def plain(text: str) -> str:
    """Return `text` as it is seen, and without what breaks UTF-8."""
    return seen(text).encode("utf-8", "replace").decode("utf-8")


def shortened(text: str, max_chars: int) -> str:
    """Return `text`, with the middle replaced by a line that says how much is left out if it exceeds `max_chars`."""
    if len(text) <= max_chars:
        return text
    head, tail = max_chars - max_chars // 2, max_chars // 2
    left_out = len(text) - head - tail
    return f"{text[:head]}\n[... {left_out} characters left out ...]\n{text[len(text) - tail :]}"


def _error_text(execution: Execution) -> str:
    return execution.error or _TEXT_OF_STATUS.get(execution.status, "")
