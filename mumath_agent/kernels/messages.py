"""Collect what a kernel says about one cell.

The kernel speaks on two channels: the reply comes on shell, everything that is printed or shown on iopub. A cell has
ended when its reply has come *and* iopub has said that the kernel is idle; only then is nothing more under way.
Messages about other cells (from threads they left behind, say) are ignored, and so are messages of an unexpected shape,
which a program can forge.
"""

from collections.abc import Callable, Iterable
from typing import Any

from mumath_agent.dialects.marks import remark, seen
from mumath_agent.dialects.output import shortened
from mumath_agent.kernels.figures import as_png
from mumath_agent.records import ExecutionStatus, StreamName
from mumath_agent.sandbox.messages import Message

MAX_ARTEFACT_CHARS, MAX_UNPACKED_BYTES, MAX_ARTEFACTS = 4 << 20, 128 << 20, 100
"""The limits for all figures of a cell together."""
NO_FIGURE = "[A figure is left out: it isn't a PNG image, or it is too large.]\n"
MAX_TURNS = 2000
"""How many turns of the two streams are kept; what is printed after them counts as stdout, then stderr."""


class RunningCell:
    """A cell that was sent to a kernel, and what came back so far."""

    def __init__(self, request_id: str, *, max_chars: int) -> None:
        """Begin to collect the answers to request `request_id`; longer results and errors are cut to `max_chars`."""
        self._request_id = request_id
        self._max_chars = max_chars
        self._streams: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._room = {"stdout": 2 * max_chars, "stderr": 2 * max_chars}
        self._pieces: list[tuple[StreamName, int]] = []
        self._error_name = ""
        self.error_lines: tuple[str, ...] = ()
        """The failing line, if it is known, then the error's name and message; empty while nothing went wrong."""
        self.result: str | None = None
        self._figures: list[str] = []
        self._figure_room, self._unpacked_room = MAX_ARTEFACT_CHARS, MAX_UNPACKED_BYTES
        self._figures_end = False
        """True once a figure was left out; none is looked at after it."""
        self.replied = False
        self.idle = False
        self.on_output: Callable[[str, str], None] | None = None
        """Called with the stream's name and each piece of text as it comes."""

    @property
    def ended(self) -> bool:
        """True once the cell is over and nothing more is under way."""
        return self.replied and self.idle

    @property
    def stdout(self) -> str:
        """Everything printed to stdout so far, figures' descriptions included."""
        return "".join(self._streams["stdout"])

    @property
    def stderr(self) -> str:
        """Everything printed to stderr so far."""
        return "".join(self._streams["stderr"])

    @property
    def artefacts(self) -> tuple[str, ...]:
        """The figures shown so far, as data URLs."""
        return tuple(self._figures)

    @property
    def stream_order(self) -> tuple[tuple[StreamName, int], ...]:
        """The order of what was printed so far, as an `Execution` has it."""
        return stream_order(self._pieces)

    @property
    def status(self) -> ExecutionStatus:
        """The way the cell ended, according to the kernel."""
        if self._error_name == "MemoryError":
            return ExecutionStatus.MEMORY
        return ExecutionStatus.ERROR if self.error_lines else ExecutionStatus.OK

    def add(self, message: Message) -> None:
        """Take in one message, if it is about this cell."""
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
                # iopub says it better, but may come later or get lost.
                if failed and not self.error_lines:
                    self._fail(content)

    def _print(self, name: Any, text: Any) -> None:
        """Keep `text`, up to a hard limit: streams are cut long before in the kernel, other output isn't."""
        if name not in ("stdout", "stderr") or not isinstance(text, str) or not (text and self._room[name]):
            return
        kept = _text(text[: self._room[name]])
        self._room[name] = max(0, self._room[name] - len(kept))
        piece = kept if self._room[name] else f"{kept}\n[... the rest is left out ...]\n"
        self._streams[name].append(piece)
        self._pieces.append((name, len(piece)))
        if self.on_output:
            self.on_output(name, piece)

    def _keep_figure(self, content: Message) -> None:
        data = content.get("data")
        image = data.get("image/png") if isinstance(data, dict) else None
        if image is None or self._figures_end:
            return
        fits = (
            isinstance(image, str) and len(image) <= self._figure_room and len(self._figures) < MAX_ARTEFACTS
        )
        if fits and (png := as_png(image, self._unpacked_room)) is not None:
            self._figure_room -= len(png.text)
            self._unpacked_room -= png.unpacked_bytes
            self._figures.append(f"data:image/png;base64,{png.text}")
        else:
            self._figures_end = True
            self._print("stdout", NO_FIGURE)

    def _fail(self, content: Message) -> None:
        lines = content.get("traceback")
        if not isinstance(lines, list) or not lines:
            lines = [f"{remark(content.get('ename')) or 'Error'}: {_text(content.get('evalue'))}"]
        self._error_name = remark(content.get("ename"))
        texts = tuple(shortened(_text(line), self._max_chars) for line in lines[:2])
        self.error_lines = texts if any(texts) else ("Error",)


def stream_order(pieces: Iterable[tuple[StreamName, int]]) -> tuple[tuple[StreamName, int], ...]:
    """Return `Execution.stream_order` of pieces of output, each the name of its stream and a number of characters."""
    turns: list[tuple[StreamName, int]] = []
    for name, chars in pieces:
        if turns and turns[-1][0] == name:
            turns[-1] = (name, turns[-1][1] + chars)
        elif chars:
            turns.append((name, chars))
    if [name for name, _ in turns] in (["stdout", "stderr"], ["stdout"], ["stderr"]):
        return ()
    return tuple(turns[:MAX_TURNS])


def _plain_text(content: Message) -> str:
    data = content.get("data")
    return _text(data.get("text/plain")) if isinstance(data, dict) else ""


def _text(said: object) -> str:
    """Return what may be shown of `said`, which should be a text: no unseen characters, no lone surrogates."""
    if not isinstance(said, str):
        return ""
    return seen(said if said.isascii() else said.encode("utf-8", "backslashreplace").decode("utf-8"))
