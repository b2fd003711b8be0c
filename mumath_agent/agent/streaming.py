"""Yield what happens while a problem is solved, for callers with and without an event loop.

    async for event in astream("What is 17 times 23?", attempts=4): …

Each is a `SolvingEvent`, and the last one is the `Solution`.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from mumath_agent.agent.settings import SolverSettings, attempts_of, opened_solver
from mumath_agent.bridge import run_sync
from mumath_agent.problems import check_question
from mumath_agent.records import Problem
from mumath_agent.solutions import Attempts, Solution

if TYPE_CHECKING:
    from mumath_agent.agent.attempts import SolvingEvent

T = TypeVar("T")


def stream(
    question: str, *, attempts: int | Attempts = 1, **settings: Unpack[SolverSettings]
) -> "Generator[SolvingEvent | Solution, None, None]":
    """Solve a question and yield what happens; see `astream`."""
    return each_of(astream(question, attempts=attempts, **settings))


async def astream(
    question: str, *, attempts: int | Attempts = 1, **settings: Unpack[SolverSettings]
) -> "AsyncGenerator[SolvingEvent | Solution, None]":
    """Solve a question and yield what happens as it happens, and the solution last.

    Whoever stops reading cancels the attempts.

    Args:
        question: the whole problem, in words and LaTeX.
        attempts: how many, or an `Attempts`.
        settings: see `SolverSettings`.

    Raises:
        InputError: the question or a setting can't be used; the message names it.
        ModelUnreachable, ModelError: the model can't be had.
    """
    check_question(question)
    how = attempts_of(attempts)

    async def solve(put: "Callable[[SolvingEvent | Solution], None]") -> None:
        from mumath_agent.agent.attempts import solve_problem

        async with opened_solver(settings) as solver:
            put(await solve_problem(Problem(id="question", question=question), solver, how, on_event=put))

    async for item in put_by(solve):
        yield item


async def put_by(work: Callable[[Callable[[T], None]], Awaitable[None]]) -> AsyncGenerator[T, None]:
    """Yield what `work` puts while it runs; closing the generator cancels it."""
    ended = object()
    items: asyncio.Queue[Any] = asyncio.Queue()

    async def run() -> None:
        try:
            await work(items.put_nowait)
        finally:
            items.put_nowait(ended)

    running = asyncio.ensure_future(run())
    try:
        while (item := await items.get()) is not ended:
            yield item
        await running
    finally:
        running.cancel()
        await asyncio.wait({running})


def each_of(items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """Yield what an asynchronous generator yields, on the background loop."""
    try:
        while (item := run_sync(_next(items))) is not None:
            yield item
    finally:
        run_sync(_close(items))


async def _next(items: AsyncGenerator[T, None]) -> T | None:
    return await anext(items, None)


async def _close(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()


__all__ = ["astream", "each_of", "put_by", "stream"]
