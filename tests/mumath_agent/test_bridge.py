"""Synchronous callers reach asynchronous code through one loop, and leave nothing running."""

import asyncio
import os
import signal
import threading
from contextvars import ContextVar

import pytest

from mumath_agent import bridge
from mumath_agent.bridge import run_sync
from tests.waiting import comes_true

variable: ContextVar[str] = ContextVar("variable")


async def loop_id() -> int:
    return id(asyncio.get_running_loop())


async def nested() -> int:
    return run_sync(loop_id())


def test_every_call_runs_on_the_same_loop() -> None:
    assert run_sync(loop_id()) == run_sync(loop_id())


def test_the_callers_context_variables_are_seen() -> None:
    async def read() -> str:
        return variable.get()

    variable.set("seen")
    assert run_sync(read()) == "seen"


def test_an_exception_reaches_the_caller() -> None:
    async def fail() -> None:
        raise ValueError("from inside")

    with pytest.raises(ValueError, match="from inside"):
        run_sync(fail())


def test_a_call_from_the_bridges_own_loop_is_refused_instead_of_hanging() -> None:
    with pytest.raises(RuntimeError, match="await instead"):
        run_sync(nested())


def test_an_interrupted_caller_cancels_the_work_and_waits_for_its_cleaning_up() -> None:
    cleaned = threading.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(0.1)  # until the caller waits
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.1)
            cleaned.set()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            run_sync(work())
    finally:
        signal.signal(signal.SIGINT, before)
    assert cleaned.is_set()


def test_all_first_callers_get_the_same_loop() -> None:
    background, together = bridge._Background(), threading.Barrier(16)
    loops = list[asyncio.AbstractEventLoop]()

    def first() -> None:
        together.wait()
        loops.append(background.loop())

    threads = [threading.Thread(target=first) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loops) == 16 and len(set(loops)) == 1
    loops[0].call_soon_threadsafe(loops[0].stop)
    assert comes_true(lambda: not loops[0].is_running())
    loops[0].close()
