"""Retry requests that failed for a passing reason, and report the last failure."""

import logging
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from mumath_agent.errors import ModelUnreachable

Args = ParamSpec("Args")
T = TypeVar("T")

_LONGEST_PAUSE_S = 60.0
"""A server that asks for a longer pause is tried again after this one."""
_BUSY_S = 180.0
"""How long a server may keep saying that it is busy."""
_GROWING = wait_exponential(multiplier=0.25, max=8)
_TELL_AFTER_S = 3.0
_TELL_EVERY_S = 5.0
_log = logging.getLogger(__name__)
_told_at = -_TELL_EVERY_S


class TransientError(Exception):
    """A failure that may be over at the next try."""

    def __init__(self, message: str, remedy: str, retry_after_s: float = 0.0) -> None:
        """Take what failed, what the user can do about it, and the pause that the server asked for."""
        super().__init__(message)
        self.remedy = remedy
        self.retry_after_s = retry_after_s


class Overloaded(TransientError):
    """The server works, but has too many requests."""


async def with_retries(
    attempts: int, attempt: Callable[Args, Coroutine[Any, Any, T]], *args: Args.args, **kwargs: Args.kwargs
) -> T:
    """Return what `attempt` returns; try it up to `attempts` times while it raises `TransientError`.

    A busy server (`Overloaded`) is tried more often, for some minutes.

    Raises:
        ModelUnreachable: the last attempt failed, too.
    """

    def enough(state: RetryCallState) -> bool:
        if isinstance(_error(state), Overloaded):
            return (state.seconds_since_start or 0.0) > _BUSY_S
        return state.attempt_number >= attempts

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        stop=enough,
        wait=_pause,
        before_sleep=_tell_busy,
        reraise=True,
    )
    try:
        return await retrying(attempt, *args, **kwargs)
    except TransientError as error:
        number = retrying.statistics["attempt_number"]
        tries = "once" if number == 1 else f"{number} times"
        raise ModelUnreachable(f"{error}, tried {tries}; {error.remedy}") from error.__cause__


def tell_waiting(why: str) -> None:
    """Log that a server keeps us waiting (without a logger of one's own: on stderr), now and then."""
    global _told_at
    if (now := time.monotonic()) - _told_at >= _TELL_EVERY_S:
        _told_at = now
        _log.warning("%s; waiting", why)


def _tell_busy(state: RetryCallState) -> None:
    error, waited_s = _error(state), state.seconds_since_start or 0.0
    if isinstance(error, Overloaded) and waited_s + state.upcoming_sleep >= _TELL_AFTER_S:
        tell_waiting(f"{error}: the server is busy, {waited_s:.0f} s so far")


def _pause(state: RetryCallState) -> float:
    """Return the seconds until the next try: growing, at least what the server asked for, with a random part."""
    error = _error(state)
    asked = error.retry_after_s if isinstance(error, TransientError) else 0.0
    return max(min(asked, _LONGEST_PAUSE_S), _GROWING(state)) * random.uniform(1, 1.5)


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
