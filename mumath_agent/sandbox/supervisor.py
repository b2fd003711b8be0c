"""Answering system calls that a kernel's filter puts to the fork server (seccomp user notification).

The caller is stopped in the call until it is answered. Only the call's number and its register arguments are looked at:
they can't change after the check, as memory could. Structures: linux/seccomp.h.
"""

import errno
import fcntl
import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from mumath_agent.sandbox.seccomp import BRANCH_NAMESPACES, FORK_FLAGS
from mumath_agent.sandbox.syscalls import CHECKED

_NOTIF = struct.Struct("=QIIiIQ6Q")
"""id, pid, flags; then seccomp_data: number, architecture, instruction pointer, arguments."""
_ANSWER = struct.Struct("=QqiI")
"""id, result, error, flags."""
_ADDITION = struct.Struct("=QIIII")
"""id, flags, our descriptor, the caller's, its flags."""
_RECV, _SEND, _ADD = 0xC0502100, 0xC0182101, 0x40182103
_CONTINUE = 1
_AT_NUMBER = 1


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that waits for an answer."""

    id: int
    process: int
    """The caller, as numbered where the supervisor lives."""
    number: int
    flags: int
    """Its first argument."""

    @property
    def is_fork(self) -> bool:
        return self.number == CHECKED["clone"] and self.flags == FORK_FLAGS

    @property
    def is_unshare(self) -> bool:
        return self.number == CHECKED["unshare"] and self.flags == BRANCH_NAMESPACES


def next_call(listener: int) -> Call | None:
    """The call that waits; None if it was given up meanwhile.

    Raises:
        EOFError: no process with this filter is left.
    """
    buffer = bytearray(_NOTIF.size)
    try:
        fcntl.ioctl(listener, _RECV, buffer)
    except OSError as error:
        if error.errno == errno.EINTR:
            return None
        raise EOFError from None
    number, process, _, call, _, _, flags, *_ = _NOTIF.unpack(buffer)
    return Call(number, process, call, flags & 0xFFFFFFFF)


class Verdict(Enum):
    """What becomes of a call."""

    REFUSED = auto()
    MADE = auto()
    """The kernel of the system makes it."""
    DONE = auto()
    """It is answered with success and not made: it was a message to the supervisor."""


def answer(listener: int, call: Call, verdict: Verdict) -> None:
    """Let the caller go on."""
    error = -errno.EPERM if verdict is Verdict.REFUSED else 0
    reply = _ANSWER.pack(call.id, 0, error, _CONTINUE if verdict is Verdict.MADE else 0)
    with suppress(OSError):  # the caller is gone
        fcntl.ioctl(listener, _SEND, reply)


def give(listener: int, call: Call, descriptor: int, number: int) -> None:
    """Open `descriptor` of ours in the caller, as `number`.

    Raises:
        OSError: the caller is gone.
    """
    fcntl.ioctl(listener, _ADD, _ADDITION.pack(call.id, _AT_NUMBER, descriptor, number, 0))


def host_number(handle: int) -> int:
    """The process of a process descriptor as numbered in the `/proc` we see.

    Raises:
        ProcessLookupError: it has ended.
    """
    with open(f"/proc/self/fdinfo/{handle}") as file:  # noqa: PTH123
        number = next(int(line.split()[1]) for line in file if line.startswith("Pid:"))
    if number <= 0:
        raise ProcessLookupError
    return number


def threads_of(process: int) -> int:
    """How many threads `process` has."""
    handle = os.pidfd_open(process)
    try:
        with open(f"/proc/{host_number(handle)}/status") as file:  # noqa: PTH123
            return next(int(line.split()[1]) for line in file if line.startswith("Threads:"))
    finally:
        os.close(handle)
