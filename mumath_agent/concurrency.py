"""Bounded concurrency: many items, a few workers; a coroutine that isn't left half-way, and a thread that may be.

items ─▶ a free worker takes the next one ─▶ the first error cancels the others and is raised
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

import anyio

T = TypeVar("T")
R = TypeVar("R")


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[object]], *, concurrency: int) -> None:
    """Await `work` on every item, at most `concurrency` at a time.

    Items are drawn when a worker is free, so they may come from a generator, or be added to while others are worked on.

    Raises:
        Exception: the first that `work` raised; the other workers are cancelled and waited for.
    """
    source = iter(items)

    async def worker() -> None:
        for item in source:
            await work(item)

    try:
        async with anyio.create_task_group() as workers:
            for _ in range(concurrency):
                workers.start_soon(worker)
    except BaseExceptionGroup as group:
        raise _first(group) from None


async def map_each(items: Iterable[T], work: Callable[[T], Awaitable[R]], *, concurrency: int) -> list[R]:
    """Return the result of `work` for every item, in the order of the items; see `for_each`."""
    results: dict[int, R] = {}

    async def keep(numbered: tuple[int, T]) -> None:
        number, item = numbered
        results[number] = await work(item)

    await for_each(enumerate(items), keep, concurrency=concurrency)
    return [results[number] for number in range(len(results))]


async def uninterrupted(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine; if that is cancelled, cancel the coroutine and wait until it has really ended."""
    task = asyncio.ensure_future(coroutine)
    try:
        return await asyncio.shield(task)
    finally:
        if not task.done():
            task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # retrieved, so that asyncio doesn't complain; the cancellation goes first


async def in_thread(work: Callable[[], T]) -> T:
    """Return what `work` returns in a thread of its own; neither a cancelled caller nor the program's end waits."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(done)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what ended the workers: the first error; the others were cancelled for it."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
