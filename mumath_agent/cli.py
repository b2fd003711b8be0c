"""The `mumath-agent` program: names its commands."""

from typing import Annotated

import typer

from mumath_agent import __version__
from mumath_agent.commands import console
from mumath_agent.commands.api import api
from mumath_agent.commands.doctor import doctor
from mumath_agent.commands.mcp import mcp
from mumath_agent.commands.models import models
from mumath_agent.commands.program import program
from mumath_agent.commands.python import python
from mumath_agent.commands.replay import replay
from mumath_agent.commands.serve import serve
from mumath_agent.commands.solve import solve
from mumath_agent.commands.web import web

app = program([solve, web, python, api, mcp, replay, serve, models, doctor], completes=True)


def main() -> None:
    """Run the `mumath-agent` command."""
    console.main(app)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Solve mathematical problems by reasoning and executed Python."""
    if version:
        typer.echo(f"mumath-agent {__version__}")
        raise typer.Exit
