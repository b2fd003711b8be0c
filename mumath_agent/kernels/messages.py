"""What a kernel says about one cell, gathered into an `Execution`.

The kernel speaks on two channels: the reply (shell) and everything printed on the way (iopub). A cell has ended when
its reply has come *and* iopub says idle for it; only then is nothing more of it under way. Messages of other cells, of
their left-over threads for instance, are ignored, and so is whatever has an unexpected shape: a program can forge them.
"""

import re
from collections.abc import Callable
from typing import Any

from mumath_agent.dialects.output import shortened
from mumath_agent.records import ExecutionStatus
from mumath_agent.sandbox.messages import Message

_BASE64 = re.compile(r"[A-Za-z0-9+/\n]*={0,2}\n?")
MAX_ARTEFACT_CHARS = 4 << 20
"""Of all figures of a cell together; what doesn't fit is left out."""
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and those that turn the direction of writing: they make a text look like
another one, on a terminal and to a tokenizer."""


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
        self.artefacts: tuple[str, ...] = ()
        self.replied = False
        self.idle = False
        self.on_output: Callable[[str, str], None] | None = None
        """Told the stream's name and each piece of text as it comes."""

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
        content: Message = message["content"]
        if message["parent_header"].get("msg_id") != self._request_id:
            return
        match message["header"].get("msg_type"):
            case "stream":
                self._print(content.get("name"), content.get("text"))
            case "display_data":
                self._print("stdout", _plain_text(content) + "\n")
                self._keep_figure(content)
            case "execute_result":
                self.result = shortened(_plain_text(content), self._max_chars)
                self._keep_figure(content)
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
        piece = kept if self._room[name] else f"{kept}\n[... the rest is left out ...]\n"
        self._streams[name].append(piece)
        if self.on_output:
            self.on_output(name, piece)

    def _keep_figure(self, content: Message) -> None:
        data = content.get("data")
        image = data.get("image/png") if isinstance(data, dict) else None
        room = MAX_ARTEFACT_CHARS - sum(map(len, self.artefacts))
        if isinstance(image, str) and len(image) <= room and _BASE64.fullmatch(image):
            self.artefacts += (f"data:image/png;base64,{image.replace(chr(10), '')}",)

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
    """`text` as it may be shown: no lone surrogates, which no file could hold, and nothing unseen."""
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text)
