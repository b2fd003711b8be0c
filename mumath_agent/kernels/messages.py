"""What a kernel says about one cell, gathered into an `Execution`.

The kernel speaks on two channels: the reply (shell) and everything printed on the way (iopub). A cell has ended when
its reply has come *and* iopub says idle for it; only then is nothing more of it under way. Messages of other cells, of
their left-over threads for instance, are ignored, and so is whatever has an unexpected shape: a program can forge them.
"""

from typing import Any

from mumath_agent.dialects.output import shortened
from mumath_agent.records import ExecutionStatus

Message = dict[str, Any]


class Cell:
    """One request to a kernel and what came back so far."""

    def __init__(self, request_id: str, *, max_chars: int) -> None:
        self._request_id = request_id
        self._max_chars = max_chars
        self._streams: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._room = {"stdout": 2 * max_chars, "stderr": 2 * max_chars}
        self._error_name = ""
        self.error_lines: tuple[str, ...] = ()
        """The failing line, if it is known, and the error's name and message; empty while nothing went wrong."""
        self.result: str | None = None
        self.replied = False
        self.idle = False

    @property
    def ended(self) -> bool:
        return self.replied and self.idle

    @property
    def stdout(self) -> str:
        return "".join(self._streams["stdout"])

    @property
    def stderr(self) -> str:
        return "".join(self._streams["stderr"])

    @property
    def status(self) -> ExecutionStatus:
        """How the cell ended by its own account."""
        if self._error_name == "MemoryError":
            return ExecutionStatus.MEMORY
        return ExecutionStatus.ERROR if self.error_lines else ExecutionStatus.OK

    def add(self, message: Message) -> None:
        parent, content = message.get("parent_header"), message.get("content")
        if not isinstance(parent, dict) or not isinstance(content, dict):
            return
        if parent.get("msg_id") != self._request_id:
            return
        match message.get("msg_type"):
            case "stream":
                self._print(content.get("name"), content.get("text"))
            case "display_data":
                self._print("stdout", _plain_text(content) + "\n")
            case "execute_result":
                self.result = shortened(_plain_text(content), self._max_chars)
            case "error":
                self._fail(content)
            case "status":
                self.idle = self.idle or content.get("execution_state") == "idle"
            case "execute_reply" | "kernel_info_reply":
                self.replied = True
                # SystemExit without an error message is a program that says it is done.
                failed = content.get("status") == "error" and content.get("ename") != "SystemExit"
                if (
                    failed and not self.error_lines
                ):  # told better on iopub, but that may come later or get lost
                    self._fail(content)

    def _print(self, name: Any, text: Any) -> None:
        """Keep `text`, up to a hard limit: a stream cuts itself long before, other output doesn't."""
        if not isinstance(name, str) or not isinstance(text, str) or not self._room.get(name):
            return
        kept = _valid(text[: self._room[name]])
        self._room[name] = max(0, self._room[name] - len(kept))
        self._streams[name].append(kept if self._room[name] else f"{kept}\n[... the rest is left out ...]\n")

    def _fail(self, content: Message) -> None:
        lines = content.get("traceback")
        if not isinstance(lines, list) or not lines:
            lines = [f"{content.get('ename')}: {content.get('evalue')}"]
        self._error_name = str(content.get("ename"))
        self.error_lines = tuple(shortened(_valid(str(line)), self._max_chars) for line in lines[:2])


def _plain_text(content: Message) -> str:
    data = content.get("data")
    text = data.get("text/plain") if isinstance(data, dict) else None
    return _valid(text) if isinstance(text, str) else ""


def _valid(text: str) -> str:
    """`text` without lone surrogates, which no file or message could hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
