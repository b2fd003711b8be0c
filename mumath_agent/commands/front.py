"""The options that `mumath-agent api`, `mcp` and `web` share, and how they serve until they are ended."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from mumath_agent.commands.console import ANSWERED, remark, show
from mumath_agent.errors import MissingExtra

if TYPE_CHECKING:
    from socket import socket

    from starlette.types import ASGIApp

Host = Annotated[str, typer.Option(help="The address to listen at; one that others can reach needs a key.")]
ApiKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--api-key",
        envvar="MUMATH_SERVER_KEYS",
        help="A key that is asked for; may be given several times. Safer in the variable.",
    ),
]
AllowHosts = Annotated[
    list[str] | None, typer.Option("--allow-host", help="Another name that clients call this server by.")
]
AllowOrigins = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-origin", help="A site whose pages may use this server, e.g. https://chat.example.org."
    ),
]
Concurrency = Annotated[int, typer.Option(min=1, help="Questions answered at a time; others wait.")]
Waiting = Annotated[int, typer.Option(min=0, help="Questions that may wait; more are told to come again.")]
NumberOfSessions = Annotated[
    int, typer.Option("--sessions", min=1, help="Python sessions that live at a time.")
]
SessionIdle = Annotated[
    float, typer.Option(min=1.0, help="Seconds after which a session that isn't used is ended.")
]


def require_extra(command: str, extra: str, *modules: str) -> None:
    """Look whether what a command needs is installed.

    Raises:
        MissingExtra: it isn't.
    """
    from importlib.util import find_spec

    if any(find_spec(module) is None for module in modules):
        raise MissingExtra(f"`mumath-agent {command}`", extra)


async def listen(
    listener: "socket", app: "ASGIApp", path: str, beside: Callable[[], Awaitable[object]]
) -> int:
    """Serve `app` until SIGINT or SIGTERM, with `beside` running meanwhile; return the exit code.

    Raises:
        MuMathError: what `beside` raises, which ends the server.
    """
    from mumath_agent.front.listening import Listening, url_of

    server = Listening(app, lambda: show(f"{url_of(listener)}{path}"))

    async def run_beside() -> None:
        try:
            await beside()
        except BaseException:
            server.stop()
            raise

    running = asyncio.create_task(run_beside())
    try:
        await server.serve(sockets=[listener])
    finally:
        listener.close()
        running.cancel()
        await asyncio.wait({running})
    if not running.cancelled() and (error := running.exception()):
        raise error
    remark("ended")
    return ANSWERED
