"""Read stdin: what a pipe holds, or what a person types, who is told what is waited for."""

import sys
from collections.abc import Callable

from mumath_agent.commands.console import note, remark, write_raw
from mumath_agent.problems import decode


def read_stdin(what: str) -> str:
    """Return all of stdin; at a terminal, say what is expected there and how to end it.

    Raises:
        InputError: it isn't UTF-8 text.
    """
    if sys.stdin.isatty():
        remark(f"reading {what} from the terminal; end with Ctrl-D on a line of its own")
    return decode(_typed(sys.stdin.buffer.read), "stdin")


def ask(prompt: str) -> str:
    """Return a line that a person types at the terminal.

    Raises:
        InputError: it isn't UTF-8 text.
    """
    write_raw(prompt, "stderr")
    return decode(_typed(sys.stdin.buffer.readline), "stdin")


def _typed(read: Callable[[], bytes]) -> bytes:
    """Return what `read` reads from stdin; on a terminal, what comes next begins a line, also after Ctrl-C."""
    if not sys.stdin.isatty():
        return read()
    note("stderr", "^C")
    data = read()
    note("stderr", data.decode("utf-8", "replace"))
    return data
