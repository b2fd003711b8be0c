"""Make the graph's nodes run under `invoke` and `stream` as well as under `ainvoke` and `astream`."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from langchain_core.runnables import RunnableLambda

from mumath_agent.bridge import run_sync

S = TypeVar("S")
H = TypeVar("H")


def sync_and_async(
    node: Callable[[S, H], Coroutine[Any, Any, dict[str, Any]]], handles: Callable[[], H]
) -> RunnableLambda[S, dict[str, Any]]:
    """Return a runnable of `node`, which is given the state and what `handles` returns."""

    async def awaited(state: S) -> dict[str, Any]:
        return await node(state, handles())

    def bridged(state: S) -> dict[str, Any]:
        return run_sync(awaited(state))

    return RunnableLambda(bridged, afunc=awaited, name=node.__name__)
