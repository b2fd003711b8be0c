"""Copy a live kernel with all its state, and isolate the copy from its origin like any other kernel.

    agent    asks the fork server, over the kernel's channel, and sends the sockets for the copy
    server   asks the kernel, and from now on permits two forks, once
    kernel   forks twice: the copy becomes the server's child, the process in between ends, and the kernel goes on
    copy     calls `unshare`: it gets a user and a mount namespace of its own
    copy     calls it again: while it waits, the server mounts a new work directory into it and copies the files
    copy     moves there, lets go of everything it shares with its origin, and calls a third time: while it waits, the
             server checks from outside that it did, opens the sockets in it, and tells the agent

All three calls are stopped by the filter and answered by the server. The check from outside is what makes this sound:
the copy is a process that has run programs, so nothing it says counts. It could still hold open files, the current
directory or shared memory of its origin; a copy that holds any is killed, and the agent is told why. What belongs to
the copy alone, its sockets and its key, never passes through its origin.
"""

import os
import shutil
import signal
import socket
import stat
import time
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mumath_agent.sandbox import linux, namespaces
from mumath_agent.sandbox.confine import MAX_OPEN_FILES
from mumath_agent.sandbox.seccomp import BRANCH_NAMESPACES
from mumath_agent.sandbox.spec import WORK, KernelSpec
from mumath_agent.sandbox.supervisor import Call, host_number, threads_of

DEADLINE_S = 4.0
MAX_COPIED_BYTES = 64 << 20
GIVEN = (250, 251, 252, 0, 1, 2)
"""The descriptors of a copy's line to the server, its sockets (iopub, shell), its stdin, its stdout and its stderr."""
BRANCH = b"branch"


class BranchError(Exception):
    """Raised when a kernel can't be copied; the message says why."""


# In the kernel


def copy_process(server: int) -> bool:
    """Copy this process; return False in the original and True in the copy, which is a child of process `server`.

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


def settle_copy() -> None:
    """Part from the origin; afterwards the copy's own line, sockets and stdio are open, at `GIVEN`."""
    linux.unshare(BRANCH_NAMESPACES)
    linux.unshare(BRANCH_NAMESPACES)  # the work directory is mounted meanwhile
    linux.drop_capabilities()
    os.chdir(WORK)
    os.closerange(0, MAX_OPEN_FILES)  # also the standard ones: an open file has flags that both would see
    linux.unshare(BRANCH_NAMESPACES)  # the server checks everything meanwhile


# In the server


@dataclass(slots=True, eq=False)
class Branching:
    """A branch that is being made. The system calls it takes are permitted in their order, once."""

    origin: int
    """The process that is copied."""
    listener: int | None
    """The descriptor where system calls of the origin and its branches wait for an answer."""
    channel: socket.socket
    """The copy's channel to the agent."""
    given: list[int]
    """Descriptors for the copy."""
    line: socket.socket
    """The server's end of the line whose other end is the first of `given`."""
    spec: KernelSpec
    steps: int = 0
    between: int | None = None
    """A descriptor of the process between the two forks."""
    between_process: int = 0
    family: int | None = None
    """A descriptor of the origin's user namespace, in which every process that is forked for this stands until it is
    the copy. While it is open, no other namespace gets the number of this one."""
    helper: int | None = None
    """A descriptor of the process that makes the copy's work directory."""
    process: int = 0
    """The copy; 0 until it exists."""
    devices: tuple[int, int] = (0, 0)
    """The devices of its work directory and of its origin's."""
    until: float = field(default_factory=lambda: time.monotonic() + DEADLINE_S)

    def permits(self, call: Call, kernels: Container[int]) -> bool:
        """Return whether `call` is the next step. None of the processes `kernels` can be the copy."""
        stranger = call.process not in kernels
        match self.steps:
            case 0:
                expected = call.is_fork and call.process == self.origin and _has_one_thread(call.process)
            case 1:
                expected = call.is_fork and stranger
            case 2:  # the one between ends; if it became the copy, the other one would belong to nobody
                expected = call.is_unshare and stranger and call.process != self.between_process
            case _:
                expected = call.is_unshare and call.process == self.process
        return expected

    def close(self) -> None:
        """Close what was meant for the copy, and end the processes that helped to make it."""
        for descriptor in self.given:
            os.close(descriptor)
        for process in (self.between, self.helper):
            if process is not None:
                with suppress(ProcessLookupError):  # it ended, as it should
                    signal.pidfd_send_signal(process, signal.SIGKILL)
                os.close(process)
        self.given, self.between, self.helper = [], None, None


def _has_one_thread(process: int) -> bool:
    with suppress(OSError, StopIteration):
        return threads_of(process) == 1
    return False


def begin_mount(branching: Branching) -> int:
    """Begin to give a copy user ids and a work directory with its origin's files, which a program can make many.

    Returns:
        The descriptor that becomes readable when it is done, for `mounted`.
    """
    origin, copy, work_mb = branching.origin, branching.process, branching.spec.work_mb
    report, reported = os.pipe()
    if (helper := os.fork()) == 0:
        try:
            os.write(reported, "{} {}".format(*_mount_copy(origin, copy, work_mb)).encode())
        except BaseException as error:
            os.write(reported, f"{type(error).__name__}: {error}"[:500].encode())
        os._exit(0)
    os.close(reported)
    branching.helper = os.pidfd_open(helper)
    return report


def mounted(report: int) -> tuple[int, int]:
    """Return the devices of a copy's work directory and its origin's.

    Raises:
        BranchError: the directory couldn't be made.
    """
    said = os.read(report, 1000).decode().split()
    if len(said) != 2 or not all(word.isdecimal() for word in said):
        raise BranchError(f"its work directory could not be copied ({' '.join(said)})")
    return int(said[0]), int(said[1])


def _mount_copy(origin: int, copy: int, work_mb: int) -> tuple[int, int]:
    """Do it in a process that joins the copy's namespaces and then ends, so that it leaves nothing behind there."""
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
    return Path(WORK).stat().st_dev, os.fstat(before).st_dev


def _copy_files(before: int) -> None:
    """Copy regular files and directories only; a link could point anywhere."""
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


def inspect(branching: Branching) -> None:
    """Check from outside that a copy, which waits in a system call, holds nothing of its origin's.

    Raises:
        BranchError: it holds something.
    """
    handle = os.pidfd_open(branching.process)
    try:
        proc = Path(f"/proc/{host_number(handle)}")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        if int(status["CapEff"], 16) or int(status["CapPrm"], 16) or int(status["Threads"]) != 1:
            raise BranchError("it kept rights or threads it should have given up")
        if status["PPid"].strip() != str(Path("/proc/self").readlink()):
            raise BranchError("it isn't the server's child, which would not learn of its end")
        for link in (proc / "fd").iterdir():
            raise BranchError(f"it has files open ({link.readlink()})")
        own, origins = branching.devices
        memory = os.fstat(branching.given[-1]).st_dev
        if (proc / "cwd").stat().st_dev != own:
            raise BranchError("it stayed in its origin's directory")
        for line in (proc / "maps").read_text().splitlines():
            _, rights, _, device, _, *path = line.split(maxsplit=5)
            major, minor = (int(number, 16) for number in device.split(":"))
            foreign = rights.endswith("s") and not (path and path[0].startswith("/usr/"))
            # Also private ones: what the origin writes to the file later shows in pages the copy hasn't written to.
            if foreign or os.makedev(major, minor) in (origins, own, memory):
                raise BranchError("it shares memory with its origin")
    except (OSError, KeyError, ValueError) as error:
        raise BranchError(f"it could not be looked at ({error})") from None
    finally:
        os.close(handle)


def family_of(process: int) -> int | None:
    """Return a descriptor of a kernel's user namespace; None if it has ended, or has no namespace of its own."""
    with suppress(OSError):
        handle = os.pidfd_open(process)
        try:
            family = os.open(f"/proc/{host_number(handle)}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(handle)
        if not os.path.samestat(os.fstat(family), Path("/proc/self/ns/user").stat()):
            return family
        os.close(family)
    return None


def relatives(family: int) -> set[int]:
    """Return all processes of a user namespace, as they are numbered in our process id namespace."""
    wanted, ours = os.fstat(family), Path("/proc/self/ns/pid").stat()
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        with suppress(OSError, StopIteration, ValueError):
            if not entry.name.isdecimal() or not os.path.samestat((entry / "ns/user").stat(), wanted):
                continue
            if os.path.samestat((entry / "ns/pid").stat(), ours):
                status = (entry / "status").read_text().splitlines()
                found.add(int(next(line for line in status if line.startswith("NSpid:")).split()[-1]))
    return found
