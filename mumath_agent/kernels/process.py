"""A kernel's process, as the fork server tells of it over the channel they share."""

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

from mumath_agent.errors import KernelError
from mumath_agent.sandbox.spec import KernelSpec

PACKETS = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
"""Sockets that keep messages apart."""
_MAX_NEWS_BYTES = 1 << 16
_SIGNALS = {int(number): number.name for number in signal.Signals}


class ServerGoneError(KernelError):
    """The fork server ended; another one may be started."""


class Process:
    """Takes in news when told that there are some (`receive`); it belongs to no event loop."""

    def __init__(self, channel: socket.socket, *, starts_others: bool) -> None:
        """`starts_others`: the process may have children, which get its signals too."""
        self.channel = channel
        self.channel.setblocking(False)
        self._starts_others = starts_others
        self._handle: int | None = None
        self._pid: int | None = None
        self._serves = False
        self.error: str | None = None
        """Why it couldn't be started."""
        self.cut_off = False
        """Nothing more will be said over the channel."""
        self.ended = False
        self.exit_code: int | None = None
        """How it ended, negative for a signal; None while it runs, or where nobody knows."""

    @classmethod
    def requested(
        cls, server: socket.socket, spec: KernelSpec, sockets: list[socket.socket], *, starts_others: bool
    ) -> Self:
        """Ask for a kernel that serves `sockets`: a fork server for a new one, a kernel's channel for a branch of it.

        Raises:
            KernelError: nobody is there to ask.
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
        """Take in all news there are."""
        while not (self.ended or self.cut_off):
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
                self._pid = said.get("process") if self._handle is None else None
            for handle in handles:
                os.close(handle)
            self._serves = self._serves or "ready" in said
            self.error = self.error or said.get("error")
            if "exit" in said:
                self.ended, self.exit_code = True, said["exit"]

    def end(self, news: bytes) -> None:
        """It ended, as `news` say."""
        self.ended, self.exit_code = True, _read(news).get("exit")

    @property
    def ready(self) -> bool:
        """It serves requests, and can be sent signals."""
        return self._serves and (self._handle is not None or self._pid is not None)

    @property
    def ended_by(self) -> str:
        """What ended it, in words."""
        if self.exit_code is None:
            return "its process ended"
        if self.exit_code >= 0:
            return f"exit code {self.exit_code}"
        return _SIGNALS.get(-self.exit_code, f"signal {-self.exit_code}")

    @property
    def pid(self) -> int | None:
        """Its number out here; None where it can't be known (any more)."""
        if self._handle is None:
            return self._pid
        with contextlib.suppress(OSError):
            info = Path(f"/proc/self/fdinfo/{self._handle}").read_text()
            number = int(next(line for line in info.splitlines() if line.startswith("Pid:")).split()[1])
            return number if number > 0 else None
        return None

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._starts_others and (pid := self.pid) is not None:
                _signal_tree(pid, number)
            elif self._handle is not None:
                signal.pidfd_send_signal(self._handle, number)
            elif self._pid is not None:
                os.kill(self._pid, number)

    def close(self) -> None:
        """Forget it; the server kills it if it runs still."""
        self.ended = True
        self.channel.close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _read(news: bytes) -> dict[str, Any]:
    """Unreadable news are no better than none: the process is taken for gone."""
    try:
        said = json.loads(news)
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {"exit": None}


def _signal_tree(pid: int, number: int) -> None:
    """A process, its group, and descendants that left the group."""
    descendants: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        descendants = psutil.Process(pid).children(recursive=True)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
    for process in descendants:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
