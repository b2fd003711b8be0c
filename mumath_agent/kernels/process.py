"""One kernel process: its start, its sockets, its private directory, and its end.

A `Kernel` does as it is told by the executor above it: run a cell (`send`), say what became of it (`read`), be
interrupted, be killed, be gone (`close`). How a process comes to be is the business of jupyter_client's kernel
provisioners, so another way to start one is named in `_StartupSpec` and nowhere else.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import site
import sys
import tempfile
import time
from enum import Enum, auto
from pathlib import Path
from typing import Self

import psutil
import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from mumath_agent.errors import KernelError
from mumath_agent.kernels.messages import Cell, Message

STARTUP = Path(__file__).with_name("startup.py")
START_TIMEOUT_S = 60.0
"""Generous: thirty kernels starting at once on two cores are slow, not broken."""
SETTLE_S = 1.0
"""How long reply and idle may be apart. iopub may lose messages; a session that lost its idle can't be trusted."""
TICK_S = 0.05
"""How soon a dead process is noticed."""
MAX_MESSAGE_BYTES = 64 << 20
"""The connection drops when a program sends more at once, which ends that kernel."""
MAX_SOCKET_PATH = 103
"""What every system allows (Linux 107, macOS 103)."""
MAX_BATCH = 200
"""Messages taken in from a channel before the clock is looked at again."""
ENVIRONMENT = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "PYTHONPATH",
)
"""What a kernel gets to see of our environment. An allow-list: API keys have any name."""
SIGNALS = {int(number): number.name for number in signal.Signals}


class End(Enum):
    """Why reading a cell's messages ended."""

    COMPLETE = auto()
    LATE = auto()
    """The time is over and the cell still runs."""
    DIED = auto()
    """The process ended."""
    BROKEN = auto()
    """Reply or idle never came: messages got lost."""


class Kernel:
    """One kernel process, its sockets, and a private directory (its home; it runs in `work` there)."""

    def __init__(self, memory_mb: int, max_output_chars: int) -> None:
        self._max_output_chars = max_output_chars
        self._directory = _private_directory()
        self._killed = False
        self._manager = AsyncKernelManager(
            kernel_spec_manager=_StartupSpec(memory_mb, max_output_chars),
            transport="ipc",
            ip=str(self._directory / "socket"),
            connection_file=str(self._directory / "kernel.json"),
        )
        self._manager.context.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self.ended_by = "lost messages"
        """What made it unusable, once it is: an exit code or a signal where the process ended."""
        self._poller = zmq.asyncio.Poller()

    @classmethod
    async def started(cls, memory_mb: int, max_output_chars: int) -> Self:
        """A kernel that answers.

        Raises:
            KernelError, OSError: the process can't be run, ends, or doesn't answer in time.
        """
        kernel = cls(memory_mb, max_output_chars)
        try:
            await kernel._launch()
            await kernel._connect(until=time.monotonic() + START_TIMEOUT_S)
        except BaseException:
            await kernel.close()
            raise
        return kernel

    async def _launch(self) -> None:
        work, temporary = self._directory / "work", self._directory / "tmp"
        work.mkdir()
        temporary.mkdir()
        with (self._directory / "log").open("wb") as log:
            await self._manager.start_kernel(cwd=str(work), env=self._environment(), stdout=log, stderr=log)

    def _environment(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        return passed | {
            "HOME": str(self._directory),
            "TMPDIR": str(self._directory / "tmp"),
            "PYTHONUSERBASE": site.getuserbase(),  # it would follow HOME, and ipykernel may be installed there
            "PYTHONHASHSEED": "0",  # sets print in the same order in every run
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }

    async def _connect(self, *, until: float) -> None:
        """Return when the kernel has shown that both channels work."""
        socket = Path(f"{self._manager.ip}-{self._manager.iopub_port}")
        # Looking for the file notices the kernel sooner than zmq's own retries would.
        while not socket.exists():  # noqa: ASYNC240 - one stat
            await self._check_starting(until)
            await asyncio.sleep(TICK_S / 5)
        self._client: AsyncKernelClient = self._manager.client(context=self._manager.context)
        self._client.start_channels(stdin=False, hb=False, control=False)
        for channel in (self._client.shell_channel, self._client.iopub_channel):
            self._poller.register(channel.socket, zmq.POLLIN)
        while not await self._arrived(TICK_S):  # iopub's welcome: from here on nothing it says is missed
            await self._check_starting(until)
        if await self.read(self._cell(self._client.kernel_info()), until=until) is not End.COMPLETE:
            raise KernelError("it started and then did not answer")

    async def _check_starting(self, until: float) -> None:
        if await self._exit_code() is not None:
            log = (self._directory / "log").read_text(errors="replace").strip()
            raise KernelError(log.splitlines()[-1] if log else f"it ended by itself ({self.ended_by})")
        if time.monotonic() > until:
            raise KernelError(f"it was not ready after {START_TIMEOUT_S:g} s")

    async def alive(self) -> bool:
        return not self._killed and await self._exit_code() is None

    async def _exit_code(self) -> int | None:
        """How the process ended; negative for a signal, None while it runs."""
        assert self._manager.provisioner is not None
        code = await self._manager.provisioner.poll()
        if code is not None:
            self.ended_by = f"exit code {code}" if code >= 0 else SIGNALS.get(-code, f"signal {-code}")
        return code

    def send(self, code: str) -> Cell:
        """Have the kernel run `code`; `read` brings what it says about it."""
        text = code.encode("utf-8", "replace").decode("utf-8")  # JSON can't carry a lone surrogate
        # stop_on_error would make the kernel drop what is sent too soon after an error.
        return self._cell(
            self._client.execute(text, store_history=False, allow_stdin=False, stop_on_error=False)
        )

    def _cell(self, request_id: str) -> Cell:
        return Cell(request_id, max_chars=self._max_output_chars)

    async def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the running program, and in its child processes."""
        await self._manager.interrupt_kernel()

    async def read(self, cell: Cell, *, until: float) -> End:
        """Take in messages until `cell` has ended, or can't any more, or it is `until` on the monotonic clock."""
        latest = time.monotonic()
        while not cell.ended:
            half_ended = cell.replied or cell.idle
            left = (min(latest, until) + SETTLE_S if half_ended else until) - time.monotonic()
            # Read before judging by the clock: this loop itself may have been held up.
            messages = await self._arrived(min(max(left, 0), TICK_S))
            for message in messages:
                cell.add(message)
            if messages:
                latest = time.monotonic()
            elif await self._exit_code() is not None:
                return End.DIED
            if left <= 0 and not cell.ended:
                return End.BROKEN if half_ended else End.LATE
        return End.COMPLETE

    async def _arrived(self, timeout_s: float) -> list[Message]:
        """The messages there are, waiting for the first at most `timeout_s`; junk is dropped."""
        messages: list[Message] = []
        for socket, _ in await self._poller.poll(max(1, int(timeout_s * 1000))):
            with contextlib.suppress(zmq.Again):
                for _ in range(MAX_BATCH):
                    frames = await socket.recv_multipart(zmq.NOBLOCK)
                    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
                        _, frames = self._client.session.feed_identities(frames)
                        messages.append(self._client.session.deserialize(frames))
        return messages

    def kill(self) -> None:
        """End the process and all it started: its process group, and descendants that left the group."""
        provisioner = self._manager.provisioner
        if self._killed or not isinstance(provisioner, LocalProvisioner) or provisioner.pid is None:
            return
        self._killed = True
        descendants: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            descendants = psutil.Process(provisioner.pid).children(recursive=True)
        with contextlib.suppress(
            ProcessLookupError, PermissionError
        ):  # macOS refuses where only a zombie is left
            os.killpg(provisioner.pid, signal.SIGKILL)
        for process in descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    async def close(self) -> None:
        """Kill, and leave nothing behind; may be called again."""
        self.kill()
        if (provisioner := self._manager.provisioner) is not None:
            while await provisioner.poll() is None:  # noqa: ASYNC110 - a killed process is gone in milliseconds
                await asyncio.sleep(TICK_S / 10)
            await provisioner.wait()
        self._manager.context.destroy(linger=0)
        await self._manager.cleanup_resources()
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)


class _StartupSpec(KernelSpecManager):
    """Says how to start our kernel, whatever kernels the user has installed under the same name."""

    def __init__(self, *arguments: int) -> None:
        super().__init__()
        self._arguments = [str(argument) for argument in arguments]

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        command = [sys.executable, "-P", str(STARTUP), "{connection_file}", *self._arguments]
        return KernelSpec(argv=command, name=kernel_name, language="python")


def _private_directory() -> Path:
    """A new directory only this user can enter, with a path short enough for sockets inside it."""
    directory = tempfile.mkdtemp(prefix="mumath-")
    if len(directory) + len("/socket-5") <= MAX_SOCKET_PATH:
        return Path(directory)
    Path(directory).rmdir()
    return Path(tempfile.mkdtemp(prefix="mumath-", dir="/tmp"))
