"""Watch our own process while a kernel attacks it, its memory and the turns of its loop, and a session beside it."""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psutil
import pytest

from mumath_agent.kernels import JupyterExecutor
from mumath_agent.records import ExecutionStatus
from tests.waiting import HANG_S

OUR_MEMORY_BYTES = 50 << 20
"""What our own process may take on top to read whatever a program sends."""
OUR_LOOP_S = 1.0
"""CPU time of our loop's thread in which it comes back to its other work, whatever a program sends: five times what is
promised, because on a machine that others use, too, the same work takes more of it."""


class Watch:
    """Sees how much memory our own process takes on top of what it had, and how long our loop stands still."""

    def __enter__(self) -> "Watch":
        self.longest_s = 0.0
        """CPU time of the longest turn of our loop."""
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            before = time.thread_time()
            run(handle)
            self.longest_s = max(self.longest_s, time.thread_time() - before)

        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(asyncio.Handle, "_run", timed)
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
        self._patch.undo()
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """Check that whatever came cost us little."""
        assert self.longest_s < OUR_LOOP_S
        assert self._most - self._before < OUR_MEMORY_BYTES


@asynccontextmanager
async def going_on(session: JupyterExecutor) -> AsyncIterator[None]:
    """Have `session` run a cell each 50 ms meanwhile; each must be answered, in its turn and with all state."""
    over = asyncio.Event()

    async def go_on() -> None:
        await session.run("cells = 0", timeout_s=HANG_S)
        for number in itertools.count(1):
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 0.05)
                return
            await next_cell(session, number)

    cells = asyncio.create_task(go_on())
    try:
        yield
    finally:
        over.set()
        await cells


async def next_cell(session: JupyterExecutor, number: int) -> None:
    """Have `session` count its cells to `number`."""
    execution = await session.run("cells += 1\ncells", timeout_s=HANG_S)
    told = execution.status, execution.result, execution.stdout, execution.state_lost
    assert told == (ExecutionStatus.OK, str(number), "", False), execution
