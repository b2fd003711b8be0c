"""What runs inside the kernel process: a stock IPython kernel with a few habits changed, then its message loop.

Run by path as a script (`python -P startup.py CONNECTION_FILE MEMORY_MB MAX_OUTPUT_CHARS`), never imported: the kernel
needs nothing of this package, and importing the package would cost it time. What it changes:

- it dies with the process that started it, and is what an out-of-memory killer takes first;
- memory is limited, to `MEMORY_MB` of address space on top of what the idle kernel has;
- an error is told in two lines, the line of the cell and the exception, instead of a coloured traceback;
- a thread's output belongs to the cell that started the thread (so does that of a thread pool kept for later cells);
- cells are files named `<cell 1>`, `<cell 2>`, so that a warning or a traceback reads the same in every run;
- `input()` finds the end of its input, `exit()` ends the cell and not the kernel;
- a stream keeps head and tail of what a cell prints, so that a flood costs neither time nor memory downstream;
- no configuration, profile or history of the user is read or written.

A program in a cell can undo all of this. It is here for programs that go wrong, not for hostile ones.
"""

import contextvars
import ctypes
import linecache
import os
import resource
import signal
import sys
import threading
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from ipykernel.iostream import OutStream
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.compilerop import CachingCompiler
from IPython.core.inputtransformer2 import leading_empty_lines
from traitlets import Type
from traitlets.config import Config

PR_SET_PDEATHSIG = 1
SPARE_BYTES = 64 << 20
"""Address space granted after a MemoryError, so that the kernel itself can go on and the next cell can free some."""
MAX_SPARES = 4
RESERVE = [bytearray(SPARE_BYTES // 8)]
MAX_ERROR_CHARS = 10_000
MAX_LINE_CHARS = 200


def main(connection_file: str, memory_mb: int, max_output_chars: int) -> None:
    """Become a kernel; returns when it is told to shut down."""
    die_with_parent()
    report = os.fdopen(os.dup(2), "w")
    silence_descriptors()
    CappedStream.max_chars = max_output_chars
    try:
        app: Any = App.instance(connection_file=connection_file, config=config())
        app.initialize([])
        prepare(app.shell)
        limit_memory(memory_mb << 20)
    except BaseException:
        traceback.print_exc(file=report)
        raise
    report.close()
    app.start()


def config() -> Config:
    settings = Config()
    settings.HistoryManager.enabled = False
    # With automagic a bare word of prose such as `time` or `ls` would run as a command.
    settings.InteractiveShell.automagic = False
    settings.InteractiveShell.colors = "nocolor"
    return settings


def die_with_parent() -> None:
    """Have the system send SIGKILL when the parent ends: a cell that holds the GIL stops every watching thread."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
    if os.getppid() != int(os.environ["JPY_PARENT_PID"]):  # it ended before this was set up
        os._exit(1)


def silence_descriptors() -> None:
    """ipykernel copies everything a cell's subprocesses write to the descriptors it was started with."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def limit_memory(extra_bytes: int) -> None:
    """Make allocations fail with MemoryError beyond `extra_bytes` from here."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere the limit is not enforced
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + extra_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit + MAX_SPARES * SPARE_BYTES))


def spare_memory() -> None:
    """Let the kernel work on after a MemoryError; also when not one small object could be allocated any more."""
    RESERVE.clear()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_AS, (min(soft + SPARE_BYTES, hard), hard))
    with suppress(MemoryError):
        RESERVE.append(bytearray(SPARE_BYTES // 8))


def prepare(shell: Any) -> None:
    """Settle what a program finds in its session."""
    shell.compile = CellCompiler()  # type: ignore[no-untyped-call]
    shell.input_transformer_manager.cleanup_transforms.remove(leading_empty_lines)  # it shifts line numbers
    shell.user_ns["exit"] = shell.user_ns["quit"] = sys.exit  # IPython's own would stop the kernel
    warnings.filterwarnings("ignore", message="To exit: use")
    sys.path.append("")  # modules a program writes to its directory; last, so that they hide nothing
    for name in ("FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"):  # set by ipykernel; they colour tracebacks
        os.environ.pop(name, None)
    os.environ["NO_COLOR"] = "1"
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        shell.events.register("pre_run_cell", stream.begin)
        shell.events.register("post_run_cell", stream.finish)
    shell.events.register("post_run_cell", forget_error)
    threading.Thread.start = start_in_context  # type: ignore[assignment,method-assign]


def start_in_context(thread: threading.Thread, start: Any = threading.Thread.start) -> None:
    """Start `thread` so that it knows its cell: ipykernel keeps that in a context variable."""
    context, run = contextvars.copy_context(), thread.run
    thread.run = lambda: context.run(run)  # type: ignore[method-assign]
    start(thread)


def forget_error(result: Any) -> None:
    """Let go of a raised exception: its frames hold memory, and the reply would call its `__str__`, which may fail."""
    if result.error_in_exec is not None:
        ended = isinstance(result.error_in_exec, SystemExit)
        result.error_in_exec = SystemExit() if ended else Exception()


class CellCompiler(CachingCompiler):
    """Compiles each cell as a file of its own."""

    cells = 0
    latest = ""
    """The file name of the latest cell."""

    @classmethod
    def get_code_name(cls, *_args: Any) -> str:
        cls.cells += 1
        cls.latest = f"<cell {cls.cells}>"
        return cls.latest


class CappedStream(OutStream):
    """stdout or stderr that sends the first half of `max_chars` at once and the last half when the cell ends."""

    max_chars = room = 1 << 18
    tail: list[str]
    tail_chars = left_out = 0

    def begin(self, _info: object) -> None:
        with self._buffer_lock:
            self.room, self.tail = self.max_chars // 2, []
            self.tail_chars = self.left_out = 0

    def write(self, string: str) -> int:
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string).__name__}")
        if not string.isascii():  # one lone surrogate would make ipykernel drop the whole message
            string = string.encode("utf-8", "backslashreplace").decode("utf-8")
        with self._buffer_lock:
            head = string[: self.room]
            if len(head) < len(string):
                self.tail.append(string[self.room :])
                self.tail_chars += len(string) - len(head)
                if self.tail_chars > 2 * self.max_chars:
                    self.trim()
            self.room -= len(head)
        if head:
            super().write(head)
        return len(string)

    def trim(self) -> None:
        """Let go of what is too old in the tail."""
        kept = "".join(self.tail)[-(self.max_chars // 2) :]
        self.left_out += self.tail_chars - len(kept)
        self.tail, self.tail_chars = [kept], len(kept)

    def finish(self, _result: object) -> None:
        with self._buffer_lock:
            self.trim()
            mark = f"\n[... {self.left_out} characters left out ...]\n" if self.left_out else ""
            text = mark + self.tail[0]
        if text:
            super().write(text)


class Shell(ZMQInteractiveShell):
    """Tells an error as the line of the running cell and the exception."""

    def showtraceback(self, exc_tuple: Any = None, *_args: Any, **_kwargs: Any) -> None:
        info: Any = exc_tuple or sys.exc_info()
        kind, error, trace = info
        self._last_traceback: list[str] = []
        if issubclass(kind, SystemExit) and error.code in (None, 0):
            return  # a program that says it is done
        if issubclass(kind, MemoryError):
            spare_memory()
            traceback.clear_frames(trace)  # what the failing functions had gathered
            kind = MemoryError  # numpy raises a subclass of its own
        lines = error_lines(error, trace, CellCompiler.latest)
        self._showtraceback(kind, lines[-1], lines)  # type: ignore[no-untyped-call]

    def showsyntaxerror(self, *_args: Any, **_kwargs: Any) -> None:
        self.showtraceback()

    showindentationerror = showsyntaxerror


def error_lines(error: BaseException, trace: TracebackType | None, filename: str) -> list[str]:
    """The line of the cell that failed, if there is one, and the error's name and message."""
    told = traceback.format_exception_only(error)
    if isinstance(error, SyntaxError):
        told = told[-1:]  # the rest repeats file and line
    lines = [cell_line(error, trace, filename), shown("".join(told).strip(), MAX_ERROR_CHARS)]
    return [line for line in lines if line]


def cell_line(error: BaseException, trace: TracebackType | None, filename: str) -> str | None:
    """The innermost line of this cell that was running, also when an older cell's function or a library failed."""
    number, text = 0, ""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == filename:
            number = trace.tb_lineno
        trace = trace.tb_next
    if number:
        text = linecache.getline(filename, number)
    elif isinstance(error, SyntaxError) and error.filename == filename:  # the cell did not even start
        number, text = error.lineno or 0, error.text or ""
    return f"line {number}: {shown(text.strip(), MAX_LINE_CHARS)}" if number else None


def shown(text: str, max_chars: int) -> str:
    """`text` cut to size and fit for UTF-8."""
    text = text if len(text) <= max_chars else text[:max_chars] + " ..."
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Kernel(IPythonKernel):
    shell_class = Type(Shell)

    def raw_input(self, *_args: Any, **_kwargs: Any) -> str:
        raise EOFError("this program can't ask for input: nobody is there to answer")

    getpass = raw_input


class App(IPKernelApp):
    kernel_class = Type(Kernel)
    outstream_class = "__main__.CappedStream"

    def load_config_file(self, *_args: Any, **_kwargs: Any) -> None:
        """Don't: a user's or the machine's IPython configuration is no part of a result."""


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
