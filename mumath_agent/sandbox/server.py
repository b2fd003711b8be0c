"""The fork server: imports what programs need once, then forks a kernel per request.

    agent --exec--> guardian --fork--> server --fork--> kernel, kernel, ...

The guardian outlives the agent by a moment: when the agent is gone, in whatever way, it kills the server, with it goes
every kernel, and the private directory is removed. The server never runs a program; it has one thread and no event
loop, so forking it is sound. Each kernel has a channel to the agent of its own: over it go the kernel's process
descriptor, the news that it is ready or failed, and in the end how it ended; if the agent closes it, the kernel is
killed.
"""

import gc
import importlib
import json
import os
import select
import selectors
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

# All that a kernel needs of this package, now: after the change of root it can't be found any more.
from mumath_agent.sandbox import namespaces
from mumath_agent.sandbox.confine import LayerError, confine, die_with_parent, needed_for
from mumath_agent.sandbox.kernel import Kernel
from mumath_agent.sandbox.shell import Shell, new_shell
from mumath_agent.sandbox.spec import LANDLOCK, NAMESPACES, SECCOMP, WORK, KernelSpec, ServerSpec
from mumath_agent.sandbox.streams import capture_descriptors

MAX_MESSAGE_BYTES = 1 << 16
MAX_DESCRIPTORS = 8
FIRST_DESCRIPTOR = 3
"""Of a kernel: its report channel; its sockets follow."""
CHECK = KernelSpec(key="", channels=[], work="/", memory_mb=1024, work_mb=1, max_output_chars=1)


def main(descriptor: int) -> NoReturn:
    """Serve the agent at the other end of socket `descriptor`, as the spec it sends first says."""
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    spec = ServerSpec.from_bytes(control.recv(MAX_MESSAGE_BYTES))
    sys.path[:] = spec.path
    was_root = os.getuid() == 0
    try:
        if NAMESPACES in spec.layers:
            with needed_for(NAMESPACES):
                namespaces.leave_process_ids()
        if (server := os.fork()) != 0:
            guard(control, server, spec)
        if sys.platform == "linux":
            die_with_parent()
        if NAMESPACES in spec.layers:
            with needed_for(NAMESPACES):
                namespaces.leave_host(spec.runtime, spec.libraries, was_root=was_root)
            os.environ |= dict.fromkeys(("HOME", "TMPDIR", "IPYTHONDIR"), WORK)
        check(spec)
        prepare(spec)
    except BaseException as error:
        traceback.print_exc()
        tell(control, {"error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    Server(control, spec).serve()


def guard(control: socket.socket, server: int, spec: ServerSpec) -> NoReturn:
    """Wait until the agent or the server is gone, and see to it that nothing of either stays."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the agent's to answer
    gone = select.poll()
    gone.register(control, 0)  # hang-up only
    watched = os.pidfd_open(server) if sys.platform == "linux" else None
    if watched is not None:
        gone.register(watched, select.POLLIN)
    while not gone.poll(None if watched is not None else 100) and not _ended(server):
        pass
    with suppress(ProcessLookupError):
        os.kill(server, signal.SIGKILL)
    _, status = os.waitpid(server, 0)
    tell(control, {"exit": os.waitstatus_to_exitcode(status)})
    shutil.rmtree(spec.runtime, ignore_errors=True)
    os._exit(0)


def _ended(process: int) -> bool:
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def check(spec: ServerSpec) -> None:
    """Have a child give up its rights and try what it must not be able to do: what counts is what happens.

    Raises:
        OSError: it failed to give them up, or something was still possible.
    """
    if not {LANDLOCK, SECCOMP} & set(spec.layers):
        return
    report, reported = os.pipe()
    if (child := os.fork()) == 0:
        os.close(report)
        os.write(reported, _attempt(spec).encode())
        os._exit(0)
    os.close(reported)
    os.waitpid(child, 0)
    problem = os.read(report, MAX_MESSAGE_BYTES).decode()
    os.close(report)
    if problem != "confined":
        layer, _, reason = problem.partition(":")
        raise LayerError(layer, reason or "a confined process died at once")


def _attempt(spec: ServerSpec) -> str:
    try:
        listener = confine(spec, replace(CHECK, work=spec.runtime))
        if listener is not None:
            os.close(listener)  # nobody answers: what would be asked is refused
    except LayerError as error:
        return f"{error.layer}:{error.reason}"
    except OSError as error:
        return f":{error}"
    forbidden: list[tuple[str, str, Callable[[], Any]]] = []
    if LANDLOCK in spec.layers:
        forbidden.append((LANDLOCK, "the root directory could be listed", lambda: list(Path("/").iterdir())))
    if SECCOMP in spec.layers:
        forbidden.append((SECCOMP, "a socket could be opened", socket.socket))
        forbidden.append((SECCOMP, "a program could be run", lambda: os.execv("/nonexistent", ["x"])))
    for layer, problem, attempt in forbidden:
        try:
            attempt()
        except PermissionError:
            continue
        except OSError:
            pass
        return f"{layer}:although it was set up, {problem}"
    return "confined"


def prepare(spec: ServerSpec) -> None:
    """Import everything a kernel needs, so that its pages are shared by all."""
    for module in spec.preload:
        with suppress(ImportError):
            importlib.import_module(module)
    sys.path[:] = [path for path in sys.path if path in spec.libraries or _within(path, spec.libraries)]
    new_shell()
    gc.collect()
    gc.freeze()


def _within(path: str, directories: list[str]) -> bool:
    return any(Path(path).is_relative_to(directory) for directory in directories)


class Server:
    """Answers requests for kernels until the agent is gone."""

    def __init__(self, control: socket.socket, spec: ServerSpec) -> None:
        self._control = control
        self._spec = spec
        self._selector = selectors.DefaultSelector()
        self._channels: dict[int, socket.socket] = {}
        """Process id to the channel of the agent that waits for its end."""

    def serve(self) -> NoReturn:
        awake, wake = os.pipe()
        for end in (awake, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._selector.register(awake, selectors.EVENT_READ)
        self._selector.register(self._control, selectors.EVENT_READ)
        tell(self._control, {"ready": True, "threads": _threads()})
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    self._start()
                elif key.fileobj == awake:
                    os.read(awake, 4096)
                    self._reap()
                else:
                    self._abandoned(key.data)

    def _start(self) -> None:
        data, descriptors, _, _ = socket.recv_fds(self._control, MAX_MESSAGE_BYTES, MAX_DESCRIPTORS)
        if not data:
            os._exit(0)  # the agent is gone
        channel = socket.socket(fileno=descriptors[0])
        try:
            process = os.fork() if self._spec.forks else 0
        except OSError as error:
            tell(channel, {"error": f"no process could be started: {error}"})
            channel.close()
        else:
            if process == 0:
                if not self._spec.forks:
                    hand_over(channel, os.getpid())
                become_kernel(self._spec, KernelSpec.from_bytes(data), descriptors)
            self._channels[process] = channel
            self._selector.register(channel, selectors.EVENT_READ, process)
            hand_over(channel, process)
        for descriptor in descriptors[1:]:
            os.close(descriptor)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                process, status = ended
                if (channel := self._channels.pop(process, None)) is not None:
                    tell(channel, {"exit": os.waitstatus_to_exitcode(status)})
                    self._selector.unregister(channel)
                    channel.close()

    def _abandoned(self, process: int) -> None:
        """The agent closed a kernel's channel: nobody wants it any more."""
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        self._selector.unregister(self._channels[process])


def become_kernel(server: ServerSpec, spec: KernelSpec, descriptors: list[int]) -> NoReturn:
    """Give up every right, then serve programs."""
    report = None
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        report, *sockets = _only(descriptors)
        capture_descriptors()
        listener = confine(server, spec)
        if listener is not None:
            os.close(listener)
        kernel = Kernel(Shell.instance(), spec, sockets)
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
    """Close all files but stdio and these, which become 3, 4, 5 ..."""
    high = [os.dup2(descriptor, 512 + n, inheritable=False) for n, descriptor in enumerate(descriptors)]
    for n, descriptor in enumerate(high):
        os.dup2(descriptor, FIRST_DESCRIPTOR + n, inheritable=False)
    os.closerange(FIRST_DESCRIPTOR + len(high), 1024)
    return [socket.socket(fileno=FIRST_DESCRIPTOR + n) for n in range(len(high))]


def hand_over(channel: socket.socket, process: int) -> None:
    """Give the agent the means to send signals to `process`, whatever its number is out there."""
    if sys.platform == "linux":
        handle = os.pidfd_open(process)
        socket.send_fds(channel, [b'{"process": true}'], [handle])
        os.close(handle)
    else:
        tell(channel, {"process": process})


def tell(channel: socket.socket, news: dict[str, Any]) -> None:
    with suppress(OSError):
        channel.send(json.dumps(news).encode())


def _threads() -> int:
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except OSError:
        return 1
