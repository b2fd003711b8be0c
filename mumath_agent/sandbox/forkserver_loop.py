"""Serve the agent from the fork server: start kernels, copy kernels, and report how each ended.

Each kernel has a channel to the agent. Over it the server sends the kernel's process descriptor, says that it is ready
or failed, and in the end how it ended; over it the agent asks for a branch. When the agent closes it, the kernel is
killed.
"""

import fcntl
import functools
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mumath_agent.sandbox import linux, supervisor
from mumath_agent.sandbox.branch import (
    BRANCH,
    GIVEN,
    BranchError,
    Branching,
    begin_mount,
    family_of,
    inspect,
    mounted,
    relatives,
)
from mumath_agent.sandbox.confine import confine, limit_open_files
from mumath_agent.sandbox.kernel import KernelLoop
from mumath_agent.sandbox.shell import Shell
from mumath_agent.sandbox.spec import RLIMITS, KernelSpec, ServerSpec
from mumath_agent.sandbox.streams import capture_descriptors
from mumath_agent.sandbox.supervisor import Ruling
from mumath_agent.sandbox.warm import programs

MAX_MESSAGE_BYTES = 1 << 16
MAX_DESCRIPTORS = 8
STRAYS_AFTER_S = (0.2, 1.0, 3.0)
"""When processes that were forked for a branch and didn't become it are looked for, after its end."""
END = object()
MAX_REMARKS = 16
"""How much a kernel may say on its line without being asked: an honest one answers late at times."""
NICENESS = 5
"""How far kernels stand back behind the agent and the fork server, which all kernels wait for."""
FIRST_DESCRIPTOR = 3
"""Where a kernel finds its channel to the agent; its line to the server and its sockets follow."""


@dataclass(slots=True, eq=False)
class Child:
    """A kernel that the server has started."""

    process: int
    channel: socket.socket
    """The channel to the agent."""
    line: socket.socket
    """The line to the kernel."""
    spec: KernelSpec
    listener: int | None = None
    """The descriptor where system calls of the kernel, its branches and its origin wait for permission."""
    introduced: bool = False
    """True once it has sent its listener, which it does before it runs anything; nothing it sends later is trusted."""
    remarks: int = 0
    """How often it said something on its line without being asked."""


class ForkServerLoop:
    """Answers requests for kernels until the agent is gone."""

    def __init__(self, control: socket.socket, spec: ServerSpec) -> None:
        """Serve the agent at the other end of `control`."""
        self._control = control
        self._spec = spec
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, Child] = {}
        self._branchings: list[Branching] = []
        self._searches: dict[int, tuple[int, list[float]]] = {}
        """Whose strays to look for, as the number of the family and its descriptor, and when."""

    def serve(self) -> NoReturn:
        """Answer requests; in idle moments run the warm-up programs."""
        awake, wake = os.pipe()
        for end in (awake, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        if sys.platform == "linux":
            linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)  # branches become our children
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self._watch(awake, functools.partial(self._reap, awake))
        self._watch(self._control, self._start)
        tell(self._control, {"ready": True, "threads": _threads()})
        warming: Iterator[None] | None = programs(Shell.instance()) if self._spec.preload else None
        while True:
            pause_s = 0.2 if self._branchings or self._searches else 0 if warming else None
            events = self._selector.select(pause_s)
            for key, _ in events:
                if self._selector.get_map().get(key.fd) is key:  # an earlier event may have ended it
                    key.data()
            for late in [b for b in self._branchings if time.monotonic() > b.until]:
                self._fail(late, "it did not answer in time")
            self._end_strays()
            if warming and not (events or self._branchings) and next(warming, END) is END:
                warming = None

    def _watch(self, file: socket.socket | int, action: Callable[[], None]) -> None:
        self._selector.register(file, selectors.EVENT_READ, action)

    def _forget(self, file: socket.socket | int) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(file)
        file.close() if isinstance(file, socket.socket) else os.close(file)

    # Kernels

    def _start(self) -> None:
        data, descriptors, _, _ = socket.recv_fds(self._control, MAX_MESSAGE_BYTES, MAX_DESCRIPTORS)
        if not data:
            os._exit(0)  # the agent is gone
        spec = KernelSpec.from_bytes(data)
        channel = socket.socket(fileno=descriptors[0])
        ours, theirs = _line()
        try:
            process = os.fork() if self._spec.forks else 0
        except OSError as error:
            tell(channel, {"error": f"no process could be started: {error}"})
            channel.close()
            ours.close()
        else:
            if process == 0:
                if not self._spec.forks:
                    hand_over(channel, os.getpid())
                become_kernel(self._spec, spec, [descriptors[0], theirs.fileno(), *descriptors[1:]])
            self._adopt(Child(process, channel, ours, spec))
            hand_over(channel, process)
        theirs.close()
        for descriptor in descriptors[1:]:
            os.close(descriptor)

    def _adopt(self, child: Child) -> None:
        self._children[child.process] = child
        self._watch(child.channel, functools.partial(self._heard_agent, child))
        self._watch(child.line, functools.partial(self._heard_kernel, child))

    def _reap(self, awake: int) -> None:
        with suppress(BlockingIOError):
            os.read(awake, 4096)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                process, status = ended
                for branching in [b for b in self._branchings if process in (b.origin, b.process)]:
                    whose = "it" if process == branching.origin else "its copy"
                    self._fail(branching, f"{whose} has ended ({os.waitstatus_to_exitcode(status)})")
                if (child := self._children.pop(process, None)) is not None:
                    tell(child.channel, {"exit": os.waitstatus_to_exitcode(status)})
                    self._forget(child.channel)
                    self._forget(child.line)

    def _heard_agent(self, child: Child) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(child.channel, MAX_MESSAGE_BYTES, MAX_DESCRIPTORS)
        except OSError:
            data, descriptors = b"", []
        if data:
            self._branch(child, data, descriptors)
        else:  # the agent is done with it
            _kill(child.process)
            self._selector.unregister(child.channel)

    def _heard_kernel(self, child: Child) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(child.line, 4096, 1)
        except OSError:  # also where it is readable without holding data: urgent bytes
            data, descriptors = b"", []
        branchings = [b for b in self._branchings if b.origin == child.process]
        child.remarks += child.introduced and not branchings
        if not data or child.remarks > MAX_REMARKS:  # closed or misused; the kernel can't be copied then
            self._forget(child.line)
            data = b"it has cut its line to the fork server"
        if descriptors and not child.introduced and data == b"listener":  # "none" may come with a program's
            child.listener = descriptors[0]
            self._watch(child.listener, functools.partial(self._called, child.listener))
        else:
            for descriptor in descriptors:  # only a program sends any now
                os.close(descriptor)
            for branching in branchings:
                self._fail(branching, data[:200].decode("utf-8", "replace"))
        child.introduced = True

    # Branches

    def _branch(self, origin: Child, data: bytes, descriptors: list[int]) -> None:
        channel = socket.socket(fileno=descriptors[0])
        ours, theirs = _line()
        streams = [os.open(os.devnull, os.O_RDONLY), *(os.memfd_create(name) for name in ("1", "2"))]
        for stream in streams[1:]:
            fcntl.fcntl(stream, fcntl.F_SETFL, os.O_APPEND | os.O_RDWR)
        given = [theirs.detach(), *descriptors[1:], *streams]
        spec = KernelSpec.from_bytes(data)
        family = family_of(origin.process)
        branching = Branching(origin.process, origin.listener, channel, given, ours, spec, family=family)
        try:
            if origin.process not in self._children:
                raise BranchError("it has ended")
            if any(b.listener == origin.listener for b in self._branchings):
                raise BranchError("it or a relative is being copied already")
            if origin.line.fileno() < 0:
                raise BranchError("it has cut its line to the fork server")
            origin.line.send(BRANCH)
        except (OSError, BranchError) as error:
            self._fail(branching, str(error))
        else:
            self._branchings.append(branching)

    def _called(self, listener: int) -> None:
        """Answer a system call that needs permission."""
        try:
            call = supervisor.next_call(listener)
        except EOFError:
            self._forget(listener)
            return
        if call is None:
            return
        ruling: Ruling | None = Ruling.REFUSED
        for branching in [b for b in self._branchings if b.listener == listener]:
            if branching.permits(call, self._children):
                with self._failing(branching, call):
                    ruling = self._step(branching, call)
        if ruling is not None:
            supervisor.answer(listener, call, ruling)

    @contextmanager
    def _failing(self, branching: Branching, call: supervisor.Call) -> Iterator[None]:
        """End the caller and give up `branching` where something isn't as it should be."""
        try:
            yield
        except (BranchError, OSError) as error:
            _kill(call.process)
            self._fail(branching, str(error))

    def _step(self, branching: Branching, call: supervisor.Call) -> Ruling | None:
        """Make the next step; return the answer to `call`, or None where that takes time."""
        branching.steps += 1
        match branching.steps:
            case 2:
                branching.between, branching.between_process = os.pidfd_open(call.process), call.process
            case 3:
                branching.process = call.process
            case 4:
                report = begin_mount(branching)
                self._watch(report, functools.partial(self._mounted, branching, call, report))
                return None
            case 5:
                inspect(branching)
                self._admit(branching, call)
        return Ruling.DONE if branching.steps > 3 else Ruling.MADE

    def _mounted(self, branching: Branching, call: supervisor.Call, report: int) -> None:
        if branching in self._branchings:  # it may have failed meanwhile
            with self._failing(branching, call):
                branching.devices = mounted(report)
                assert branching.listener is not None
                supervisor.answer(branching.listener, call, Ruling.DONE)
        self._forget(report)

    def _admit(self, branching: Branching, call: supervisor.Call) -> None:
        assert branching.listener is not None
        branching.line.send(branching.spec.to_bytes())
        for descriptor, number in zip(branching.given, GIVEN, strict=True):
            supervisor.give(branching.listener, call, descriptor, number)
        branching.close()
        self._branchings.remove(branching)
        self._search(branching)
        process, channel, line = branching.process, branching.channel, branching.line
        self._adopt(Child(process, channel, line, branching.spec, branching.listener, introduced=True))
        hand_over(channel, process)
        tell(channel, {"ready": True})

    def _fail(self, branching: Branching, why: str) -> None:
        if branching in self._branchings:
            self._branchings.remove(branching)
        tell(branching.channel, {"error": f"the kernel can't be copied: {why}"})
        branching.channel.close()
        branching.line.close()
        branching.close()
        if branching.process not in self._children:
            _kill(branching.process)
        self._search(branching)

    def _search(self, branching: Branching) -> None:
        """Look for strays of `branching` from now on: a fork that was permitted a moment ago may still be under way."""
        if branching.family is None:
            return
        number, now = os.fstat(branching.family).st_ino, time.monotonic()
        if number in self._searches:
            os.close(self._searches[number][0])
        self._searches[number] = branching.family, [now + pause_s for pause_s in STRAYS_AFTER_S]
        branching.family = None

    def _end_strays(self) -> None:
        """Kill whatever was forked for a branch that failed or is complete, and isn't a kernel."""
        now = time.monotonic()
        busy = {os.fstat(b.family).st_ino for b in self._branchings if b.family is not None}
        for number, (family, times) in list(self._searches.items()):
            if number in busy or times[0] > now:
                continue
            for stray in relatives(family) - {*self._children, os.getpid()}:
                _kill(stray)
            del times[0]
            if not times:
                os.close(family)
                del self._searches[number]


def become_kernel(server: ServerSpec, spec: KernelSpec, descriptors: list[int]) -> NoReturn:
    """Turn this process into a kernel: give up every right, then serve."""
    report = None
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()  # Linux may share processors out by session, so that many threads get no more than one
        os.nice(NICENESS)
        report, line, *sockets = _only(descriptors)
        capture_descriptors()
        listener = confine(server, spec)
        if listener is None:
            with suppress(OSError):  # the other end is closed if the kernel wasn't forked
                line.send(b"none")
        else:
            socket.send_fds(line, [b"listener"], [listener])
            os.close(listener)
        if RLIMITS in server.layers:
            limit_open_files()
        kernel = KernelLoop(Shell.instance(), spec, sockets, line)
        tell(report, {"ready": True})
        if server.forks:
            report.close()
        kernel.serve()
        os._exit(0)
    except BaseException as error:
        if report is not None:
            tell(report, {"error": f"{type(error).__name__}: {error}"})
        os._exit(1)


def _only(descriptors: list[int]) -> list[socket.socket]:
    """Close all files except stdio and these, which become 3, 4, 5 and so on."""
    aside = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 64) for descriptor in descriptors]
    for n, descriptor in enumerate(aside):
        os.dup2(descriptor, FIRST_DESCRIPTOR + n, inheritable=False)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(FIRST_DESCRIPTOR + len(aside), soft)
    return [socket.socket(fileno=FIRST_DESCRIPTOR + n) for n in range(len(aside))]


def _line() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a line to a kernel. Ours never waits, whatever a program sends on the other."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    return ours, theirs


def hand_over(channel: socket.socket, process: int) -> None:
    """Give the agent the means to send signals to `process`, whatever its number is outside."""
    if sys.platform == "linux":
        handle = os.pidfd_open(process)
        with suppress(OSError):
            socket.send_fds(channel, [b'{"process": true}'], [handle])
        os.close(handle)
    else:
        tell(channel, {"process": process})


def tell(channel: socket.socket, news: dict[str, Any]) -> None:
    """Send news to the agent; it may be gone."""
    with suppress(OSError):
        channel.send(json.dumps(news).encode())


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        if process > 1:  # 0 would be our whole group
            os.kill(process, signal.SIGKILL)


def _threads() -> int:
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except OSError:
        return 1
