"""Run coroutines for callers that have no lasting event loop.

Kernels and HTTP connections belong to an event loop, so every synchronous entry point (`solve`, `graph.invoke`,
`tool.invoke`) passes its coroutine to the same loop, which runs in a daemon thread of this process. Asynchronous
callers need it only for what outlives their own loop: `asyncio.run` makes a new loop for each question to an agent,
while the kernel of its conversation lives on.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")

_CLEANUP_S = 5.0


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` to its end on the background loop and return its result.

    It sees the caller's context variables, which LangGraph needs. If the caller is interrupted while it waits (Ctrl-C),
    the coroutine is cancelled and gets a few seconds to close its kernels.

    Raises:
        RuntimeError: called on the background loop itself, which would wait for itself forever.
    """
    loop = _background.loop()
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


def run_soon(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run `coroutine` on the background loop and don't wait for it: for finalizers, which may be called anywhere."""
    asyncio.run_coroutine_threadsafe(coroutine, _background.loop())


async def on_bridge(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await `coroutine` on the background loop, with the caller's context variables; cancelling this cancels it."""
    try:
        loop = await asyncio.to_thread(_background.loop)  # the first call starts a thread
    except BaseException:
        coroutine.close()
        raise
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))


@contextmanager
def opened(resource: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Enter `async with resource` for a synchronous caller: a kernel for `graph.invoke`, for instance."""
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


class _Background:
    """The one loop and its thread, which start with the first caller, whichever thread that is."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin with none, as a child does that has none of its parent's threads."""
        self._starting = threading.RLock()  # a finalizer may come while it is held
        self._loop: asyncio.AbstractEventLoop | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                # In its own context: otherwise what the loop creates would keep the first caller's values forever.
                self._loop = Context().run(asyncio.new_event_loop)
                threading.Thread(target=self._loop.run_forever, name="mumath-bridge", daemon=True).start()
            return self._loop


_background = _Background()
os.register_at_fork(after_in_child=_background.forget)


def _thread_id(loop: asyncio.AbstractEventLoop) -> int | None:
    # There is no public accessor; a loop that isn't running yet has no id.
    return getattr(loop, "_thread_id", None)
