"""`mumath-agent web`: a page to ask questions in, for the browser of whoever starts it."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from mumath_agent.agent.solver import SolverOptions
from mumath_agent.commands.console import remark, run
from mumath_agent.commands.options import takes_solver_options
from mumath_agent.errors import MissingExtra
from mumath_agent.solutions import Attempts


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
        str, typer.Option(help="The address; one that others can reach needs --key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8300,
    key: Annotated[
        str | None,
        typer.Option(envvar="MUMATH_WEB_KEY", help="Ask whoever opens the page for this key."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="A name by which browsers may call this machine; can be repeated."),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(help="Where questions and answers are kept; without it, in your data directory."),
    ] = None,
) -> None:
    """Show a page to ask questions in: attempts side by side as they run, programs, figures, votes, the answer.

    Models are the one that the options name, the embedded one, and files of this machine. Programs run in isolated
    kernels, as with `mumath-agent solve`.

    Examples:
        mumath-agent web
        mumath-agent web --base-url http://localhost:8000/v1 --attempts 4

    Exit codes: 0 ended (with Ctrl-C, for example), 2 an option can't be used.
    """
    for module in ("starlette", "uvicorn"):
        if find_spec(module) is None:
            raise MissingExtra("mumath-agent web", "web")
    from mumath_agent.front.security import Access
    from mumath_agent.front.web.serve import serve_page

    access = Access(host=host, keys=(key,) if key else (), hosts=tuple(name or ()))
    run(lambda: serve_page(options, how, access, port, history or history_path(), remark))
