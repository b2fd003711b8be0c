"""Watch our own process while a kernel attacks it: its memory, and the turns of its event loop."""

import asyncio
import threading
import time

import psutil
import pytest

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
