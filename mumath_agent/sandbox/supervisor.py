"""Answer the system calls that a kernel's filter leaves to the fork server (seccomp user notification).

The caller is stopped in the call until it is answered. Only the call's number and register arguments count: unlike
memory, they can't change after the check. The structures are those of linux/seccomp.h.
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
"""Fields: id, pid, flags; then seccomp_data: number, architecture, instruction pointer, arguments."""
_ANSWER = struct.Struct("=QqiI")
"""Fields: id, result, error, flags."""
_ADDITION = struct.Struct("=QIIII")
"""Fields: id, flags, our descriptor, the caller's descriptor, its flags."""
_RECV, _SEND, _ADD = 0xC0502100, 0xC0182101, 0x40182103
_CONTINUE = 1
_AT_NUMBER = 1


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that waits for an answer."""

    id: int
    process: int
    """The caller, as numbered in the supervisor's process id namespace."""
    number: int
    flags: int
    """Its first argument."""

    @property
    def is_fork(self) -> bool:
        """True if the process wants to copy itself."""
        return self.number == CHECKED["clone"] and self.flags == FORK_FLAGS

    @property
    def is_unshare(self) -> bool:
        """True if it wants a user and a mount namespace of its own."""
        return self.number == CHECKED["unshare"] and self.flags == BRANCH_NAMESPACES


def next_call(listener: int) -> Call | None:
    """Return the call that waits; None if the caller gave it up meanwhile.

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


class Ruling(Enum):
    """What the supervisor decides about a call."""

    REFUSED = auto()
    MADE = auto()
    """Linux makes the call."""
    DONE = auto()
    """The call isn't made but answered with success: it was a message to the supervisor."""


def answer(listener: int, call: Call, ruling: Ruling) -> None:
    """Answer a call and let the caller go on."""
    error = -errno.EPERM if ruling is Ruling.REFUSED else 0
    reply = _ANSWER.pack(call.id, 0, error, _CONTINUE if ruling is Ruling.MADE else 0)
    with suppress(OSError):  # the caller is gone
        _ask(listener, _SEND, reply)


def give(listener: int, call: Call, descriptor: int, number: int) -> None:
    """Open our descriptor `descriptor` in the caller, as `number`.

    Raises:
        OSError: the caller is gone.
    """
    _ask(listener, _ADD, _ADDITION.pack(call.id, _AT_NUMBER, descriptor, number, 0))


def _ask(listener: int, what: int, parameters: bytes) -> None:
    """Ask Linux again where a signal, such as that of a child's end, came between; Python doesn't for `ioctl`."""
    while True:
        with suppress(InterruptedError):
            fcntl.ioctl(listener, what, parameters)
            return


def host_number(handle: int) -> int:
    """Return the process id that a process descriptor has in the `/proc` we see.

    Raises:
        ProcessLookupError: it has ended.
    """
    with open(f"/proc/self/fdinfo/{handle}") as file:  # noqa: PTH123
        number = next(int(line.split()[1]) for line in file if line.startswith("Pid:"))
    if number <= 0:
        raise ProcessLookupError
    return number


def threads_of(process: int) -> int:
    """Return how many threads `process` has."""
    handle = os.pidfd_open(process)
    try:
        with open(f"/proc/{host_number(handle)}/status") as file:  # noqa: PTH123
            return next(int(line.split()[1]) for line in file if line.startswith("Threads:"))
    finally:
        os.close(handle)
