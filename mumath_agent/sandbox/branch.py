"""Branches: a live kernel copied with all its state, and then as isolated from its origin as any other kernel.

    agent    asks the fork server, over the kernel's channel, and sends the sockets for the copy
    server   passes them on to the kernel, and will permit two forks and one `unshare`, once
    kernel   forks twice: the copy becomes the server's child, and the kernel goes on
    copy     takes a user and a mount namespace of its own
    server   mounts a new work directory into it and copies the files
    copy     moves there, lets go of everything it shares with its origin
    server   looks from outside whether it did, and only then tells the agent

The looking is what makes it sound: the copy runs in a process that has run programs, so its word counts for nothing.
What a copy could still hold of its origin are open files, the current directory and shared memory; a copy that holds
any of them is killed, and the agent is told why.
"""

import os
import shutil
import signal
import socket
import stat
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mumath_agent.sandbox import linux, namespaces
from mumath_agent.sandbox.seccomp import BRANCH_NAMESPACES
from mumath_agent.sandbox.spec import WORK
from mumath_agent.sandbox.supervisor import Call, host_number, threads_of

DEADLINE_S = 5.0
MAX_COPIED_BYTES = 64 << 20
HELLO, MOUNTED, MOVED, GO = b"hello", b"mounted", b"moved", b"go"


class BranchError(Exception):
    """Why a kernel can't be copied."""


# In the kernel


def copy_process(server: int) -> bool:
    """Copy this process; False in the original, True in the copy, which is a child of process `server`.

    Raises:
        BranchError: the server doesn't permit it.
    """
    try:
        between = os.fork()
    except OSError:
        raise BranchError("it has threads running, or copying was not permitted") from None
    if between:
        os.waitpid(between, 0)
        return False
    try:
        if os.fork():
            os._exit(0)
    except OSError:
        os._exit(1)
    while os.getppid() != server:
        time.sleep(0.0002)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    return True


def settle_copy(line: socket.socket, kept: list[int]) -> None:
    """Be a kernel of one's own; all files but stdio and `kept` are closed."""
    linux.unshare(BRANCH_NAMESPACES)
    line.send(HELLO)
    if line.recv(16) != MOUNTED:
        os._exit(0)
    linux.drop_capabilities()
    os.chdir(WORK)
    first = 3
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, 4096)
    line.send(MOVED)
    if line.recv(16) != GO:
        os._exit(0)


# In the server


@dataclass(slots=True, eq=False)
class Branching:
    """A branch on its way. The calls it takes are permitted in this order, once."""

    origin: int
    listener: int | None
    """Where calls of the origin's family wait."""
    channel: socket.socket
    """To the agent."""
    line: socket.socket
    """To the copy."""
    sockets: frozenset[int]
    """Inodes of what the copy may hold."""
    steps: int = 0
    between: int = 0
    process: int = 0
    """The copy, once it was heard of."""
    device: int = 0
    """Of its work directory."""
    until: float = field(default_factory=lambda: time.monotonic() + DEADLINE_S)

    def permits(self, listener: int, call: Call) -> bool:
        """Whether `call` is the next step."""
        if listener != self.listener:
            return False
        match self.steps:
            case 0:
                expected = call.is_fork and call.process == self.origin and _has_one_thread(call.process)
            case 1:
                expected = call.is_fork and call.process != self.origin
                self.between = call.process
            case 2:
                expected = call.is_unshare and call.process not in (self.origin, self.between)
            case _:
                expected = False
        self.steps += expected
        return expected


def _has_one_thread(process: int) -> bool:
    with suppress(OSError, StopIteration):
        return threads_of(process) == 1
    return False


def mount_copy(origin: int, copy: int, work_mb: int) -> int:
    """Give `copy` ids and a work directory with the files of its origin; the directory's device.

    Raises:
        BranchError: it can't be done.
    """
    report, reported = os.pipe()
    if (helper := os.fork()) == 0:
        try:
            os.write(reported, str(_mount_copy(origin, copy, work_mb)).encode())
        except BaseException as error:
            os.write(reported, f"{type(error).__name__}: {error}"[:500].encode())
        os._exit(0)
    os.close(reported)
    os.waitpid(helper, 0)
    said = os.read(report, 1000).decode()
    os.close(report)
    if not said.isdecimal():
        raise BranchError(f"its work directory could not be copied ({said})")
    return int(said)


def _mount_copy(origin: int, copy: int, work_mb: int) -> int:
    """In a process of its own, that joins the copy's namespaces: nothing of it is left behind there."""
    handles = os.pidfd_open(origin), os.pidfd_open(copy)
    number = host_number(handles[1])
    linux.setns(handles[0], linux.CLONE_NEWUSER)
    inner = namespaces.INNER_UID
    namespaces.map_ids(inner, inner, inner, inner, str(number))
    linux.setns(handles[1], linux.CLONE_NEWUSER | linux.CLONE_NEWNS)
    os.setresgid(inner, inner, inner)
    os.setresuid(inner, inner, inner)
    before = os.open(WORK, os.O_PATH | os.O_DIRECTORY)
    namespaces.mount_work(work_mb)
    _copy_files(before)
    return Path(WORK).stat().st_dev


def _copy_files(before: int) -> None:
    """Regular files and directories only; a link could point anywhere."""
    source = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=before)
    left = MAX_COPIED_BYTES
    for directory, _, names, handle in os.fwalk(".", dir_fd=source, follow_symlinks=False):
        target = Path(WORK, directory)
        target.mkdir(exist_ok=True)
        for name in names:
            if not stat.S_ISREG(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
                continue
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=handle)
            with os.fdopen(file, "rb") as old, (target / name).open("wb") as new:
                left -= os.fstat(file).st_size
                if left < 0:
                    raise OSError("too many bytes")
                shutil.copyfileobj(old, new)


def inspect(branching: Branching, memory: frozenset[int]) -> None:
    """See from outside that a copy holds nothing of its origin's; `memory` are the inodes of its own stdio.

    Raises:
        BranchError: it does.
    """
    handle = os.pidfd_open(branching.process)
    try:
        proc = Path(f"/proc/{host_number(handle)}")
        for link in (proc / "fd").iterdir():
            target = link.stat()
            own = target.st_ino in (branching.sockets if stat.S_ISSOCK(target.st_mode) else memory)
            if not own and not (stat.S_ISCHR(target.st_mode) and link.readlink() == Path("/dev/null")):
                raise BranchError(f"it has files open ({link.readlink()})")
        if (proc / "cwd").stat().st_dev != branching.device:
            raise BranchError("it stayed in its origin's directory")
        for line in (proc / "maps").read_text().splitlines():
            if line.split()[1].endswith("s") and "w" in line.split()[1]:
                raise BranchError("it shares memory with its origin")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        if int(status["CapEff"], 16) or int(status["CapPrm"], 16) or int(status["Threads"]) != 1:
            raise BranchError("it kept rights it should have given up")
    except (OSError, KeyError, ValueError) as error:
        raise BranchError(f"it could not be looked at ({error})") from None
    finally:
        os.close(handle)


def credentials(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The process that sent a message, as the system says; 0 if it didn't."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == getattr(socket, "SCM_CREDENTIALS", -1):
            return int.from_bytes(data[:4], sys.byteorder)
    return 0


def siblings() -> set[int]:
    """All processes that share our process ids, as we number them."""
    ours = Path("/proc/self/ns/pid").readlink()
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        with suppress(OSError, StopIteration, ValueError):
            if entry.name.isdecimal() and (entry / "ns/pid").readlink() == ours:
                status = (entry / "status").read_text().splitlines()
                found.add(int(next(line for line in status if line.startswith("NSpid:")).split()[-1]))
    return found
