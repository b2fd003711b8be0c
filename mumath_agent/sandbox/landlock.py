"""Limit which files a process may touch, with Landlock: once, for itself and everything it starts.

Reading is granted beneath `readable`, everything except special files beneath `writable`. The rest of the file system,
TCP, and (where the kernel can do it) abstract sockets and signals to processes outside are denied. Rules that only
newer kernels offer are used where they exist.
"""

import os
import struct
from collections.abc import Iterable

from mumath_agent.sandbox import linux

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_REQUEST = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << n for n in range(6))
_MAKE_DIR, _MAKE_REG = 1 << 7, 1 << 8
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FIRST_VERSION_RIGHTS = (1 << 13) - 1
_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_NO_TCP, _NO_FOREIGN_SOCKETS_AND_SIGNALS = 0b11, 0b11


def version() -> int:
    """Return the version of Landlock's interface in this kernel.

    Raises:
        OSError: it has no Landlock, or it is switched off.
    """
    return linux.syscall("landlock_create_ruleset", _CREATE_RULESET, None, 0, _VERSION_REQUEST)


def restrict(*, readable: Iterable[str], writable: Iterable[str]) -> None:
    """Restrict this thread and everything it starts from now on. Paths that don't exist are skipped.

    Raises:
        OSError: a step failed; the process must not go on.
    """
    spoken = version()
    rights = _FIRST_VERSION_RIGHTS
    rights |= _REFER if spoken >= 2 else 0
    rights |= _TRUNCATE if spoken >= 3 else 0
    rights |= _IOCTL_DEV if spoken >= 5 else 0
    attributes = struct.pack("Q", rights)
    attributes += struct.pack("Q", _NO_TCP) if spoken >= 4 else b""
    attributes += struct.pack("Q", _NO_FOREIGN_SOCKETS_AND_SIGNALS) if spoken >= 6 else b""
    ruleset = linux.syscall("landlock_create_ruleset", _CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for paths, granted in ((readable, _READ), (writable, _WRITE)):
            for path in paths:
                _allow(ruleset, path, granted & rights)
        linux.syscall("landlock_restrict_self", _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - pathlib is slower, and this runs in every new kernel
            rights &= _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, descriptor)
        linux.syscall("landlock_add_rule", _ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
