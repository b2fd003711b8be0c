"""Follow a kernel's process through what the fork server reports about it over a channel of their own."""

import array
import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Self

import psutil

from mumath_agent.dialects.marks import remark
from mumath_agent.errors import KernelError
from mumath_agent.sandbox.spec import KernelSpec

PACKETS = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
"""The kind of socket that keeps messages apart."""
_MAX_NEWS_BYTES, _MAX_NEWS = 1 << 16, 16
"""How large one report may be, and how many are taken in without looking at anything else."""
_SIGNALS = {int(number): number.name for number in signal.Signals}


class ServerGoneError(KernelError):
    """Raised when the fork server has ended; another one may be started."""


class Process:
    """The process of one kernel. It belongs to no event loop: call `receive` when its channel is readable."""

    def __init__(self, channel: socket.socket, *, starts_others: bool) -> None:
        """Follow the process that `channel` reports on.

        Args:
            channel: where the fork server's news arrive.
            starts_others: the process may have children; signals go to them, too.
        """
        self.channel = channel
        self.channel.setblocking(False)
        self._starts_others = starts_others
        self._handle: int | None = None
        self._pid: int | None = None
        self._serves = False
        self.error: str | None = None
        """Why it couldn't be started."""
        self.cut_off = False
        """True once the channel is closed: no more news will come."""
        self.ended = False
        self.exit_code: int | None = None
        """Its exit code, negative for a signal; None while it runs, or if it isn't known."""

    @classmethod
    def requested(
        cls, server: socket.socket, spec: KernelSpec, sockets: list[socket.socket], *, starts_others: bool
    ) -> Self:
        """Ask for a kernel that serves `sockets`.

        Asking a fork server (by its control socket) makes a new kernel, asking a kernel's channel makes a branch of it.

        Raises:
            ServerGoneError: the fork server has ended.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, PACKETS)
        given = [theirs.fileno(), *(item.fileno() for item in sockets)]
        with theirs:
            try:
                server.sendmsg(
                    [spec.to_bytes()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", given))]
                )
            except OSError as error:
                ours.close()
                raise ServerGoneError(f"the fork server is gone ({error})") from None
        return cls(ours, starts_others=starts_others)

    def receive(self) -> None:
        """Take in the news that have arrived; where a kernel writes them itself it may write without end."""
        for _ in range(_MAX_NEWS):
            if self.ended or self.cut_off:
                return
            try:
                data, handles, _, _ = socket.recv_fds(self.channel, _MAX_NEWS_BYTES, 1)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data, handles = b"", []
            if not data:
                self.cut_off = True
                return
            said = _read(data)
            if self._handle is None and self._pid is None:  # a program can't put another process in its place
                self._handle = handles.pop() if handles else None
                self._pid = _positive(said.get("process")) if self._handle is None else None
            for handle in handles:
                os.close(handle)
            self._serves = self._serves or "ready" in said
            if "error" in said:
                self.error = self.error or remark(said["error"], 500) or "no reason given"
            if "exit" in said:
                self.ended, self.exit_code = True, _exit_code(said)

    def end(self, news: bytes) -> None:
        """Note that it ended, with the exit code that `news` gives, if any."""
        self.ended, self.exit_code = True, _exit_code(_read(news))

    @property
    def ready(self) -> bool:
        """True once it serves requests and can be sent signals."""
        return self._serves and (self._handle is not None or self._pid is not None)

    @property
    def ended_by(self) -> str:
        """The way it ended, in words."""
        if self.exit_code is None:
            return "its process ended"
        if self.exit_code >= 0:
            return f"exit code {self.exit_code}"
        return _SIGNALS.get(-self.exit_code, f"signal {-self.exit_code}")

    @property
    def pid(self) -> int | None:
        """Its process id outside of all namespaces; None if it can't be known, or not any more."""
        if self._handle is None:
            return self._pid
        with contextlib.suppress(OSError):
            info = Path(f"/proc/self/fdinfo/{self._handle}").read_text()
            number = int(next(line for line in info.splitlines() if line.startswith("Pid:")).split()[1])
            return number if number > 0 else None
        return None

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, and to its children if it may have some; nothing happens if it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._starts_others and (pid := self.pid) is not None:
                _signal_tree(pid, number)
            elif self._handle is not None:
                signal.pidfd_send_signal(self._handle, number)
            elif self._pid is not None:
                os.kill(self._pid, number)

    def close(self) -> None:
        """Let go of it; the fork server kills it if it still runs."""
        self.ended = True
        self.channel.close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _read(news: bytes) -> dict[str, Any]:
    """Read one report; after one that can't be read the process counts as ended."""
    try:
        said = json.loads(news)
    except (ValueError, RecursionError):
        said = None
    return said if isinstance(said, dict) else {"exit": None}


def _exit_code(said: dict[str, Any]) -> int | None:
    code = said.get("exit")
    return code if type(code) is int and -256 < code < 256 else None


def _positive(number: object) -> int | None:
    return number if type(number) is int and 0 < number < 1 << 31 else None


def _signal_tree(pid: int, number: int) -> None:
    """Signal a process, its group, and those of its descendants that left the group."""
    descendants: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        descendants = psutil.Process(pid).children(recursive=True)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
    for process in descendants:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
