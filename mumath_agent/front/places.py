"""Let a few be served at a time and a few more wait; whoever comes then is told when to come again."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mumath_agent.errors import MuMathError

_LONGEST_RETRY_S = 60


class Busy(MuMathError):
    """There is no place for another; the same request may be taken in a moment."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        """Say what there is no more of, and when to try again."""
        super().__init__(f"{message}; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Places:
    """The places of a server, for one event loop. Those who wait are served in the order in which they came."""

    def __init__(self, at_once: int, waiting: int) -> None:
        """Serve `at_once` at a time, and let so many wait."""
        self.at_once, self.most_waiting = at_once, waiting
        self.taken = self.waiting = 0
        self._turns = asyncio.Semaphore(at_once)
        self._mean_s = 1.0

    def check(self) -> None:
        """Look whether one more may come.

        Raises:
            Busy: too many wait already.
        """
        if self.taken + self.waiting >= self.at_once + self.most_waiting:
            rounds = (self.waiting + 1) / self.at_once
            seconds = min(_LONGEST_RETRY_S, max(1, math.ceil(self._mean_s * rounds)))
            raise Busy(f"{self.taken} are answered and {self.waiting} wait already", seconds)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Hold a place for the block, after waiting for it.

        Raises:
            Busy: too many wait already.
        """
        self.check()
        self.waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self.waiting -= 1
        self.taken += 1
        started = time.monotonic()
        try:
            yield
        finally:
            self.taken -= 1
            self._turns.release()
            self._mean_s += (time.monotonic() - started - self._mean_s) / 8
