"""The command line: names the commands, and turns errors into one line and an exit code (`commands.console`)."""

import io
import os
import signal
import sys
import warnings
from typing import Annotated

import typer

from mumath_agent import __version__
from mumath_agent.commands.console import BROKEN, fail, warn
from mumath_agent.commands.doctor import doctor
from mumath_agent.commands.python import python
from mumath_agent.commands.replay import replay
from mumath_agent.commands.serve import serve
from mumath_agent.commands.solve import solve
from mumath_agent.errors import MuMathError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
for command in (solve, python, replay, serve, doctor):
    app.command()(command)


def main() -> None:
    """Entry point of the `mumath-agent` command."""
    # Whoever ends us politely gets what Ctrl-C gets: kernels killed, their directories removed. SIGINT may be ignored
    # from the start (a shell does so for background jobs); asyncio cancels on it only if it has Python's own handler.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    warnings.showwarning = warn
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal may know fewer characters than a program.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except MuMathError as error:
        raise SystemExit(fail(error)) from None
    except BrokenPipeError:
        # The reader of our stdout has gone (`| head`); leave without a traceback at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(BROKEN) from None


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Solve mathematical problems by reasoning and executed Python."""
    if version:
        typer.echo(f"mumath-agent {__version__}")
        raise typer.Exit
