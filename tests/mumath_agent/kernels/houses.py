"""Where attacks take place: a house opens sessions, and a session runs cells."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple, Protocol

from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.records import ExecutionStatus

TIMEOUT_S = 20.0


class Said(NamedTuple):
    """What came of a cell."""

    stdout: str
    trouble: str
    """Why it did not end well; empty if it did."""


Run = Callable[[str], Awaitable[Said]]
"""Runs a cell in a session."""


class House(Protocol):
    resets: bool
    """Whether the next problem gets the same kernel after `%reset`, instead of a new one."""

    def session(self, *, fresh: bool) -> AbstractAsyncContextManager[Run]:
        """A session nobody else uses meanwhile; with `fresh` nobody did before, nor will after."""
        ...

    async def close(self) -> None: ...


class OurHouse:
    """The kernels this suite is about, with some of their layers."""

    resets = False

    def __init__(self, layers: frozenset[str]) -> None:
        self._sandbox = Sandbox(layers=layers, unsafe_local=True)

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
