"""The one bridge from callers that have no lasting event loop into the asynchronous house.

Kernels and HTTP connections belong to an event loop, so every synchronous entry point (`solve`, `graph.invoke`,
a chat model's `invoke`) hands its coroutine to the same loop, which runs in one daemon thread of this process.
Asynchronous callers come here only for what outlives their own loop: `asyncio.run` makes a new one for each question
to an agent, and the kernel of its conversation lives on.
"""

import asyncio
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import Context
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

_CLEANUP_S = 5.0


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` to its end on the background loop and return its result.

    It runs in the caller's context variables, so LangGraph's run-time values stay visible. If the waiting caller is
    interrupted (Ctrl-C), the coroutine is cancelled and gets a few seconds to close its kernels.

    Raises:
        RuntimeError: called on the background loop itself, which would wait for itself for ever.
    """
    loop = _loop()
    if threading.get_ident() == _thread_id(loop):
        coroutine.close()
        raise RuntimeError("run_sync was called from the event loop it would have to wait for; await instead")
    ended = threading.Event()
    future = asyncio.run_coroutine_threadsafe(_marking(coroutine, ended), loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        ended.wait(_CLEANUP_S)
        raise


async def on_bridge(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await `coroutine` on the background loop, in the caller's context variables; cancelling it cancels that."""
    try:
        loop = await asyncio.to_thread(_loop)  # the first call starts a thread
    except BaseException:
        coroutine.close()
        raise
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))


@contextmanager
def opened(resource: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """`async with resource`, for synchronous callers: a kernel for `graph.invoke`, for instance."""
    value = run_sync(_enter(resource))
    try:
        yield value
    finally:
        run_sync(_leave(resource, *sys.exc_info()))


async def _enter(resource: AbstractAsyncContextManager[T]) -> T:
    return await resource.__aenter__()


async def _leave(resource: AbstractAsyncContextManager[Any], *error: Any) -> None:
    await resource.__aexit__(*error)


async def _marking(coroutine: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    try:
        return await coroutine
    finally:
        ended.set()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    # In a context of its own: what the loop makes for itself would else keep the first caller's values for ever.
    loop = Context().run(asyncio.new_event_loop)
    threading.Thread(target=loop.run_forever, name="mumath-bridge", daemon=True).start()
    return loop


def _thread_id(loop: asyncio.AbstractEventLoop) -> int | None:
    # No public accessor; a loop that is not running yet has none.
    return getattr(loop, "_thread_id", None)
