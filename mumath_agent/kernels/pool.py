"""Hand out kernels: a new one for each attempt, a few kept ready, and no more at once than memory allows.

A kernel that ran something is never handed out again: what a program leaves behind can't be cleaned up from inside.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from types import TracebackType
from typing import Self

import anyio
import psutil

from mumath_agent.errors import KernelError
from mumath_agent.kernels.forkserver import level_of, server_for
from mumath_agent.kernels.isolation import Sandbox
from mumath_agent.kernels.kernel import Kernel
from mumath_agent.kernels.process import ServerGoneError

MEMORY_CHECK_S = 0.5
"""How often a machine without enough free memory is looked at again."""


class KernelPool:
    """A pool of kernels of one sandbox, for one event loop. While there is no room for another, takers wait in line."""

    def __init__(
        self, sandbox: Sandbox | None = None, *, spares: int = 1, max_kernels: int | None = None
    ) -> None:
        """Describe the kernels; they start once the pool is entered.

        Args:
            sandbox: how they are confined, and what each may use.
            spares: how many are kept ready; one that was taken is replaced in the background.
            max_kernels: how many may live at once, spares included. Without it, memory decides: another one starts
                while as much memory is available as one kernel may take.
        """
        self.sandbox = sandbox or Sandbox()
        self._wanted = spares
        self._max = max_kernels
        self._spares: deque[asyncio.Task[Kernel]] = deque()
        self._living = self._takers = 0
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Start the spares in the background."""
        self._refill()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the spares, and wait until every discarded kernel is gone."""
        self._wanted = 0
        with anyio.CancelScope(shield=True):
            for spare in self._spares:
                spare.cancel()
            for spare in self._spares:
                with contextlib.suppress(asyncio.CancelledError, KernelError, OSError):
                    await self.discard(await spare)
            self._spares.clear()
            while self._closing:
                await asyncio.wait(self._closing)

    @property
    def isolation(self) -> str:
        """The level of isolation of its kernels; see `forkserver.level_of`."""
        return level_of(self.sandbox)

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[Kernel]:
        """Lend a new kernel, which ends with the block."""
        kernel = await self.take()
        try:
            yield kernel
        finally:
            with anyio.CancelScope(shield=True):
                await self.discard(kernel)

    async def take(self, seed: int | None = None, *, wait: bool = True) -> Kernel:
        """Return a new kernel; `discard` it in the end. With a seed, its random numbers begin there.

        Raises:
            KernelError: none can be started, or none as confined as the sandbox wants; or, with `wait=False`, there is
                no room for another one.
        """
        self._takers += 1
        try:
            return await self._taken(seed, wait)
        finally:
            self._takers -= 1
            self._refill()

    async def _taken(self, seed: int | None, wait: bool) -> Kernel:
        while self._spares and seed is None:
            spare = self._spares.popleft()
            try:
                kernel = await asyncio.shield(spare)
            except asyncio.CancelledError:
                if spare.cancelled():
                    continue  # it was, not we
                self._spares.appendleft(spare)  # for the next taker
                raise
            except KernelError:
                continue
            if kernel.alive:
                return kernel
            await self.discard(kernel)
        if not self.has_room() or any(not spare.done() for spare in self._spares):
            await self._give_up_spare()  # a spare that waits for room is ahead of us in the line
        if not wait:
            self._check_room()
        return await self._start(seed)

    async def discard(self, kernel: Kernel) -> None:
        """End a kernel and make room for another."""
        await kernel.close()
        self._living -= 1
        self._room.set()
        self._refill()

    def discard_soon(self, kernel: Kernel) -> None:
        """Kill a kernel now and clear up after it in the background."""
        kernel.kill()
        task = asyncio.create_task(self.discard(kernel))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def branch(self, origin: Kernel) -> Kernel:
        """Return a copy of one of this pool's kernels, with all its state; `discard` it in the end.

        Raises:
            KernelError: it can't be copied.
        """
        if not self.has_room():
            await self._give_up_spare()
        self._check_room()
        self._living += 1
        try:
            return await origin.fork()
        except BaseException:
            self._living -= 1
            raise

    async def _give_up_spare(self) -> None:
        """End one spare, to make room for a kernel that a spare can't stand in for."""
        if self._spares:
            spare = self._spares.pop()
            spare.cancel()
            with contextlib.suppress(asyncio.CancelledError, KernelError):
                await self.discard(await spare)

    def _check_room(self) -> None:
        if not self.has_room():
            raise KernelError(f"there is no room for another kernel; {self._living} are running")

    def _refill(self) -> None:
        if self._takers:
            return  # those who need a kernel now come first
        while len(self._spares) < self._wanted and self.has_room():
            self._spares.append(asyncio.create_task(self._start(None)))

    def has_room(self) -> bool:
        """Tell whether another kernel could start now."""
        if self._max is not None:
            return self._living < self._max
        needed = self.sandbox.memory_mb << 20
        return self._living == 0 or psutil.virtual_memory().available >= needed

    async def _start(self, seed: int | None) -> Kernel:
        async with self._turn:  # first come, first served
            while not self.has_room():
                self._room.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._room.wait(), MEMORY_CHECK_S)
            self._living += 1
        try:
            return await self._started(seed)
        except BaseException:
            self._living -= 1
            self._room.set()
            raise

    async def _started(self, seed: int | None) -> Kernel:
        drawn = seed if seed is not None else self.sandbox.seed
        sandbox = replace(self.sandbox, seed=random.getrandbits(32) if drawn is None else drawn)
        try:
            server = await server_for(self.sandbox)
            try:
                return await Kernel.started(server, sandbox)
            except ServerGoneError:
                await asyncio.to_thread(server.close)
                return await Kernel.started(await server_for(self.sandbox), sandbox)
        except OSError as error:
            raise KernelError(f"no kernel could be started: {error}") from error
