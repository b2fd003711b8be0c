"""Let a few be served at a time and a few more wait; whoever comes then is told when to come again."""

import asyncio
import math
import time
from collections import Counter
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

    def __init__(self, at_once: int, waiting: int, *, owners: int = 1) -> None:
        """Serve `at_once` at a time, and let so many wait; each of several owners has a share of both together."""
        self.at_once, self.most_waiting = at_once, waiting
        self._share = math.ceil((at_once + waiting) / owners)
        self._held: Counter[str] = Counter()
        self.taken = self.waiting = 0
        self._turns = asyncio.Semaphore(at_once)
        self._mean_s = 1.0

    def check(self, owner: str = "") -> None:
        """Look whether the owner may have one more.

        Raises:
            Busy: too many wait already, of all or of this owner's.
        """
        is_full = self.taken + self.waiting >= self.at_once + self.most_waiting
        if is_full or self._held[owner] >= self._share:
            rounds = (self.waiting + 1) / self.at_once
            seconds = min(_LONGEST_RETRY_S, max(1, math.ceil(self._mean_s * rounds)))
            whose = "" if is_full else "of yours "
            number = self.taken + self.waiting if is_full else self._held[owner]
            raise Busy(f"{number} questions {whose}are answered or wait already", seconds)

    @asynccontextmanager
    async def one(self, owner: str = "") -> AsyncIterator[None]:
        """Hold a place for the block, after waiting for it.

        Raises:
            Busy: too many wait already, of all or of this owner's.
        """
        self.check(owner)
        self._held[owner] += 1
        try:
            async with self._turn():
                yield
        finally:
            self._held[owner] -= 1

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
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
