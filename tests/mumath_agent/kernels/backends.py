"""Backends that attacks run on: a backend opens sessions, and a session runs cells."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple, Protocol

from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.records import ExecutionStatus

TIMEOUT_S = 60.0
"""Of a cell; only one that hangs takes as long."""


class Said(NamedTuple):
    """The outcome of a cell."""

    stdout: str
    trouble: str
    """Why the cell failed; empty if it succeeded."""


Run = Callable[[str], Awaitable[Said]]
"""A function that runs a cell in a session."""


class Backend(Protocol):
    resets: bool
    """True if the next problem gets the same kernel after `%reset`, instead of a new one."""

    def session(self, *, fresh: bool) -> AbstractAsyncContextManager[Run]:
        """Open a session of its own; with `fresh`, on a kernel that no other session uses before or after."""
        ...

    async def close(self) -> None: ...


class ConfinedBackend:
    """The kernels under test, with some of their layers."""

    resets = False

    def __init__(self, layers: frozenset[str]) -> None:
        # The server starts faster without preloaded modules, and few attacks import any.
        self._sandbox = Sandbox(layers=layers, unsafe_local=True, preload=())

    @asynccontextmanager
    async def session(self, *, fresh: bool) -> AsyncIterator[Run]:
        async with JupyterExecutor(sandbox=self._sandbox) as executor:

            async def run(code: str) -> Said:
                execution = await executor.run(code, timeout_s=TIMEOUT_S)
                ended_well = execution.status is ExecutionStatus.OK
                return Said(execution.stdout, "" if ended_well else f"{execution.status}: {execution.error}")

            yield run

    async def close(self) -> None:
        return None
