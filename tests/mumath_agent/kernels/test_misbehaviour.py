"""Programs that go wrong in every way known: each ends in time, and the session answers the next one.

Also those that attack the connection to us: a program may send anything on it, so nothing on it may cost us more than
that program's session.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import psutil
import pytest
from misbehaving import CASES, FORGERIES, OK, Case

from mumath_agent.kernels import JupyterExecutor
from mumath_agent.records import ExecutionStatus

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

TIMEOUT_S = 1.0
OUR_MEMORY_BYTES = 400 << 20
"""What our own process may take on top to read whatever a program sends."""


@pytest.fixture
async def session() -> AsyncIterator[JupyterExecutor]:
    async with JupyterExecutor() as executor:
        await executor.run("kept = 1", timeout_s=60)
        yield executor


@pytest.mark.timeout(30)
@pytest.mark.parametrize("case", CASES + FORGERIES, ids=lambda case: case.name)
async def test_a_misbehaving_program_ends_in_time_and_the_session_goes_on(
    session: JupyterExecutor, case: Case
) -> None:
    began = time.monotonic()
    descriptors = psutil.Process().num_fds()
    with Watch() as watch:
        execution = await session.run(case.code, timeout_s=TIMEOUT_S)
    took = time.monotonic() - began
    following = await session.run("print(6*7)", timeout_s=20)
    if case.strikes_later and following.status is ExecutionStatus.DIED:
        following = await session.run("print(6*7)", timeout_s=20)
    assert following.status is OK, following.error
    assert following.stdout == "42\n"
    assert execution.status in case.statuses, execution.error
    assert (execution.state_lost or following.state_lost) in case.lost
    assert took < case.within_s
    assert psutil.Process().num_fds() <= descriptors + 6
    assert watch.grown_bytes < OUR_MEMORY_BYTES
    assert len(execution.stdout) + len(execution.stderr) + len(execution.result or "") < 3 * 300_000


class Watch:
    """Sees how much memory our own process takes on top of what it had."""

    def __enter__(self) -> "Watch":
        self._process = psutil.Process()
        self._before = self._most = self._process.memory_info().rss
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self._most = max(self._most, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def grown_bytes(self) -> int:
        return self._most - self._before


@pytest.mark.timeout(30)
async def test_our_own_loop_goes_on_while_a_program_floods_us(session: JupyterExecutor) -> None:
    longest, before = 0.0, time.monotonic()

    async def tick() -> None:
        nonlocal longest, before
        while True:
            await asyncio.sleep(0.01)
            longest, before = max(longest, time.monotonic() - before), time.monotonic()

    ticking = asyncio.create_task(tick())
    for name in (
        "prints_for_ever",
        "displays_much",
        "endless_junk_messages_on_iopub",
        "endless_commands_on_shell",
    ):
        case = next(case for case in CASES + FORGERIES if case.name == name)
        await session.run(case.code, timeout_s=TIMEOUT_S)
    ticking.cancel()
    assert longest < 1.5


async def test_a_program_that_hangs_at_exit_does_not_hold_us_up() -> None:
    async with JupyterExecutor() as executor:
        await executor.run("import atexit, time\natexit.register(time.sleep, 1000)", timeout_s=20)
        leaving = time.monotonic()
    assert time.monotonic() - leaving < 2
