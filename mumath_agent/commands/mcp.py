"""Run `mumath-agent mcp`: the agent as tools of the Model Context Protocol, over stdio or HTTP, until it is ended."""

import os
from typing import Annotated

import anyio
import typer

from mumath_agent.agent.solver import SolverOptions
from mumath_agent.commands.console import ANSWERED, remark, run, say
from mumath_agent.commands.front import (
    AllowHosts,
    AllowOrigins,
    ApiKeys,
    Concurrency,
    Host,
    NumberOfSessions,
    SessionIdle,
    Waiting,
    listen,
    require_extra,
)
from mumath_agent.commands.options import takes_solver_options
from mumath_agent.solutions import Attempts

PORT = 8011


@takes_solver_options(attempts=True, without=("run_wall",), cell_timeout=30.0)
def mcp(
    options: SolverOptions,
    how: Attempts,
    http: Annotated[
        bool, typer.Option("--http", help="Listen for streamable HTTP, in the place of stdio.")
    ] = False,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --http; 0 is any free one.")] = PORT,
    api_key: ApiKeys = None,
    allow_host: AllowHosts = None,
    allow_origin: AllowOrigins = None,
    approve: Annotated[bool, typer.Option(help="Have the client ask a person before each program.")] = False,
    concurrency: Concurrency = 8,
    waiting: Waiting = 64,
    sessions: NumberOfSessions = 16,
    session_idle: SessionIdle = 900.0,
) -> None:
    """Offer solve(question) and python(code, session) to clients of the Model Context Protocol.

    A client such as Claude Desktop or an editor starts it itself, and speaks to it over stdin and stdout. The model is
    loaded with the first question.

    Examples:
        mumath-agent mcp --local auto
        mumath-agent mcp --http --port 8011

    Exit codes: 0 ended by its client, Ctrl-C or SIGTERM, 2 an option or the address can't be used.
    """
    require_extra("mcp", "mcp", "mcp", "starlette", "uvicorn")
    from mumath_agent.front.listening import bound, until_signal
    from mumath_agent.front.mcp.server import PATH, Tools
    from mumath_agent.front.places import Places
    from mumath_agent.front.security import Access
    from mumath_agent.front.service import Service
    from mumath_agent.front.sessions import SessionLimits

    access = Access(
        host=host, keys=tuple(api_key or ()), hosts=tuple(allow_host or ()), origins=tuple(allow_origin or ())
    )

    listener = bound(host, port) if http else None

    async def serve() -> int:
        service = Service(
            options,
            how,
            places=Places(concurrency, waiting, owners=max(1, len(access.keys))),
            sessions=SessionLimits(most=max(sessions, concurrency), idle_s=session_idle),
            on_notice=remark,
        )
        tools = Tools(service, approve=approve, on_error=say, caution=caution_of(options))
        async with service.running(), tools.running():
            if listener is not None:
                return await listen(listener, tools.http_app(access), PATH, anyio.sleep_forever)
            stopped = await until_signal(tools.server().run_stdio_async())
        if stopped:  # the thread that reads stdin can't be woken
            os._exit(ANSWERED)
        return ANSWERED

    raise typer.Exit(run(serve))


def caution_of(options: SolverOptions) -> str:
    """Return what is known beforehand of the model that these options select."""
    from mumath_agent.models.embedded import CAUTION

    return "" if options.base_urls or options.local or options.model or options.weights else CAUTION
