"""Run stock kernels, as jupyter_client starts and asks them: what ours are compared with.

Each is asked as a user of jupyter_client would: send the cell, wait for its reply, read iopub until it says idle. All
share one new IPython directory, which a first kernel fills, so that no user's profile or history plays a part.
"""

import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_async_kernel, start_new_kernel

TIMEOUT_S = 60.0
IMPORTS = "import sympy, numpy"
"""The modules that every kernel of ours has ready."""


@contextmanager
def kernel(home: Path) -> Iterator[BlockingKernelClient]:
    """Start a kernel; yield a client that is connected to it."""
    manager, client = start_new_kernel(**_options(home))
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@asynccontextmanager
async def async_kernel(home: Path) -> AsyncIterator[AsyncKernelClient]:
    """Start a kernel; yield a client for an event loop."""
    manager, client = await start_new_async_kernel(**_options(home))
    try:
        yield client
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


def _options(home: Path) -> dict[str, Any]:
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return quiet | {"env": os.environ | {"IPYTHONDIR": str(home)}, "startup_timeout": TIMEOUT_S}


def run(client: BlockingKernelClient, code: str) -> str:
    """Run a cell; return what it printed."""
    request = client.execute(code, allow_stdin=False)
    while client.get_shell_msg(timeout=TIMEOUT_S)["parent_header"].get("msg_id") != request:
        pass
    printed = _Printed(request)
    while not printed.add(client.get_iopub_msg(timeout=TIMEOUT_S)):
        pass
    return printed.text


async def run_async(client: AsyncKernelClient, code: str) -> str:
    """Run a cell; return what it printed."""
    request = client.execute(code, allow_stdin=False)
    while (await client.get_shell_msg(timeout=TIMEOUT_S))["parent_header"].get("msg_id") != request:
        pass
    printed = _Printed(request)
    while not printed.add(await client.get_iopub_msg(timeout=TIMEOUT_S)):
        pass
    return printed.text


class _Printed:
    """Gathers what a cell prints, from iopub."""

    def __init__(self, request: str) -> None:
        self._request = request
        self.text = ""

    def add(self, message: dict[str, Any]) -> bool:
        """Take in a message; return whether it was the cell's last."""
        if message["parent_header"].get("msg_id") != self._request:
            return False
        content = message["content"]
        if message["msg_type"] == "stream":
            self.text += content["text"]
        return bool(message["msg_type"] == "status" and content["execution_state"] == "idle")


def spawn_s(home: Path) -> float:
    """Return the seconds until a new kernel has what ours begin with."""
    started = time.perf_counter()
    with kernel(home) as client:
        run(client, IMPORTS)
        return time.perf_counter() - started


async def fresh_run(home: Path, code: str) -> None:
    """Run a cell in a kernel of its own."""
    async with async_kernel(home) as client:
        await run_async(client, code)
