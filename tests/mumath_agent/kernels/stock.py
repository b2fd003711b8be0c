"""Ordinary Jupyter kernels, as any notebook has them: what attacks must succeed on to count."""

import asyncio
import contextlib
import queue
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from backends import TIMEOUT_S, Run, Said
from jupyter_client.manager import AsyncKernelManager


class StockBackend:
    """Hands out ordinary kernels; a kernel that a session left usable is handed out again."""

    resets = True

    def __init__(self, directory: Path, runtime: Path) -> None:
        self._directory = directory
        self._runtime = runtime
        self._numbers = count(1)
        self._idle: list[StockKernel] = []

    @asynccontextmanager
    async def session(self, *, fresh: bool) -> AsyncIterator[Run]:
        kernel = self._idle.pop() if self._idle and not fresh else await self._started()
        try:
            yield kernel.run
        finally:
            if fresh or kernel.is_broken:
                await kernel.close()
            else:
                self._idle.append(kernel)

    async def _started(self) -> "StockKernel":
        name = f"kernel-{next(self._numbers)}"
        work = self._directory / name
        work.mkdir()
        kernel = StockKernel(self._runtime / name)
        await kernel.start(work)
        return kernel

    async def close(self) -> None:
        for kernel in self._idle:
            await kernel.close()


class StockKernel:
    """One kernel and a client of it."""

    def __init__(self, path: Path) -> None:
        self.is_broken = False
        self._manager = AsyncKernelManager(transport="ipc", ip=str(path), connection_file=f"{path}.json")

    async def start(self, work: Path) -> None:
        await self._manager.start_kernel(cwd=str(work), stdout=DEVNULL, stderr=DEVNULL)
        self._client = self._manager.client()
        self._client.start_channels(stdin=False, hb=False, control=False)
        await self._client.wait_for_ready(timeout=60)

    async def run(self, code: str) -> Said:
        request = self._client.execute(code, allow_stdin=False)
        stdout: list[str] = []
        trouble, replied = "", False
        until = time.monotonic() + TIMEOUT_S
        while time.monotonic() < until:
            message = await self._next_message()
            if message is None:
                if not await self._manager.is_alive():
                    trouble = "the kernel died"
                    break
                if replied:
                    break  # messages got lost
                replied = await self._has_replied(request)
            elif message["parent_header"].get("msg_id") == request:
                content = message["content"]
                if message["msg_type"] == "stream" and content["name"] == "stdout":
                    stdout.append(str(content["text"]))
                elif message["msg_type"] == "error":
                    trouble = f"{content['ename']}: {content['evalue']}"
                elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                    return Said("".join(stdout), trouble)
        else:
            trouble = "timeout"
        self.is_broken = True
        return Said("".join(stdout), trouble)

    async def _next_message(self) -> dict[str, Any] | None:
        with contextlib.suppress(queue.Empty, ValueError, TypeError):
            message: dict[str, Any] = await self._client.get_iopub_msg(timeout=0.2)
            return message
        return None

    async def _has_replied(self, request: str) -> bool:
        while await self._client.shell_channel.msg_ready():
            if (await self._client.get_shell_msg(timeout=0.2))["parent_header"].get("msg_id") == request:
                return True
        return False

    async def close(self) -> None:
        self._client.stop_channels()
        await asyncio.wait_for(self._manager.shutdown_kernel(now=True), 10)
