"""Make the few system calls Python has no function for, through ctypes: nothing to compile or install.

Each raises OSError with the call's name, so that a report can say which step of a confinement failed and why.
"""

import ctypes
import os
import platform
from typing import Final

X86_64: Final = platform.machine() == "x86_64"

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 36, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
_MNT_DETACH = 2
_MADV_COLLAPSE = 25
"""Since Linux 6.1; elsewhere it fails, and the failure is ignored."""
_CAPABILITY_VERSION_3 = 0x20080522
_SYS_PIVOT_ROOT = 155 if X86_64 else 41

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def checked(result: int, what: str) -> int:
    """Return `result` of a C call, or raise the OSError it stands for."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(what: str, number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make the system call of this number; integers are passed as unsigned long."""
    words = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    return checked(_libc.syscall(ctypes.c_long(number), *words), what)


def prctl(option: int, argument: int = 0) -> None:
    """Change an attribute of this process or thread, as prctl does."""
    words = [ctypes.c_ulong(word) for word in (argument, 0, 0, 0)]
    checked(_libc.prctl(option, *words), f"prctl({option})")


def unshare(flags: int) -> None:
    """Move this process into new namespaces, as unshare does."""
    checked(_libc.unshare(flags), f"unshare({flags:#x})")


def setns(descriptor: int, flags: int) -> None:
    """Join namespaces of another process, given by its process descriptor, as setns does."""
    checked(_libc.setns(descriptor, flags), f"setns({flags:#x})")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount a file system of type `kind`, or change a mount, as mount does."""
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    checked(
        _libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]),
        f"mount({kind or source}, {target})",
    )


def move_root_to(directory: str) -> None:
    """Make `directory` the root of this mount namespace; nothing of the old root can be reached any more."""
    os.chdir(directory)
    syscall("pivot_root", _SYS_PIVOT_ROOT, b".", b".")
    checked(_libc.umount2(b".", _MNT_DETACH), "umount2")
    os.chdir("/")


def gather_memory() -> None:
    """Put our memory into large pages where possible, so that a fork has less to copy. Failing does no harm."""
    size = 2 << 20
    with open("/proc/self/maps") as file:  # noqa: PTH123
        maps = [line.split(maxsplit=5) for line in file]
    for span, rights, _, _, inode, *name in maps:
        if rights == "rw-p" and inode == "0" and (not name or name[0].strip() != "[stack]"):
            start, end = (int(number, 16) for number in span.split("-"))
            for at in range(-(-start // size) * size, end // size * size, size):
                _libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(size), _MADV_COLLAPSE)


def drop_capabilities() -> None:
    """Give up every capability, also those a later exec could regain."""
    for capability in range(64):
        if _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) < 0:
            break  # past the last capability, or not allowed, in which case there is none to drop
    _libc.prctl(PR_CAP_AMBIENT, ctypes.c_ulong(PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0)
    header = _CAPABILITY_VERSION_3.to_bytes(4, "little") + bytes(4)
    checked(_libc.capset(header, bytes(24)), "capset")
