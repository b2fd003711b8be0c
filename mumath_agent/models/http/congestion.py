"""How many requests a server gets at once: all that are wanted, until it says that they are too many.

As TCP does: "busy" halves what may be under way, once for all that were sent before it; a round of good answers allows
one more. Whoever waits is served in turn. When the same request is tried again is `retries.py`'s.
"""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from mumath_agent.models.http.retries import Overloaded


class Pressure:
    """See the module; belongs to one event loop."""

    def __init__(self) -> None:
        self._places = anyio.CapacityLimiter(math.inf)
        self._good_answers = 0
        """Since the limit was changed."""
        self._narrowed_at = -math.inf

    @property
    def limit(self) -> float:
        """How many requests may be under way."""
        return self._places.total_tokens

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place among the requests under way; the block is one request.

        Raises:
            Overloaded: the server refused it.
        """
        async with self._places:
            began_at = time.monotonic()
            try:
                yield
            except Overloaded:
                if began_at >= self._narrowed_at:
                    self._narrow()
                raise
            self._widen()

    def _narrow(self) -> None:
        self._places.total_tokens = max(1, self._places.borrowed_tokens // 2)
        self._narrowed_at, self._good_answers = time.monotonic(), 0

    def _widen(self) -> None:
        self._good_answers += 1
        if self._good_answers >= self.limit:  # never, as long as there is no limit
            self._places.total_tokens += 1
            self._good_answers = 0
