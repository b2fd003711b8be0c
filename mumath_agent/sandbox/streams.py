"""Send what a cell prints: while it runs, within limits, and never as another cell's.

The first lines are sent as they come, later ones in portions, when enough has gathered or some time has passed. If a
stream is longer than its limit, its head is sent as it comes and its tail when the cell ends, with a mark between them
that says how much is missing. What is written to the descriptors 1 and 2 directly (by libraries in C, by child
processes) goes to files in memory, and is sent when the cell ends.
"""

import _thread
import contextvars
import fcntl
import io
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

PORTION_CHARS = 8192
PROMPT_LINES = 100
"""How many lines of a cell are sent as they come, so that a cell that dies leaves what it printed."""
PROMPT_TURNS = 1000
"""How many times in a cell a stream is sent because the other one has its turn, so that their order is kept."""
PAUSE_S, LONG_PAUSE_S, PROMPT_PORTIONS = 0.01, 0.5, 1000
"""How long later lines gather before they are sent, and how long once that many portions were sent."""

_cell: contextvars.ContextVar[int] = contextvars.ContextVar("cell")
"""The number of the cell a thread belongs to: the one that started it."""


def valid(text: str) -> str:
    """Return `text` with lone surrogates escaped, which no message can carry."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def shortened(text: str, max_chars: int) -> str:
    """Return `text`, or its head and tail with a mark between them if it is too long."""
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    return f"{text[:half]}{_mark(len(text) - 2 * half)}{text[-half:]}"


def _mark(left_out: int) -> str:
    return f"\n[... {left_out} characters left out ...]\n"


class Stream(io.TextIOBase):
    """One of a cell's two streams."""

    def __init__(self, descriptor: int, max_chars: int, publish: Callable[[str], None]) -> None:
        """Stand in for `descriptor`; `publish` sends a portion of text, `max_chars` is the limit for a cell."""
        self._descriptor = descriptor
        self._max_chars = max_chars
        self._publish = publish
        self._lock = threading.RLock()
        self._number = 0
        self.other: Stream | None = None
        """The cell's other stream."""
        self.begin(0)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding a program sees."""
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """The error handler a program sees."""
        return "backslashreplace"

    def fileno(self) -> int:
        """Return the descriptor this stream stands in for."""
        return self._descriptor

    def writable(self) -> bool:
        """Return True."""
        return True

    def begin(self, number: int) -> None:
        """Begin cell `number`: text belongs to it from now on."""
        with self._lock:
            self._number = number
            self._open = True
            self._room = self._max_chars // 2
            self._head: list[str] = []
            self._head_chars = 0
            self._tail: list[str] = []
            self._tail_chars = self._left_out = 0
            self._lines = self._turns = self._portions = 0
            self._sent_at = 0.0
            self._shared = _thread._count() > 0
            with suppress(OSError):  # a cell may have closed it
                if os.fstat(self._descriptor).st_size:  # written after its program ended
                    os.ftruncate(self._descriptor, 0)

    def write(self, text: str) -> int:
        """Take in text, unless it comes from a thread that outlived its cell."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self.other is not None:  # before our own lock is taken: another thread may hold the other's
            self.other.end_turn()
        with self._lock:
            if self._open and belongs_to(self._number):
                self._add(valid(text))
        return len(text)

    def flush(self) -> None:
        """Send the text that has gathered."""
        with self._lock:
            text, self._head, self._head_chars = "".join(self._head), [], 0
            self._sent_at = time.monotonic()
            if text:
                self._portions += 1
                self._publish(text)

    def end_turn(self) -> None:
        """Send what has gathered before the other stream gets text, so that a reader sees both in their order."""
        if self._head and self._turns < PROMPT_TURNS:
            self._turns += 1
            self.flush()

    def finish(self) -> None:
        """End the cell: send the rest."""
        with self._lock:
            self._add(self._from_descriptor())
            self._trim()
            if self._left_out:
                self._head.append(_mark(self._left_out))
            self._head += self._tail
            self._tail, self._tail_chars = [], 0
            self.flush()
            self._open = False

    def _add(self, text: str) -> None:
        head, rest = text[: self._room], text[self._room :]
        self._room -= len(head)
        if head:
            self._head.append(head)
            self._head_chars += len(head)
            if self._head_chars >= PORTION_CHARS or (head.endswith("\n") and self._is_time()):
                self.flush()
        if rest:
            self._tail.append(rest)
            self._tail_chars += len(rest)
            if self._tail_chars > 2 * self._max_chars:
                self._trim()

    def _is_time(self) -> bool:
        """Return whether to send a line at once: true for the first ones, and later if the last was some time ago."""
        self._lines += 1
        if self._lines <= PROMPT_LINES:
            return True
        pause_s = PAUSE_S if self._portions < PROMPT_PORTIONS else LONG_PAUSE_S
        return time.monotonic() - self._sent_at > pause_s

    def _trim(self) -> None:
        """Drop what is too old for the tail."""
        kept = "".join(self._tail)[-(self._max_chars // 2) :]
        self._left_out += self._tail_chars - len(kept)
        self._tail, self._tail_chars = [kept] if kept else [], len(kept)

    def _from_descriptor(self) -> str:
        """Take what was written to the descriptor directly."""
        try:
            size = os.fstat(self._descriptor).st_size
        except OSError:
            return ""  # a cell has closed it
        if not size:
            return ""
        if self._shared:  # nobody can tell who wrote it
            os.ftruncate(self._descriptor, 0)
            return f"\n[... {size} bytes left out: a thread of an earlier program is still running ...]\n"
        most = 4 * self._max_chars
        if size <= most:
            data = os.pread(self._descriptor, size, 0)
        else:
            half = most // 2
            self._left_out += size - most
            data = os.pread(self._descriptor, half, 0) + os.pread(self._descriptor, half, size - half)
        os.ftruncate(self._descriptor, 0)
        return data.decode("utf-8", "backslashreplace")


def capture_descriptors() -> None:
    """Replace the descriptors 1 and 2 by files in memory, and 0 by an empty one."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    for descriptor in (1, 2):
        if sys.platform == "linux":
            file = os.memfd_create(f"{descriptor}")
        else:
            with tempfile.TemporaryFile() as temporary:
                file = os.dup(temporary.fileno())
        os.dup2(file, descriptor)
        os.close(file)
        os.set_inheritable(descriptor, True)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND | os.O_RDWR)


def belong_to(number: int) -> None:
    """Assign this thread, and those it starts, to cell `number`."""
    _cell.set(number)


def belongs_to(number: int) -> bool:
    """Return whether this thread belongs to cell `number`; one that no cell is known for belongs to none."""
    mine = _cell.get(None)
    return mine == number or (mine is None and threading.current_thread() is threading.main_thread())


def start_threads_in_context() -> None:
    """Let threads inherit the context, and so the cell, they are started in; Python 3.14 can do so by itself."""
    start: Any = threading.Thread.start
    start_new: Any = _thread.start_new_thread

    def start_new_in_context(function: Any, args: Any, *kwargs: Any) -> int:
        number: int = start_new(contextvars.copy_context().run, (function, *args), *kwargs)
        return number

    def start_in_context(thread: threading.Thread) -> None:
        context, run = contextvars.copy_context(), thread.run
        thread.run = lambda: context.run(run)  # type: ignore[method-assign]
        start(thread)

    threading.Thread.start = start_in_context  # type: ignore[assignment,method-assign]
    _thread.start_new_thread = start_new_in_context
