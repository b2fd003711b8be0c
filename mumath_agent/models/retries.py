"""Trying again: which troubles pass, how long to wait, and what is said in the end."""

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from mumath_agent.errors import ModelUnreachable

Args = ParamSpec("Args")
T = TypeVar("T")

_LONGEST_PAUSE_S = 60.0
"""A server that asks for a longer one is tried again all the same."""
_GROWING = wait_exponential(multiplier=0.25, max=8) + wait_random(0, 0.25)


class Passing(Exception):
    """A trouble that may be over at the next try."""

    def __init__(self, what: str, next_move: str, retry_after_s: float = 0.0) -> None:
        super().__init__(what)
        self.next_move = next_move
        self.retry_after_s = retry_after_s


async def with_retries(
    attempts: int, attempt: Callable[Args, Coroutine[Any, Any, T]], *args: Args.args, **kwargs: Args.kwargs
) -> T:
    """What the coroutine function `attempt` returns, tried `attempts` times as long as it raises `Passing`.

    Raises:
        ModelUnreachable: the last attempt failed too.
    """
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(Passing),
        stop=stop_after_attempt(attempts),
        wait=_pause,
        reraise=True,
    )
    try:
        return await retrying(attempt, *args, **kwargs)
    except Passing as trouble:
        tries = "once" if attempts == 1 else f"{attempts} times"
        raise ModelUnreachable(f"{trouble}, tried {tries}; {trouble.next_move}") from trouble.__cause__


def _pause(state: RetryCallState) -> float:
    """Seconds to wait before the next try: growing, and at least what the server asked for."""
    trouble = state.outcome.exception() if state.outcome else None
    asked = trouble.retry_after_s if isinstance(trouble, Passing) else 0.0
    return max(min(asked, _LONGEST_PAUSE_S), _GROWING(state))
