"""Trying again: which troubles pass, how long to wait, and what is said in the end."""

import random
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from mumath_agent.errors import ModelUnreachable

Args = ParamSpec("Args")
T = TypeVar("T")

_LONGEST_PAUSE_S = 60.0
"""A server that asks for a longer one is tried again all the same."""
_BUSY_S = 180.0
"""How long a server may say that it is busy."""
_GROWING = wait_exponential(multiplier=0.25, max=8)


class TransientError(Exception):
    """A trouble that may be over at the next try."""

    def __init__(self, what: str, next_move: str, retry_after_s: float = 0.0) -> None:
        super().__init__(what)
        self.next_move = next_move
        self.retry_after_s = retry_after_s


class Overloaded(TransientError):
    """A server that is well, and has too much to do."""


async def with_retries(
    attempts: int, attempt: Callable[Args, Coroutine[Any, Any, T]], *args: Args.args, **kwargs: Args.kwargs
) -> T:
    """What the coroutine function `attempt` returns, tried `attempts` times as long as it raises `TransientError`.

    A busy server is asked more often, for some minutes.

    Raises:
        ModelUnreachable: the last attempt failed too.
    """

    def enough(state: RetryCallState) -> bool:
        if isinstance(_trouble(state), Overloaded):
            return (state.seconds_since_start or 0.0) > _BUSY_S
        return state.attempt_number >= attempts

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(TransientError), stop=enough, wait=_pause, reraise=True
    )
    try:
        return await retrying(attempt, *args, **kwargs)
    except TransientError as trouble:
        number = retrying.statistics["attempt_number"]
        tries = "once" if number == 1 else f"{number} times"
        raise ModelUnreachable(f"{trouble}, tried {tries}; {trouble.next_move}") from trouble.__cause__


def _pause(state: RetryCallState) -> float:
    """Seconds to wait before the next try: growing, at least what the server asked for, and not the same for all."""
    trouble = _trouble(state)
    asked = trouble.retry_after_s if isinstance(trouble, TransientError) else 0.0
    return max(min(asked, _LONGEST_PAUSE_S), _GROWING(state)) * random.uniform(1, 1.5)


def _trouble(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
