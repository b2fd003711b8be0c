"""What all commands share of the terminal: stdout for results, stderr for everything said about them."""

import json
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

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

from mumath_agent.errors import MuMathError

T = TypeVar("T")

UNEXPLAINED, USAGE, BROKEN, INTERRUPTED = 1, 2, 3, 130

DATA = Path(os.environ.get("MUMATH_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
"""Where benchmark files lie unless the user says otherwise."""

stderr = Console(stderr=True, highlight=False)


def stdout() -> Console:
    """A console for tables: as wide as the terminal, and wide enough for them in a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


def say(error: MuMathError) -> None:
    stderr.print(f"error: {error}", style="red", markup=False, soft_wrap=True)


def remark(text: str) -> None:
    stderr.print(text, style="dim", markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def progress(what: str) -> Progress:
    """A bar with how many of how many; silent where stderr is no terminal."""
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=stderr, disable=not stderr.is_terminal)


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` to its end; Ctrl-C (and SIGTERM) cancel it, which clears up, and end the command."""
    try:
        return anyio.run(work)
    except KeyboardInterrupt:
        stderr.print("interrupted")
        raise typer.Exit(INTERRUPTED) from None
