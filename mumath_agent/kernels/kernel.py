"""One kernel: a process of its own, the two channels we use, and a directory where it needs one on disk.

A `Kernel` does as it is told by the executor above it: run a cell (`send`), say what became of it (`read`), be
interrupted, be killed, be gone (`close`). What it says is treated as written by an enemy: bounded, checked, and never
waited for without a limit.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import Self

from mumath_agent.errors import KernelError
from mumath_agent.kernels.forkserver import ForkServer
from mumath_agent.kernels.isolation import Sandbox, level_name
from mumath_agent.kernels.messages import Cell
from mumath_agent.kernels.process import Process, ServerGoneError
from mumath_agent.sandbox.messages import Message, Signer
from mumath_agent.sandbox.spec import NAMESPACES, SECCOMP, KernelSpec
from mumath_agent.sandbox.zmtp import ProtocolError, Wire, encode

START_TIMEOUT_S = 60.0
"""Generous: a busy machine is slow, not broken."""
CLOSE_TIMEOUT_S = 5.0
SETTLE_S = 0.25
"""How long reply and idle may be apart. A session that lost its idle can't be trusted with the next cell."""
MAX_MESSAGE_BYTES = 8 << 20
MAX_CELL_BYTES = 32 << 20
"""What one cell may send. Our own kernel keeps below it; a program that took the kernel over need not."""
PORTION_BYTES, MAX_PORTIONS = 1 << 16, 64
"""Read at once from a connection, and how often without looking at the clock."""
MAX_JUNK = 100
"""Messages that are none of ours."""
DISK_CHECK_S = 0.25
"""How often the work directory is measured, where it lies on the host's disk."""


class End(Enum):
    """Why reading a cell's messages ended."""

    COMPLETE = auto()
    LATE = auto()
    """The time is over and the cell still runs."""
    DIED = auto()
    """The process ended."""
    BROKEN = auto()
    """Messages were lost, forged or too many."""


class Kernel:
    """A running kernel; made by `started`, to be closed by whoever asked for it."""

    process: Process
    _copying: asyncio.Lock
    """A kernel and its branches are copied one at a time."""

    def __init__(self, server: ForkServer, sandbox: Sandbox, origin: "Kernel | None" = None) -> None:
        self.isolation = level_name(server.layers)
        self.seed = sandbox.seed
        self._server = server
        self._sandbox = sandbox
        self._work = None if NAMESPACES in server.layers else server.work_directory()
        spec = KernelSpec(
            key=secrets.token_hex(16),
            channels=["iopub", "shell"],
            work=str(self._work or "/"),
            memory_mb=sandbox.memory_mb,
            work_mb=sandbox.work_mb,
            max_output_chars=sandbox.max_output_chars,
            seed=sandbox.seed,
        )
        self._loop = asyncio.get_running_loop()
        self._signer = Signer(spec.key, "agent")
        self._waiting: set[asyncio.Future[None]] = set()
        """One closes it while another, cancelled, is about to leave its cell."""
        self._cell: Cell | None = None
        self._cell_bytes = 0
        self._welcome = False
        self._broken = ""
        self._junk = 0
        self._closed_already = False
        self._cut_off = False
        """It closed a connection; it may be ending."""
        self._killed = False
        self._copying = origin._copying if origin is not None else asyncio.Lock()
        pairs = [socket.socketpair() for _ in spec.channels]
        try:
            asked = origin.process.channel if origin is not None else server.control
            theirs = [pair[1] for pair in pairs]
            confined = SECCOMP in server.layers
            self.process = Process.requested(asked, spec, theirs, starts_others=not confined)
        except BaseException:
            for ours, _ in pairs:
                ours.close()
            self._remove_work()
            raise
        finally:
            for _, theirs_too in pairs:
                theirs_too.close()
        self._loop.add_reader(self.process.channel.fileno(), self._told)
        if not server.forks:  # its guardian says how it ended
            self._loop.add_reader(server.control, self._told_by_guardian)
        self._iopub = _Channel("SUB", pairs[0][0], self._heard, self._closed, self._lost)
        self._shell = _Channel("DEALER", pairs[1][0], self._heard, self._closed, self._lost)
        self._iopub.write(encode([b"\x01"]))  # subscribe to everything

    @classmethod
    async def started(cls, server: ForkServer, sandbox: Sandbox) -> Self:
        """A kernel that answers.

        Raises:
            KernelError: the process can't be started or confined.
        """
        return await cls(server, sandbox)._answering()

    async def fork(self) -> "Kernel":
        """A copy of this kernel with all its state, in milliseconds; from here on neither sees what the other does.

        Call it between two cells.

        Raises:
            KernelError: this one can't be copied, because it has threads or files open, or its level of isolation
                doesn't allow it.
        """
        if self._work is not None or SECCOMP not in self._server.layers or not self._server.forks:
            raise KernelError(f"a kernel can't be copied at level {self.isolation!r}")
        async with self._copying:
            return await Kernel(self._server, self._sandbox, self)._answering()

    async def _answering(self) -> Self:
        until = time.monotonic() + START_TIMEOUT_S
        try:
            while not (self.process.ready and self._welcome):  # from here on nothing it says is missed
                if self.process.error:
                    raise KernelError(self.process.error)
                if self.process.ended:
                    why = f"a kernel ended at once ({self.ended_by})"
                    # A server says how a kernel ended, if it still can.
                    raise KernelError(why) if self.process.exit_code is not None else ServerGoneError(why)
                if time.monotonic() > until:
                    raise KernelError(f"a kernel was not ready after {START_TIMEOUT_S:g} s")
                await self._news(until)
        except BaseException:
            await self.close()
            raise
        return self

    @property
    def alive(self) -> bool:
        return not (self._killed or self._broken or self.process.ended)

    @property
    def ended_by(self) -> str:
        """What made it unusable, once it is."""
        return self._broken or self.process.ended_by

    async def send(self, code: str) -> Cell:
        """Have it run `code`; `read` brings what it says about it."""
        text = code.encode("utf-8", "replace").decode("utf-8")  # JSON can't carry a lone surrogate
        header = self._signer.header("execute_request")
        content = {"code": text, "silent": False, "store_history": False, "allow_stdin": False}
        self._cell = Cell(header["msg_id"], max_chars=self._sandbox.max_output_chars)
        self._cell_bytes = 0
        self._shell.write(encode(self._signer.pack(header, content)))
        return self._cell

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the running program."""
        self.process.send_signal(signal.SIGINT)

    async def read(self, cell: Cell, *, until: float) -> End:
        """Take in messages until `cell` has ended, or can't any more, or it is `until` on the monotonic clock."""
        settled_at: float | None = None
        while not cell.ended:
            if self._broken:
                return End.BROKEN
            if self.process.ended:
                self._drain()
                return End.COMPLETE if cell.ended else End.DIED
            now = time.monotonic()
            half_ended = cell.replied or cell.idle or self._cut_off
            if half_ended:
                settled_at = settled_at or min(now, until) + SETTLE_S
            limit = settled_at or until
            if now >= limit:
                self._drain()  # before judging by the clock: this loop itself may have been held up
                if not cell.ended and half_ended == (cell.replied or cell.idle or self._cut_off):
                    return self._break("lost messages") if settled_at else End.LATE
                continue
            if self._work is not None and (size := _size(self._work)) > self._sandbox.work_mb << 20:
                return self._break(
                    f"it wrote {size >> 20} MB, at most {self._sandbox.work_mb} MB are granted"
                )
            await self._news(min(limit, now + DISK_CHECK_S) if self._work is not None else limit)
        return End.COMPLETE

    def kill(self) -> None:
        """End it and all it started."""
        self._killed = True
        self.process.send_signal(signal.SIGKILL)

    async def close(self) -> None:
        """Kill, and leave nothing behind; may be called again."""
        if self._closed_already:
            return
        self._closed_already = True
        self.kill()
        self._iopub.close()
        self._shell.close()
        until = time.monotonic() + CLOSE_TIMEOUT_S
        try:
            while not self.process.ended and not self.process.error and time.monotonic() < until:
                await self._news(until)
        finally:
            self._loop.remove_reader(self.process.channel.fileno())
            self.process.close()
            if not self._server.forks:
                self._loop.remove_reader(self._server.control)
        if not self._server.forks:
            await asyncio.to_thread(self._server.close)
        if self._work is not None:
            await asyncio.to_thread(self._remove_work)

    def _break(self, why: str) -> End:
        self._broken = why
        return End.BROKEN

    def _remove_work(self) -> None:
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)

    async def _news(self, until: float) -> None:
        """Wait until something was heard, or it is `until`."""
        waiting = self._loop.create_future()
        self._waiting.add(waiting)
        timer = self._loop.call_later(max(0.0, until - time.monotonic()), self._wake)
        try:
            await waiting
        finally:
            timer.cancel()
            self._waiting.discard(waiting)

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def _told(self) -> None:
        """The fork server has news of the process."""
        self.process.receive()
        if self.process.ended or self.process.cut_off:
            self._loop.remove_reader(self.process.channel.fileno())
        if self.process.cut_off and self._server.forks:  # the server ended, and with it every kernel
            self.process.end(b"")
        self._wake()

    def _told_by_guardian(self) -> None:
        self._loop.remove_reader(self._server.control)
        with contextlib.suppress(OSError):
            self.process.end(self._server.control.recv(1024, socket.MSG_DONTWAIT))
        self._wake()

    def _drain(self) -> None:
        for channel in (self._iopub, self._shell):
            channel.receive_all()

    def _heard(self, frames: list[bytes]) -> None:
        try:
            message: Message = self._signer.unpack(frames)
        except ValueError:  # junk, or forged without the key
            self._junk += 1
            if self._junk > MAX_JUNK:
                self._lost("it sends what is no message")
            return
        if message["header"].get("msg_type") == "iopub_welcome":
            self._welcome = True
        if self._cell is not None:
            self._cell_bytes += sum(map(len, frames))
            if self._cell_bytes > MAX_CELL_BYTES:
                self._lost(f"it sent more than {MAX_CELL_BYTES >> 20} MB")
            else:
                self._cell.add(message)
        self._wake()

    def _closed(self) -> None:
        self._cut_off = True
        self._wake()

    def _lost(self, why: str) -> None:
        if not self._broken and not self.process.ended:
            self._broken = why
            self.kill()
            self._iopub.close()
            self._shell.close()
        self._wake()


class _Channel:
    """One connection, read as data comes and written without waiting."""

    def __init__(
        self,
        socket_type: str,
        connection: socket.socket,
        heard: Callable[[list[bytes]], None],
        closed: Callable[[], None],
        lost: Callable[[str], None],
    ) -> None:
        self._socket = connection
        self._socket.setblocking(False)
        self._wire = Wire(socket_type, max_bytes=MAX_MESSAGE_BYTES)
        self._heard = heard
        self._closed = closed
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._open = True
        self._loop.add_reader(connection.fileno(), self._receive)
        self.write(self._wire.opening)

    def write(self, data: bytes) -> None:
        """Send now what can be sent now, the rest when there is room."""
        if not self._open:
            return
        if not self._unsent:
            try:
                data = data[self._socket.send(data) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                return  # its end is told on other ways
        if data:
            self._unsent += data
            self._loop.add_writer(self._socket.fileno(), self._flush)

    def receive_all(self) -> None:
        """Take in what there is; of what keeps coming, some."""
        for _ in range(MAX_PORTIONS):
            if not (self._open and self._receive()):
                break

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()

    def _flush(self) -> None:
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._unsent.clear()
        if not self._unsent:
            self._loop.remove_writer(self._socket.fileno())

    def _receive(self) -> bool:
        """Take in a portion; whether there was one."""
        try:
            data = self._socket.recv(PORTION_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            self._closed()
            return False
        try:
            for frames in self._wire.decode(data):
                if self._open:
                    self._heard(frames)
        except ProtocolError as error:
            self.close()
            self._lost(str(error))
        return True


def _size(directory: Path) -> int:
    """Bytes in the files below `directory`."""
    total = 0
    with contextlib.suppress(OSError):
        for entry in os.scandir(directory):
            if entry.is_dir(follow_symlinks=False):
                total += _size(Path(entry.path))
            else:
                total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total
