"""Set up IPython as a cell finds it: what it shows, what an error looks like, what a cell can't do to the kernel.

- An error is two lines, the line of the cell and the exception, instead of a coloured traceback.
- Cells are files named `<cell 1>`, `<cell 2>`, so that a warning or a traceback reads the same in every run.
- `input()` is at the end of its input; `exit()` ends the cell and not the kernel.
- Results are shown as plain text, figures as PNG.
- No configuration, profile or history of a user is read or written.

The shell is made before a kernel is forked, so that no kernel spends time on it.
"""

import asyncio
import base64
import builtins
import linecache
import resource
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

from IPython.core.async_helpers import get_asyncio_loop
from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.inputtransformer2 import leading_empty_lines
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

from mumath_agent.sandbox.streams import shortened, valid

SPARE_BYTES = 64 << 20
"""Address space granted after a MemoryError, so that the kernel itself can go on and the next cell can free some."""
MAX_ERROR_CHARS = 10_000
MAX_LINE_CHARS = 200
MAX_IMAGE_CHARS = 2 << 20
MIME_TYPES = ("text/plain", "image/png")

Publish = Callable[[str, dict[str, Any]], None]


class CellCompiler(CachingCompiler):
    """Compiles each cell as a file of its own."""

    cells = 0
    latest = ""
    """The file name of the latest cell."""

    @classmethod
    def get_code_name(cls, *_args: Any) -> str:
        """Name the next cell's file."""
        cls.cells += 1
        cls.latest = f"<cell {cls.cells}>"
        return cls.latest


class Result(DisplayHook):
    """Shows the value of a cell's last expression."""

    shell: Any

    def quiet(self) -> bool:
        """Hide nothing, not even the value before a semicolon: the model wants to read it."""
        return False

    def write_output_prompt(self) -> None:
        """Write no prompt."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        """Publish a value."""
        content = {"execution_count": self.shell.execution_count, "metadata": {}}
        self.shell.publish("execute_result", content | {"data": self.shell.shown(format_dict)})

    def log_output(self, format_dict: dict[str, Any]) -> None:
        """Keep no log."""

    def finish_displayhook(self) -> None:
        """End the display of a value; IPython's own would print a line end."""
        self._is_active = False


class Display(DisplayPublisher):
    """Shows what `display` was given, and figures."""

    shell: Any

    def publish(
        self, data: Any, *_metadata: Any, transient: Any = None, update: Any = False, **_: Any
    ) -> None:
        """Publish a value or a figure."""
        kind = "update_display_data" if update else "display_data"
        content = {"data": self.shell.shown(data), "metadata": {}, "transient": transient or {}}
        self.shell.publish(kind, content)

    def clear_output(self, wait: bool = False) -> None:
        """Clear nothing: what was shown is sent already."""


class Shell(InteractiveShell):
    """One interactive session; `publish` takes what it shows."""

    displayhook_class = Type(Result)
    display_pub_class = Type(Display)
    publish: Publish = staticmethod(lambda kind, content: None)
    max_output_chars = 1 << 18
    last_error: dict[str, Any] | None = None
    """The content of the error message of the running cell, if it failed."""

    def init_virtualenv(self) -> None:
        """Do nothing: the module path is set already."""

    def shown(self, data: dict[str, Any]) -> dict[str, str]:
        """Return those of a value's forms that are shown, cut to size."""
        forms: dict[str, str] = {}
        if "text/plain" in data:
            forms["text/plain"] = valid(shortened(str(data["text/plain"]), self.max_output_chars))
        image = data.get("image/png", "")
        text = base64.b64encode(image).decode() if isinstance(image, bytes) else str(image)
        if 0 < len(text) <= MAX_IMAGE_CHARS:
            forms["image/png"] = text
        elif text:
            forms["text/plain"] = f"{forms.get('text/plain', '')}\n[A figure is left out: it is too large.]"
        return forms

    def system(self, cmd: str) -> None:
        """Run `!command`. Where processes can't be started this raises, unlike IPython's own."""
        command = self.var_expand(cmd, depth=1)  # type: ignore[no-untyped-call]
        self.user_ns["_exit_code"] = subprocess.run(command, shell=True, check=False).returncode

    def enable_gui(self, gui: Any = None) -> None:
        """Do nothing: figures need no event loop."""

    def showtraceback(self, exc_tuple: Any = None, *_args: Any, **_kwargs: Any) -> None:
        """Publish an error: the line of the cell that failed, and the exception."""
        info: Any = exc_tuple or sys.exc_info()
        kind, error, trace = info
        if issubclass(kind, SystemExit) and error.code in (None, 0):
            return  # the program says it is done
        if issubclass(kind, MemoryError):
            spare_memory()
            traceback.clear_frames(trace)  # frees what the failing functions had gathered
            kind = MemoryError  # numpy raises a subclass of its own
        lines = error_lines(error, trace, CellCompiler.latest)
        name = _shown(kind.__name__, MAX_LINE_CHARS)
        self.last_error = {"ename": name, "evalue": lines[-1], "traceback": lines}
        self.publish("error", self.last_error)

    def showsyntaxerror(self, *_args: Any, **_kwargs: Any) -> None:
        """Publish a syntax error like any other."""
        self.showtraceback()

    showindentationerror = showsyntaxerror


def new_shell() -> Shell:
    """Make the one shell of this process."""
    settings = Config()
    settings.HistoryManager.enabled = False
    # With automagic a bare word of prose such as `time` or `ls` would run as a command.
    settings.InteractiveShell.automagic = False
    settings.InteractiveShell.colors = "nocolor"
    settings.InteractiveShell.cache_size = 0
    settings.Completer.use_jedi = False  # it would read files and keep threads
    shell = Shell.instance(config=settings)
    shell.compile = CellCompiler()  # type: ignore[no-untyped-call]
    shell.loop_runner = run_async
    formatter: Any = shell.display_formatter
    formatter.active_types = list(MIME_TYPES)
    shell.input_transformer_manager.cleanup_transforms.remove(leading_empty_lines)  # would shift line numbers
    shell.events.register("post_run_cell", forget_error)
    shell.user_ns["exit"] = shell.user_ns["quit"] = sys.exit  # IPython's own would stop the kernel
    warnings.filterwarnings("ignore", message="To exit: use")
    setattr(builtins, "input", no_input)  # noqa: B010
    sys.path.append("")  # modules a program writes to its directory; last, so that they hide nothing
    return shell


def run_async(coroutine: Any) -> Any:
    """Run a cell with a top-level `await`. Close its loop if no task is left: open files prevent branches."""
    loop = get_asyncio_loop()  # type: ignore[no-untyped-call]
    try:
        return loop.run_until_complete(coroutine)
    finally:
        if not asyncio.all_tasks(loop):
            loop.close()


def no_input(prompt: object = "", /) -> str:
    """Stand in for `input`: raise EOFError."""
    raise EOFError("this program can't ask for input: nobody is there to answer")


def forget_error(result: Any) -> None:
    """Let go of a raised exception: its frames hold memory, and asking for its text may fail."""
    if result is not None and result.error_in_exec is not None:
        ended = isinstance(result.error_in_exec, SystemExit)
        result.error_in_exec = SystemExit() if ended else Exception()


def spare_memory() -> None:
    """Let the kernel go on after a MemoryError, even if not one more small object could be allocated."""
    _reserve.clear()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_AS, (min(soft + SPARE_BYTES, hard), hard))
    with suppress(MemoryError):
        _reserve.append(bytearray(SPARE_BYTES // 64))


_reserve = [bytearray(SPARE_BYTES // 64)]


def error_lines(error: BaseException, trace: TracebackType | None, filename: str) -> list[str]:
    """Return the line of the cell that failed, if there is one, then the error's name and message."""
    told = traceback.format_exception_only(error)
    if isinstance(error, SyntaxError):
        told = told[-1:]  # the rest repeats file and line
    lines = [cell_line(error, trace, filename), _shown("".join(told).strip(), MAX_ERROR_CHARS)]
    return [line for line in lines if line]


def cell_line(error: BaseException, trace: TracebackType | None, filename: str) -> str | None:
    """Return the innermost line of this cell that was running, even if a library or an older cell's function failed."""
    number, text = 0, ""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == filename:
            number = trace.tb_lineno
        trace = trace.tb_next
    if number:
        text = linecache.getline(filename, number)
    elif isinstance(error, SyntaxError) and error.filename == filename:  # the cell did not even start
        number, text = error.lineno or 0, error.text or ""
    return f"line {number}: {_shown(text.strip(), MAX_LINE_CHARS)}" if number else None


def _shown(text: str, max_chars: int) -> str:
    """Return `text` cut to size and fit for UTF-8."""
    return valid(text if len(text) <= max_chars else text[:max_chars] + " ...")
