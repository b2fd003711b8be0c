"""Limit how many requests a server gets at once: no limit until it says that there are too many.

The limit adapts as TCP's congestion window does: "busy" halves the requests in flight, once for all that were sent
before; each round of good answers allows one more. Waiting requests are served in order. `retries.py` decides when a
refused request is tried again.
"""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from mumath_agent.models.http.retries import Overloaded


class CongestionLimit:
    """An adaptive limit on a server's requests in flight; belongs to one event loop."""

    def __init__(self) -> None:
        """Start without a limit."""
        self._slots = anyio.CapacityLimiter(math.inf)
        self._good_answers = 0
        """Counted since the limit last changed."""
        self._narrowed_at = -math.inf

    @property
    def limit(self) -> float:
        """How many requests may be in flight."""
        return self._slots.total_tokens

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it during the block, which is one request.

        Raises:
            Overloaded: the block raised it; the limit is lowered.
        """
        async with self._slots:
            began_at = time.monotonic()
            try:
                yield
            except Overloaded:
                if began_at >= self._narrowed_at:
                    self._narrow()
                raise
            self._widen()

    def _narrow(self) -> None:
        self._slots.total_tokens = max(1, self._slots.borrowed_tokens // 2)
        self._narrowed_at, self._good_answers = time.monotonic(), 0

    def _widen(self) -> None:
        self._good_answers += 1
        if self._good_answers >= self.limit:  # never, as long as there is no limit
            self._slots.total_tokens += 1
            self._good_answers = 0
