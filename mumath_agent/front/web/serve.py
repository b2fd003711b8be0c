"""Serve the page until the user ends it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from mumath_agent.agent.solver import SolverOptions
from mumath_agent.front.listening import Listening, bound, url_of
from mumath_agent.front.security import Access
from mumath_agent.front.sessions import Sessions
from mumath_agent.front.web.app import web_app
from mumath_agent.front.web.choices import Choice, Solvers, choices_of
from mumath_agent.front.web.desk import Desk
from mumath_agent.front.web.history import History
from mumath_agent.solutions import Attempts


@asynccontextmanager
async def opened_desk(
    choices: tuple[Choice, ...], options: SolverOptions, how: Attempts, history: History
) -> AsyncIterator[Desk]:
    """Open a desk with its models and Python sessions."""
    async with (
        Sessions(options) as sessions,
        Solvers(choices) as solvers,
        Desk(solvers, sessions, history, how) as desk,
    ):
        yield desk


async def serve_page(
    options: SolverOptions,
    how: Attempts,
    access: Access,
    port: int,
    history: Path,
    on_address: Callable[[str], None],
) -> None:
    """Serve the page until SIGINT or SIGTERM; `on_address` is told where.

    Raises:
        InputError: the address or the history can't be had.
    """
    kept = History(history)
    try:
        listener = bound(access.host, port)
        app = web_app(lambda: opened_desk(choices_of(options), options, how, kept), access)
        try:
            on_address(url_of(listener))
            await Listening(app).serve(sockets=[listener])
        finally:
            listener.close()
    finally:
        kept.close()
