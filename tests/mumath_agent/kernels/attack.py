"""What an attack is: a notebook cell that tries something for real, against canaries only, and says how it went.

A cell's last act is to print one line, `BREACH` or `held: <reason>`. An exception, or a kernel that dies of it, counts
as held. Whether traces show up outside is for the host to see, whatever the cell says (`canaries.py`).
"""

import base64
from dataclasses import dataclass
from typing import Literal

Kind = Literal["net", "read", "write", "proc", "priv", "res", "proto", "persist"]

NAMESPACES = frozenset({"namespaces"})
LANDLOCK = frozenset({"landlock"})
SECCOMP = frozenset({"seccomp"})
RLIMITS = frozenset({"rlimits"})
LAYERS = NAMESPACES | LANDLOCK | SECCOMP | RLIMITS

# Numbers of system calls that have no function in Python: on x86_64 and on aarch64.
_NUMBERS = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "capget": (125, 90),
    "capset": (126, 91),
    "clone": (56, 220),
    "clone3": (435, 435),
    "execveat": (322, 281),
    "fchmodat2": (452, 452),
    "get_robust_list": (274, 100),
    "init_module": (175, 105),
    "io_uring_setup": (425, 425),
    "ioprio_set": (251, 30),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "openat": (257, 56),
    "openat2": (437, 437),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "prctl": (157, 167),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "rt_sigqueueinfo": (129, 138),
    "semctl": (66, 191),
    "semget": (64, 190),
    "setns": (308, 268),
    "shmctl": (31, 195),
    "shmget": (29, 194),
    "syslog": (103, 116),
    "tgkill": (234, 131),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}

PRELUDE = f"""
import ctypes, errno, os, platform, socket, struct, sys, time
_column = ("x86_64", "aarch64").index(platform.machine())
_numbers = {{name: pair[_column] for name, pair in {_NUMBERS!r}.items()}}
_libc = ctypes.PyDLL(None, use_errno=True)  # which never lets another thread run: a child has no other
_libc.syscall.restype = ctypes.c_long

def sc(call, *arguments):
    "A raw system call, by name or number."
    ctypes.set_errno(0)
    plain = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = _libc.syscall(ctypes.c_long(_numbers.get(call, call)), *plain)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(call))
    return result

def reached(call, *arguments):
    "Whether the kernel of the system looks at such a call at all, whatever it thinks of these arguments."
    try:
        sc(call, *arguments)
    except OSError as error:
        return error.errno not in (errno.EPERM, errno.ENOSYS)
    return True

def verdict(succeeded, reason="it did not work"):
    print("BREACH" if succeeded else f"held: {{reason}}")

def host_decides():
    print("held: as far as the cell can tell; the host looks for traces")
"""


@dataclass(frozen=True, slots=True)
class Attack:
    """One thing to try. Marks such as `@secret@` in its cells stand for what the scene puts there."""

    name: str
    kind: Kind
    row: int
    """Its number in the list of 67 kinds of attack this suite was planned from."""
    code: str
    leaks_without: frozenset[str] = frozenset()
    """The layers whose absence alone is known to let it through."""
    later: str = ""
    """A cell for the next problem's session; it says whether anything of `code` arrived there."""
    wait_s: float = 0
    """How long after the kernel's end traces may still show up."""
    fresh: bool = False
    """It leaves a stock kernel in no state to go on with."""
    by_design: str = ""
    """Why it may succeed everywhere."""
    needs_control: bool = True
    """False where a stock kernel has nothing of the kind to attack."""

    def cells(self, marks: dict[str, str]) -> tuple[str, str]:
        """`code` and `later` as they are run."""
        return _cell(self.code, marks), _cell(self.later, marks) if self.later else ""


def _cell(code: str, marks: dict[str, str]) -> str:
    text = PRELUDE + code
    for mark, value in marks.items():
        text = text.replace(f"@{mark}@", value)
    return text


def machine_code(text: str) -> str:
    """Bytes as an expression for a cell."""
    return f"__import__('base64').b64decode({base64.b64encode(bytes.fromhex(text)).decode()!r})"
