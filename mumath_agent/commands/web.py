"""`mumath-agent web`: a page to ask questions in, for the browser of whoever starts it."""

import os
from contextlib import closing
from pathlib import Path
from typing import Annotated

import anyio
import typer

from mumath_agent.agent.solver import SolverOptions
from mumath_agent.commands.console import run
from mumath_agent.commands.front import AllowHosts, ApiKeys, Host, listen, require_extra
from mumath_agent.commands.options import takes_solver_options
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
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any free one.")] = PORT,
    api_key: ApiKeys = None,
    allow_host: AllowHosts = None,
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
    require_extra("web", "web", "starlette", "uvicorn")
    from mumath_agent.front.listening import bound
    from mumath_agent.front.security import Access
    from mumath_agent.front.web.app import web_app
    from mumath_agent.front.web.choices import choices_of
    from mumath_agent.front.web.desk import opened_desk
    from mumath_agent.front.web.history import History

    access = Access(host=host, keys=tuple(api_key or ()), hosts=tuple(allow_host or ()))
    with closing(History(history or history_path())) as kept:
        listener = bound(host, port)

        async def serve() -> int:
            async with opened_desk(choices_of(options), options, how, kept) as desk:
                return await listen(listener, web_app(desk, access), "", anyio.sleep_forever)

        raise typer.Exit(run(serve))
