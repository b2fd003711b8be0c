"""Control one kernel: its process, the two channels we use, and its directory where it needs one on disk.

`Kernel.send` runs a cell, `read` collects what it says until it ends, `interrupt` and `kill` stop it, `close` clears
up. Whatever the kernel says is treated as written by an enemy: bounded, checked, and never waited for without a limit.
"""

import asyncio
import contextlib
import secrets
import signal
import socket
import time
from enum import Enum, auto
from typing import Self

from mumath_agent.dialects.marks import remark
from mumath_agent.errors import KernelError
from mumath_agent.kernels import workdir
from mumath_agent.kernels.channel import Channel
from mumath_agent.kernels.forkserver import ForkServer
from mumath_agent.kernels.isolation import Sandbox, level_name
from mumath_agent.kernels.messages import RunningCell
from mumath_agent.kernels.process import Process, ServerGoneError
from mumath_agent.sandbox.messages import Message, Signer
from mumath_agent.sandbox.spec import NAMESPACES, SECCOMP, KernelSpec
from mumath_agent.sandbox.zmtp import encode

START_TIMEOUT_S = 60.0
"""Generous: a busy machine is slow, not broken."""
FORK_TIMEOUT_S = 4.5
"""For a copy, which a program could hold up on purpose; its programs can run again instead."""
CLOSE_TIMEOUT_S = 5.0
SETTLE_S = 0.25
"""How far apart a cell's reply and its idle status may be. A kernel that lost one can't be trusted with another."""
MAX_CELL_BYTES, MAX_CELL_MESSAGES = 32 << 20, 12_000
"""The most one cell may send. Our own kernel keeps below it; a program that took the kernel over need not."""
MAX_IDLE_BYTES, MAX_IDLE_MESSAGES = 1 << 20, 1000
"""The most that may come between two cells. A kernel that says more isn't listened to any longer."""
MIN_IDLE_BYTES = 4096
"""What a portion counts for at least then: however little comes, reading it takes time."""
MAX_JUNK = 100
"""How many messages may be malformed or wrongly signed."""
DISK_CHECK_S = 0.25
"""How often the work directory is measured, where it lies on the host's disk."""


class End(Enum):
    """Why reading a cell's messages ended."""

    COMPLETE = auto()
    LATE = auto()
    """The time limit has passed and the cell still runs."""
    DIED = auto()
    """The process ended."""
    BROKEN = auto()
    """Messages were lost, forged or too many."""


class Kernel:
    """A running kernel. `started` makes one; whoever asked for it closes it."""

    process: Process
    _cell: RunningCell | None
    _copying: asyncio.Lock
    """Shared by a kernel and its branches: one is copied at a time."""

    def __init__(self, server: ForkServer, sandbox: Sandbox, origin: "Kernel | None" = None) -> None:
        """Ask `server` for a kernel, or `origin` for a copy of itself; `started` and `fork` wait until it answers."""
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
        """Several at a time: one task may close the kernel while another, cancelled, is about to leave its cell."""
        self._rest()
        self._welcome = False
        self._broken = ""
        self._junk = 0
        self._closed_already = False
        self._cut_off = False
        """True once it closed a connection; it may be ending."""
        self._killed = False
        self._mute = False
        """True once a copy of it didn't answer; no other is waited for."""
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
        self._loop.add_reader(self.process.channel.fileno(), self._on_server_news)
        if not server.forks:  # its guardian says how it ended
            self._loop.add_reader(server.control, self._on_guardian_news)
        hear = (self._on_data, self._on_message, self._on_closed, self._on_violation)
        self._iopub = Channel("SUB", pairs[0][0], *hear)
        self._shell = Channel("DEALER", pairs[1][0], *hear)
        self._iopub.write(encode([b"\x01"]))  # subscribe to everything

    @classmethod
    async def started(cls, server: ForkServer, sandbox: Sandbox) -> Self:
        """Start a kernel and return it once it answers.

        Raises:
            KernelError: the process can't be started or confined.
        """
        return await cls(server, sandbox)._wait_for_answer(START_TIMEOUT_S)

    async def fork(self) -> "Kernel":
        """Return a copy of this kernel with all its state; from here on neither sees what the other does.

        Call it between two cells. It takes milliseconds.

        Raises:
            KernelError: this one can't be copied, because it has threads or files open, or its level of isolation
                doesn't allow it.
        """
        if self._work is not None or SECCOMP not in self._server.layers or not self._server.forks:
            raise KernelError(f"a kernel can't be copied at level {self.isolation!r}")
        async with self._copying:
            if self._mute:
                raise KernelError("the kernel can't be copied: an earlier copy of it never answered")
            began = time.monotonic()
            try:
                return await Kernel(self._server, self._sandbox, self)._wait_for_answer(FORK_TIMEOUT_S)
            except KernelError:
                self._mute = time.monotonic() - began > FORK_TIMEOUT_S / 2
                raise

    async def _wait_for_answer(self, timeout_s: float) -> Self:
        until = time.monotonic() + timeout_s
        try:
            while not (self.process.ready and self._welcome):  # from here on nothing it says is missed
                if self.process.error:
                    raise KernelError(self.process.error)
                if self.process.ended:
                    why = f"a kernel ended at once ({self.ended_by})"
                    # A server says how a kernel ended, if it still can.
                    raise KernelError(why) if self.process.exit_code is not None else ServerGoneError(why)
                if time.monotonic() > until:
                    raise KernelError(f"a kernel was not ready after {timeout_s:g} s")
                await self._news(until)
        except BaseException:
            await self.close()
            raise
        return self

    @property
    def alive(self) -> bool:
        """True while it can run another cell."""
        return not (self._killed or self._broken or self.process.ended)

    @property
    def ended_by(self) -> str:
        """The reason why it can't be used any more, in words."""
        return self._broken or self.process.ended_by

    async def send(self, code: str) -> RunningCell:
        """Have it run `code`; `read` collects what it says about it."""
        text = code.encode("utf-8", "replace").decode("utf-8")  # JSON can't carry a lone surrogate
        header = self._signer.header("execute_request")
        content = {"code": text, "silent": False, "store_history": False, "allow_stdin": False}
        self._cell = RunningCell(header["msg_id"], max_chars=self._sandbox.max_output_chars)
        self._bytes_left, self._messages_left = MAX_CELL_BYTES, MAX_CELL_MESSAGES
        for channel in (self._iopub, self._shell):
            channel.be_eager()
        self._shell.write(encode(self._signer.pack(header, content)))
        return self._cell

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the running program."""
        self.process.send_signal(signal.SIGINT)

    async def read(self, cell: RunningCell, *, until: float) -> End:
        """Take in messages until `cell` has ended, the kernel failed, or the monotonic clock reads `until`."""
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
            if self._work is not None and workdir.exceeds(self._work, self._sandbox.work_mb << 20):
                return self._break(f"it wrote more than {self._sandbox.work_mb} MB")
            await self._news(min(limit, now + DISK_CHECK_S) if self._work is not None else limit)
        return End.COMPLETE

    def kill(self) -> None:
        """End it and everything it started."""
        self._killed = True
        self.process.send_signal(signal.SIGKILL)

    async def close(self) -> None:
        """Kill it and leave nothing behind. Calling it again does nothing."""
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
            workdir.remove(self._work)

    async def _news(self, until: float) -> None:
        """Wait until something happened, or until the monotonic clock reads `until`."""
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

    def _on_server_news(self) -> None:
        """Take in what the fork server says about the process."""
        self.process.receive()
        if self.process.ended or self.process.cut_off:
            self._loop.remove_reader(self.process.channel.fileno())
        if self.process.cut_off and self._server.forks:  # the server ended, and every kernel with it
            self.process.end(b"")
        self._wake()

    def _on_guardian_news(self) -> None:
        self._loop.remove_reader(self._server.control)
        with contextlib.suppress(OSError):
            self.process.end(self._server.control.recv(1024, socket.MSG_DONTWAIT))
        self._wake()

    def _drain(self) -> None:
        for channel in (self._iopub, self._shell):
            channel.receive_all()

    def _rest(self) -> None:
        """Expect nothing until the next cell: whatever comes is nobody's."""
        self._cell = None
        self._bytes_left, self._messages_left = MAX_IDLE_BYTES, MAX_IDLE_MESSAGES

    def _on_data(self, size: int) -> None:
        self._bytes_left -= size if self._cell is not None else max(size, MIN_IDLE_BYTES)
        if self._bytes_left < 0:
            self._on_violation("it sent too many bytes")

    def _on_message(self, frames: list[bytes]) -> None:
        self._messages_left -= 1
        if self._messages_left < 0:
            self._on_violation("it sent too many messages")
            return
        try:
            message: Message = self._signer.unpack(frames)
        except ValueError:  # junk, or forged without the key
            self._junk += 1
            if self._junk > MAX_JUNK:
                self._on_violation("it sends messages that aren't Jupyter's")
            return
        if message["header"].get("msg_type") == "iopub_welcome":
            self._welcome = True
        if self._cell is not None:
            self._cell.add(message)
            if self._cell.ended:
                self._rest()
        self._wake()

    def _on_closed(self) -> None:
        self._cut_off = True
        self._wake()

    def _on_violation(self, why: str) -> None:
        """Kill a kernel that doesn't keep to the protocol."""
        if not self._broken and not self.process.ended:
            self._broken = remark(why)
            self.kill()
            self._iopub.close()
            self._shell.close()
        self._wake()
