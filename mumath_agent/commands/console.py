"""What all commands share of the terminal: stdout for results, stderr for everything said about them.

Exit codes: 0 answered, 1 no answer, 2 the input or an option can't be used, 3 machinery broke, 130 interrupted. For a
file of problems it is the gravest of its problems'. For cells, 0 says that every one was ok and 1 that one was not.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.text import Text

from mumath_agent.errors import InputError, MuMathError
from mumath_agent.problems import decode

ANSWERED, NO_ANSWER, USAGE, BROKEN, INTERRUPTED = 0, 1, 2, 3, 130

stderr = Console(stderr=True, highlight=False)


def interruptible(run: Callable[[], int]) -> int:
    try:
        return run()
    except KeyboardInterrupt:
        stderr.print("interrupted")
        return INTERRUPTED


def read_stdin() -> str:
    return decode(sys.stdin.buffer.read(), "stdin")


def fail(error: MuMathError) -> int:
    say(str(error))
    return USAGE if isinstance(error, InputError) else BROKEN


def say(error: str) -> None:
    tell(f"error: {error}", style="red")


def warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning of the library in one line; where in our source it was raised helps nobody."""
    tell(f"warning: {' '.join(str(message).split())}", style="yellow")


def remark(text: str) -> None:
    tell(text, style="dim")


def tell(text: str, *, style: str) -> None:
    with suppress(BrokenPipeError):
        stderr.print(Text(text, style=style), soft_wrap=True)  # a plain str would have its markup interpreted
