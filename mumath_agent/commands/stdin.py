"""Read stdin: what a pipe holds, or what a person types, who is told what is waited for."""

import sys
from collections.abc import Callable

from mumath_agent.commands.console import remark, stderr
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
    stderr.print(prompt, end="", markup=False)
    return decode(_typed(sys.stdin.buffer.readline), "stdin")


def _typed(read: Callable[[], bytes]) -> bytes:
    """Return what `read` reads from stdin; on a terminal, what comes next begins a line, also after Ctrl-C."""
    data = b""
    try:
        data = read()
    finally:
        if sys.stdin.isatty() and not data.endswith(b"\n"):
            stderr.print()
    return data
