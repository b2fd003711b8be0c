"""Runs a command where some system calls are refused, as old kernels and container profiles refuse them.

    python without.py namespaces,landlock UID COMMAND ...

A filter of its own, written beside the library's: it must not share its mistakes.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from pathlib import Path

from canaries import open_the_way

X86_64 = platform.machine() == "x86_64"
REFUSALS = {
    "namespaces": (272 if X86_64 else 97, errno.EPERM),  # unshare; so does Docker
    "landlock": (444, errno.ENOSYS),  # landlock_create_ruleset; so does Linux before 5.13
    "landlock-disabled": (444, errno.EOPNOTSUPP),  # built in, but not named in `lsm=`
    "seccomp": (317 if X86_64 else 277, errno.EPERM),  # seccomp
    "rlimits": (302 if X86_64 else 261, errno.EPERM),  # prlimit64
}
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ERRNO, ALLOW = 0x00050000, 0x7FFF0000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2


def step(operation: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("HBBI", operation, then, otherwise, value)


def refuse(*names: str) -> None:
    """From now on, in this process and all it starts."""
    program = step(LOAD, 0)
    for number, error in map(REFUSALS.__getitem__, names):
        program += step(JUMP_EQUAL, number, otherwise=1) + step(RETURN, ERRNO | error)
    program += step(RETURN, ALLOW)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    for option, *arguments in (
        (PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), ctypes.c_ulong(0)),
        (PR_SET_SECCOMP, ctypes.c_ulong(MODE_FILTER), header),
    ):
        if libc.prctl(option, *arguments, ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def become(uid: int) -> None:
    """Become an ordinary user who can read this installation all the same."""
    open_the_way([Path(sys.base_prefix).resolve(), Path(sys.prefix), Path(__file__).parents[3]])
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


if __name__ == "__main__":
    if int(sys.argv[2]) != os.getuid():
        become(int(sys.argv[2]))
    refuse(*filter(None, sys.argv[1].split(",")))
    os.execv(sys.argv[3], sys.argv[3:])
