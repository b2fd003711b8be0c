"""Wait for events, with a limit that only a hang reaches."""

import asyncio
import time
from collections.abc import Callable

HANG_S = 120.0
"""More than anything takes that doesn't hang, on a busy machine too."""


def comes_true(condition: Callable[[], bool]) -> bool:
    """Wait until a condition holds; return False if it still doesn't after `HANG_S`."""
    until = time.monotonic() + HANG_S
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


async def eventually(condition: Callable[[], bool]) -> bool:
    """Wait as `comes_true` does, and let our own loop go on meanwhile."""
    until = time.monotonic() + HANG_S
    while not condition():
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.01)
    return True
