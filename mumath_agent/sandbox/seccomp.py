"""Limit which system calls a process may make, with seccomp: once, for itself and everything it starts.

The filter is a program for the Linux kernel's classic packet filter machine, assembled here; what it doesn't name is
refused. It sees a call's number and register arguments, never what a pointer points to.

One thing is neither allowed nor refused but left to a supervisor: copying the process (`fork`, and the user and mount
namespace a copy needs). The fork server answers; it permits the copy if it was asked for a branch of this kernel.
"""

import ctypes
import errno
import struct
from dataclasses import dataclass
from typing import Final

from mumath_agent.sandbox import linux
from mumath_agent.sandbox.syscalls import ALLOWED, CHECKED, NEWEST_REVIEWED, PRETENDED

_AUDIT_ARCH = 0xC000003E if linux.X86_64 else 0xC00000B7
_FIRST_X32_CALL = 0x40000000
_LOAD, _AND, _JUMP_EQ, _JUMP_GE, _JUMP_GT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x25, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16

_KILL, _ERRNO, _ALLOW, _ASK = 0x80000000, 0x00050000, 0x7FFF0000, 0x7FC00000
_REFUSE, _UNKNOWN, _PRETEND = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS, _ERRNO

_SYS_SECCOMP = 317 if linux.X86_64 else 277
_SET_MODE_FILTER, _FILTER_FLAG_NEW_LISTENER = 1, 8

_AF_UNIX, _SOCK_STREAM, _MSG_OOB = 1, 1, 1
_CLONE_THREAD = 0x10000
FORK_FLAGS: Final = 0x01200011
"""CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD: what the C library's `fork` passes to `clone`."""
BRANCH_NAMESPACES: Final = linux.CLONE_NEWUSER | linux.CLONE_NEWNS
_EVERY_BIT = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Argument:
    """The condition `argument[position] & mask == value` (low 32 bits)."""

    position: int
    value: int
    mask: int = _EVERY_BIT


_Case = tuple[int, tuple[_Argument, ...]]
"""An action, and the conditions that must all hold for it."""

_TERMINAL_QUERIES = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX and FIOCLEX."""
_FILE_CONTROLS = (0, 1, 2, 3, 4, 5, 1030, 1031, 1032, 1033, 1034)
"""F_DUPFD to F_GETLK, F_DUPFD_CLOEXEC, pipe sizes and seals; not those that have signals sent to other processes."""
_LOCKS = (6, 7, 37, 38)
"""F_SETLK, F_SETLKW, F_OFD_SETLK and F_OFD_SETLKW: answered with success but not made, like `flock`."""
_PR_GET_NAME, _PR_SET_NAME, _PR_SET_VMA = 16, 15, 0x53564D41
_SIGKILL = 9
_ABOUT_ONESELF = {
    "getpgid": 0,
    "getpriority": 1,
    "getsid": 0,
    "get_robust_list": 0,
    "prlimit64": 0,
    "sched_getaffinity": 0,
    "sched_getparam": 0,
    "sched_getscheduler": 0,
    "sched_setaffinity": 0,
}
"""Which argument names the process that the call is about; the value 0 is the caller."""
_CLOCKS = ("clock_getres", "clock_gettime", "clock_nanosleep", "timer_create")
_SIGN = 0x80000000
"""The sign bit: clocks with negative numbers are those of other processes."""


def _cases(call: str, supervised: bool) -> list[_Case]:
    """Return the cases that decide about a call of `CHECKED`; where none applies it is refused."""
    asked = _ASK if supervised else _REFUSE
    table: dict[str, list[_Case]] = {
        "clone": [
            (_ALLOW, (_Argument(0, _CLONE_THREAD, _CLONE_THREAD),)),
            (asked, (_Argument(0, FORK_FLAGS),)),
        ],
        "clone3": [(_UNKNOWN, ())],  # its flags are behind a pointer; the C library falls back to clone
        "unshare": [(asked, (_Argument(0, BRANCH_NAMESPACES),))],
        # Urgent bytes between Unix sockets: no program needs them, and Linux had holes there (CVE-2025-38236).
        "sendto": [(_ALLOW, (_Argument(3, 0, _MSG_OOB),))],
        "sendmsg": [(_ALLOW, (_Argument(2, 0, _MSG_OOB),))],
        "socketpair": [(_ALLOW, (_Argument(0, _AF_UNIX), _Argument(1, _SOCK_STREAM, 0xF)))],
        "ioctl": [(_ALLOW, (_Argument(1, query),)) for query in _TERMINAL_QUERIES],
        "fcntl": [
            *[(_ALLOW, (_Argument(1, control),)) for control in _FILE_CONTROLS],
            *[(_PRETEND, (_Argument(1, control),)) for control in _LOCKS],
        ],
        "prctl": [
            *[(_ALLOW, (_Argument(0, option),)) for option in (_PR_GET_NAME, _PR_SET_NAME, _PR_SET_VMA)],
            (_ALLOW, (_Argument(0, linux.PR_SET_PDEATHSIG), _Argument(1, _SIGKILL))),
        ],
    }
    if call in _ABOUT_ONESELF:
        return [(_ALLOW, (_Argument(_ABOUT_ONESELF[call], 0),))]
    if call in _CLOCKS:
        return [(_ALLOW, (_Argument(0, 0, _SIGN),))]
    return table[call]


def program(*, supervised: bool) -> bytes:
    """Assemble the filter; with `supervised`, copies of the process are left to a supervisor instead of refused."""
    code = [
        _step(_LOAD, _ARCH_AT),
        _step(_JUMP_EQ, _AUDIT_ARCH, then=1),
        _step(_RETURN, _KILL),  # the 32-bit system calls have other numbers
        _step(_LOAD, _NUMBER_AT),
    ]
    if linux.X86_64:
        code += [_step(_JUMP_GE, _FIRST_X32_CALL, otherwise=1), _step(_RETURN, _KILL)]
    code += [_step(_JUMP_GT, NEWEST_REVIEWED, otherwise=1), _step(_RETURN, _UNKNOWN)]
    for call, number in CHECKED.items():
        body = b"".join(_case(case) for case in _cases(call, supervised)) + _step(_RETURN, _REFUSE)
        code += [_step(_JUMP_EQ, number, otherwise=len(body) // 8), body]
    for action, numbers in ((_PRETEND, PRETENDED), (_ALLOW, ALLOWED)):
        for number in numbers.values():
            code += [_step(_JUMP_EQ, number, otherwise=1), _step(_RETURN, action)]
    code.append(_step(_RETURN, _REFUSE))
    return b"".join(code)


def install(filter_program: bytes, *, supervised: bool) -> int | None:
    """Filter this thread's calls from now on; return the descriptor that its supervisor needs, if it has one.

    Raises:
        OSError: the kernel took no filter; the process must not go on.
    """
    buffer = ctypes.create_string_buffer(filter_program, len(filter_program))
    header = struct.pack("HxxxxxxQ", len(filter_program) // 8, ctypes.addressof(buffer))
    flags = _FILTER_FLAG_NEW_LISTENER if supervised else 0
    descriptor = linux.syscall("seccomp", _SYS_SECCOMP, _SET_MODE_FILTER, flags, header)
    return descriptor if supervised else None


def _case(case: _Case) -> bytes:
    """Assemble one case: return its action if all conditions hold, else fall through to what follows."""
    action, conditions = case
    code = _step(_RETURN, action)
    for condition in reversed(conditions):
        skip = len(code) // 8
        load = _step(_LOAD, _ARGUMENTS_AT + 8 * condition.position)
        mask = b"" if condition.mask == _EVERY_BIT else _step(_AND, condition.mask)
        code = load + mask + _step(_JUMP_EQ, condition.value, otherwise=skip) + code
    return code


def _step(operation: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """Assemble one instruction; `then` and `otherwise` are how many to skip after a comparison."""
    return struct.pack("HBBI", operation, then, otherwise, value)
