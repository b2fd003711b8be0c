"""Run `mumath-agent api`: the agent as a model of the OpenAI API, until Ctrl-C."""

from typing import Annotated

import typer

from mumath_agent.agent.solver import SolverOptions
from mumath_agent.commands.console import remark, run, say
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

PORT = 8010


@takes_solver_options(attempts=True, without=("run_wall",))
def api(
    options: SolverOptions,
    how: Attempts,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any free one.")] = PORT,
    name: Annotated[str, typer.Option(help="The model that clients ask for.")] = "mumath-agent",
    answer_line: Annotated[
        str | None,
        typer.Option(
            help="How the answer is said, {} for itself, where not in \\boxed{}: a harness may want 'ANSWER: {}'."
        ),
    ] = None,
    api_key: ApiKeys = None,
    allow_host: AllowHosts = None,
    allow_origin: AllowOrigins = None,
    concurrency: Concurrency = 8,
    waiting: Waiting = 64,
    sessions: NumberOfSessions = 16,
    session_idle: SessionIdle = 900.0,
) -> None:
    """Serve the agent as a model of the OpenAI API, until Ctrl-C: for chat pages, `openai`, LangChain, lm-eval.

    A client's conversation keeps its Python session. Prints the address to stdout at once; the model is loaded
    meanwhile. /health says whether it is there, /metrics is for Prometheus.

    Examples:
        mumath-agent api
        mumath-agent api --local auto --concurrency 4 --allow-origin https://chat.example.org

    Exit codes: 0 ended by Ctrl-C or SIGTERM, 2 an option or the address can't be used, 3 there is no model.
    """
    require_extra("api", "api", "starlette", "uvicorn")
    from mumath_agent.front.api.answers import BOXED
    from mumath_agent.front.api.app import Api
    from mumath_agent.front.listening import bound
    from mumath_agent.front.places import Places
    from mumath_agent.front.security import Access
    from mumath_agent.front.service import Service
    from mumath_agent.front.sessions import SessionLimits

    access = Access(
        host=host, keys=tuple(api_key or ()), hosts=tuple(allow_host or ()), origins=tuple(allow_origin or ())
    )

    listener = bound(host, port)

    async def serve() -> int:
        service = Service(
            options,
            how,
            places=Places(concurrency, waiting, owners=max(1, len(access.keys))),
            sessions=SessionLimits(most=max(sessions, concurrency), idle_s=session_idle),
            on_notice=remark,
        )
        api = Api(service, name=name, answer_line=answer_line or BOXED, on_error=say)
        async with service.running():
            return await listen(listener, api.app(access), "/v1", service.solver)

    raise typer.Exit(run(serve))
