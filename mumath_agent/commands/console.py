"""The terminal as every program of this project uses it: results on stdout, everything said about them on stderr.

`mumath-agent`, `python -m finetune` and `python -m benchmarks` share `main`: one way to end on errors and signals.

Exit codes: 0 answered or done; 1 no answer, or something measured isn't as it should be; 2 the input or an option can't
be used; 3 machinery broke; 130 interrupted. For a file of problems it is the gravest of its problems'. For cells, 0
means that every one was ok and 1 that one was not.
"""

import io
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from typing import Any, Literal, TypeVar

import anyio
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from mumath_agent.commands.termination import end_on_sigterm
from mumath_agent.errors import InputError, MuMathError

T = TypeVar("T")

DONE = ANSWERED = 0
NO_ANSWER = UNEXPECTED = 1
USAGE, BROKEN, INTERRUPTED = 2, 3, 130

stderr = Console(stderr=True, highlight=False)
"""Where everything but results goes, bars and spinners included."""


_unfinished = set[str]()
"""The streams whose last line has no end yet."""


def main(app: typer.Typer) -> None:
    """Run a program's command line; turn errors and signals into one line and an exit code."""
    # SIGINT may be ignored from the start (a shell does so for background jobs); asyncio cancels on it only if it has
    # Python's own handler.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    end_on_sigterm()
    warnings.showwarning = warn
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal may know fewer characters than a program.
            stream.reconfigure(errors="backslashreplace")
    _unfinished.clear()
    try:
        app()
    except MuMathError as error:
        raise SystemExit(fail(error)) from None
    except KeyboardInterrupt:
        say_interrupted()
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # The reader of our stdout has gone (`| head`); leave without a traceback at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(BROKEN) from None


def interruptible(run: Callable[[], int]) -> int:
    """Return what `run` returns, or the exit code of an interruption."""
    try:
        return run()
    except KeyboardInterrupt:
        say_interrupted()
        return INTERRUPTED


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` to its end; Ctrl-C and SIGTERM cancel it, which clears up, and end the command."""
    try:
        return anyio.run(work)
    except KeyboardInterrupt:
        say_interrupted()
        raise typer.Exit(INTERRUPTED) from None


def stdout() -> Console:
    """Return the console for results: as wide as the terminal, and wide enough for tables in a pipe.

    Where results and remarks go to one terminal it is the console of the remarks, which takes a bar's or spinner's line
    away before it prints, and draws it again below.
    """
    if stderr.is_terminal and _is_shared():
        return stderr
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


def show(text: str) -> None:
    """Print a result on stdout, as lines of its own."""
    finish_line()
    _put(f"{text}\n", "")


def show_part(text: str, style: str = "") -> None:
    """Print part of a line on stdout."""
    note("stdout", text)  # first: Ctrl-C may come at any moment
    _put(text, style)


def write_raw(text: str, stream: Literal["stdout", "stderr"]) -> None:
    """Print what a program printed as it is, control characters included."""
    note(stream, text)
    print(text, end="", file=getattr(sys, stream), flush=True)


def finish_line() -> None:
    """End the line on stdout if something has been printed on it."""
    if "stdout" in _unfinished:
        write_raw("\n", "stdout")


def note(stream: str, text: str) -> None:
    """Remember whether what was written last on a stream has ended its line."""
    if text.endswith("\n"):
        _unfinished.discard(stream)
    elif text:
        _unfinished.add(stream)


def _put(text: str, style: str) -> None:
    console = stdout()
    if console.is_terminal:
        # Text(), not str: markup in model text must not be interpreted.
        console.print(Text(text, style=style), end="", soft_wrap=True)
    else:  # rich would expand tabs
        console.file.write(text)
        console.file.flush()


def print_json(value: Any) -> None:
    """Print a JSON value, indented."""
    show(json.dumps(value, indent=1, ensure_ascii=False))


def progress_bar(what: str) -> Progress:
    """Return a bar with how many of how many; it is silent where stderr isn't a terminal."""
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=stderr, disable=not stderr.is_terminal, redirect_stdout=_is_shared())


def fail(error: MuMathError) -> int:
    """Say what is wrong, and return the exit code for it."""
    say(str(error))
    return USAGE if isinstance(error, InputError) else BROKEN


def usable(items: Iterable[T | InputError], errors: list[InputError], nothing: str) -> Iterator[T]:
    """Yield the items that can be used and say what is wrong with the others, which are added to `errors`.

    Raises:
        InputError: there is none that can; `nothing` begins the one line that says so.
    """
    found = False
    for item in items:
        if isinstance(item, InputError):
            errors.append(item)
            if found:
                fail(item)
            continue
        for error in () if found else errors:
            fail(error)
        found = True
        yield item
    if not found:
        more = f", and {len(errors) - 1:,} more" if len(errors) > 1 else ""
        raise InputError(f"{nothing}: {errors[0]}{more}" if errors else nothing)


def say(error: str) -> None:
    """Print an error on stderr."""
    tell(f"error: {error}", style="red")


def say_interrupted() -> None:
    """Say on stderr that the command was interrupted."""
    tell("interrupted", style="")


def warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning of the library in one line; where in our source it was raised helps nobody."""
    tell(f"warning: {' '.join(str(message).split())}", style="yellow")


def remark(text: str) -> None:
    """Print a remark on stderr."""
    tell(text, style="dim")


def tell(text: str, *, style: str) -> None:
    """Print a line on stderr in a style of rich's."""
    with suppress(BrokenPipeError):
        if _is_shared():
            finish_line()
        if "stderr" in _unfinished:
            write_raw("\n", "stderr")
        stderr.print(Text(text, style=style), soft_wrap=True)  # a plain str would have its markup interpreted


def _is_shared() -> bool:
    """Tell whether stdout and stderr are one file, a terminal for example."""
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError):  # not files
        return False
