"""`mumath-agent web`: a page to ask questions in, for the browser of whoever starts it."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from mumath_agent.agent.solver import SolverOptions
from mumath_agent.commands.console import run, show
from mumath_agent.commands.options import takes_solver_options
from mumath_agent.errors import MissingExtra
from mumath_agent.solutions import Attempts

PORT = 8300


def history_path() -> Path:
    """Return where the history is if nobody says: in the user's data directory."""
    data = os.environ.get("XDG_DATA_HOME", "")
    folder = Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share"
    return folder / "mumath-agent" / "history.sqlite"


@takes_solver_options(attempts=True, without=("run_wall",))
def web(
    options: SolverOptions,
    how: Attempts,
    host: Annotated[
        str, typer.Option(help="The address to listen at; one that others can reach needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any free one.")] = PORT,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            "--api-key",
            envvar="MUMATH_SERVER_KEYS",
            help="A key that the page asks for; several do the same. Safer in the variable.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="Another name that browsers call this server by.")
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(help="Where questions and answers are kept; without it, in your data directory."),
    ] = None,
) -> None:
    """Show a page to ask questions in: attempts side by side as they run, programs, figures, votes, the answer.

    Models are the one that the options name, the embedded one, and files of this machine. Programs run in isolated
    kernels, as with `mumath-agent solve`. Prints the address to stdout, to open in a browser, and serves until Ctrl-C.

    Examples:
        mumath-agent web
        mumath-agent web --base-url http://localhost:8000/v1 --attempts 4

    Exit codes: 0 ended by Ctrl-C or SIGTERM, 2 an option, the address or the history can't be used.
    """
    for module in ("starlette", "uvicorn"):
        if find_spec(module) is None:
            raise MissingExtra("mumath-agent web", "web")
    from mumath_agent.front.security import Access
    from mumath_agent.front.web.serve import serve_page

    access = Access(host=host, keys=tuple(api_key or ()), hosts=tuple(allow_host or ()))
    run(lambda: serve_page(options, how, access, port, history or history_path(), show))
