"""Start and end fork servers, and find out which layers of isolation this machine has.

One server serves all kernels of this process that want the same layers; it starts when the first kernel is wanted and
lives as long as this process. Nothing here belongs to an event loop. What runs inside is `mumath_agent.sandbox`.
"""

import asyncio
import atexit
import concurrent.futures
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import anyio

from mumath_agent.errors import KernelError
from mumath_agent.kernels.isolation import (
    UNKNOWN,
    Sandbox,
    level_name,
    libraries,
    meets_floor,
    refusal,
    warning,
)
from mumath_agent.kernels.process import PACKETS
from mumath_agent.sandbox.namespaces import NOBODY
from mumath_agent.sandbox.spec import (
    LAYERS,
    NAMESPACES,
    RLIMITS,
    ServerSpec,
)

START_TIMEOUT_S = 60.0
"""Generous: a busy machine is slow, not broken."""
MAX_RUNTIME_PATH = 80
"""In characters. A socket's path may have 103 of them on every system; ours lie two names deeper."""
_BOOT = """import sys
sys.path.insert(0, sys.argv[2])
from mumath_agent.sandbox.guardian import main
main(int(sys.argv[1]), sys.argv[3], int(sys.argv[4]))"""
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""The only variables of our environment a kernel gets to see. An allow-list, because API keys can have any name."""


class CannotForkError(KernelError):
    """Raised when a server has threads: a copy of it would have their locks, but not the threads."""


class ForkServer:
    """A running server process, as the agent sees it."""

    def __init__(self, layers: frozenset[str], preload: tuple[str, ...], *, forks: bool) -> None:
        """Start the server; `ready` waits for it.

        Args:
            layers: the layers of isolation all its kernels get.
            preload: modules it imports before the first fork.
            forks: False lets the process become its first and only kernel, where forking isn't sound.

        Raises:
            OSError: no process could be started.
        """
        self.layers = layers
        self.forks = forks
        self.control, theirs = socket.socketpair(socket.AF_UNIX, PACKETS)
        self.runtime = _private_directory()
        self._closed = False
        _living.add(self)
        self._process: subprocess.Popen[bytes] | None = None
        (self.runtime / "root").mkdir()
        (self.runtime / "work").mkdir()
        self._nobody = os.getuid() == 0 and NAMESPACES not in layers and bool(layers) and _open_to_all()
        if self._nobody:
            self.runtime.chmod(0o711)
            (self.runtime / "work").chmod(0o711)
        try:
            with theirs:
                self._process = self._exec(theirs)
            self.control.send(self._spec(preload).to_bytes())
        except OSError:
            self.close()
            raise

    def _exec(self, control: socket.socket) -> "subprocess.Popen[bytes]":
        arguments = [str(control.fileno()), _package_root(), str(self.runtime), str(os.getpid())]
        with (self.runtime / "log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-s", "-P", "-c", _BOOT, *arguments],
                pass_fds=[control.fileno()],
                env=_environment(self.runtime),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )

    def _spec(self, preload: tuple[str, ...]) -> ServerSpec:
        return ServerSpec(
            layers=[layer for layer in LAYERS if layer in self.layers],
            preload=list(preload),
            path=[path for path in sys.path if path],
            libraries=libraries(),
            runtime=str(self.runtime),
            nobody=self._nobody,
            forks=self.forks,
        )

    def ready(self) -> str | None:
        """Wait until it takes requests; return None, or the reason why it can't.

        Raises:
            CannotForkError: it has threads, so it could start a kernel only by becoming one.
            KernelError: it wasn't ready in time, or ended without giving a reason.
        """
        self.control.settimeout(START_TIMEOUT_S)
        try:
            news = self.control.recv(1 << 16)
        except TimeoutError:
            raise KernelError(f"the fork server was not ready after {START_TIMEOUT_S:g} s") from None
        except OSError:
            news = b""
        if not news:
            raise KernelError(
                f"no kernel could be started: {self._last_words() or 'its process ended at once'}"
            )
        said = json.loads(news)
        if self.forks and said.get("threads", 1) != 1:
            raise CannotForkError(f"a preloaded module started threads ({said['threads'] - 1})")
        error: str | None = said.get("error")
        return error

    @property
    def pid(self) -> int:
        """The process id of the guardian, whose child the server is."""
        assert self._process is not None
        return self._process.pid

    @property
    def usable(self) -> bool:
        """True while kernels can be asked for: it still runs, or each kernel has a server of its own."""
        ended = self._closed or self._process is None or self._process.poll() is not None
        return not (self.forks and ended)

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.runtime / "log").read_text(errors="replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""

    def work_directory(self) -> Path:
        """Make a directory for a kernel. One with a mount namespace of its own doesn't use it."""
        directory = Path(tempfile.mkdtemp(dir=self.runtime / "work", prefix=""))
        if self._nobody:
            os.chown(directory, NOBODY, NOBODY)
        return directory

    def close(self) -> None:
        """End it and all its kernels, and leave nothing behind. Calling it again does nothing."""
        self._closed = True
        _living.discard(self)
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_RDWR)  # a forked child of ours may hold a copy
        self.control.close()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        shutil.rmtree(self.runtime, ignore_errors=True)


_lock = threading.Lock()
_servers: dict[tuple[object, ...], "concurrent.futures.Future[ForkServer]"] = {}
_making = threading.Lock()
_exiting = False
_living: set[ForkServer] = set()
"""All servers of this process, those that are still starting included."""


async def server_for(sandbox: Sandbox) -> ForkServer:
    """Return the server for kernels of this sandbox, and start it if there is none.

    Where kernels can't be forked it is a new server each time, for one kernel, which closes it in the end.

    Raises:
        KernelError: this machine can't confine programs as the sandbox wants, or no server could be started.
    """
    if tempfile.tempdir is None:
        # gettempdir writes a file: not for the loop to do, nor for the daemon thread below, which may end half-way.
        await asyncio.to_thread(tempfile.gettempdir)
    key = _key(sandbox)
    with _lock:
        future = _servers.get(key)
        if future is None or (future.done() and (future.exception() or not future.result().usable)):
            if future is not None and not future.exception():
                threading.Thread(target=future.result().close, daemon=True).start()
            future = _servers[key] = concurrent.futures.Future()
            # A daemon thread: a caller that is cancelled leaves, and its loop can end before the server is up.
            threading.Thread(target=_start, args=(sandbox, future), daemon=True).start()
    waiting = asyncio.wrap_future(future)
    # The exception counts as retrieved even if everyone who waited was cancelled.
    waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
    server = await asyncio.shield(waiting)  # others may wait for the same server
    if server.forks:
        return server
    return await _spawned(replace(sandbox, layers=server.layers, unsafe_local=True))


async def _spawned(sandbox: Sandbox) -> ForkServer:
    """Start a server that becomes one kernel. A caller that is cancelled leaves none behind."""
    starting = asyncio.ensure_future(asyncio.to_thread(new_server, sandbox, forks=False))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):  # the thread goes on and has a server in the end
            await asyncio.wait({starting})
            if not starting.cancelled() and starting.exception() is None:
                await asyncio.to_thread(starting.result().close)
        raise


def level_of(sandbox: Sandbox) -> str:
    """Return the level of isolation of this sandbox's kernels, without starting anything.

    The best level this machine has is known once a server was started to find it out; until then it is "unknown".
    """
    if sandbox.layers is not None:
        return level_name(sandbox.layers)
    future = _servers.get(_key(sandbox))
    if future is None or not future.done() or future.exception():
        return UNKNOWN
    return level_name(future.result().layers)


def _key(sandbox: Sandbox) -> tuple[object, ...]:
    """Return what the kernels of one server have in common."""
    return (os.getpid(), sandbox.layers, sandbox.unsafe_local, sandbox.preload)


def _start(sandbox: Sandbox, future: "concurrent.futures.Future[ForkServer]") -> None:
    try:
        try:
            # macOS frameworks don't survive a fork.
            server = new_server(sandbox, forks=sys.platform == "linux")
        except CannotForkError:
            server = new_server(sandbox, forks=False)
        if not server.forks:
            server.close()  # it has shown which layers there are
        future.set_result(server)
    except BaseException as error:
        future.set_exception(error)


def new_server(sandbox: Sandbox, *, forks: bool) -> ForkServer:
    """Start a server at the best level the sandbox allows.

    Raises:
        KernelError: there is no such level here, or the server doesn't start.
    """
    layers = sandbox.layers if sandbox.layers is not None else _imaginable()
    missing: dict[str, str] = {layer: "Linux only" for layer in LAYERS if layer not in _imaginable()}
    while True:
        if sandbox.layers is None and not sandbox.unsafe_local and not meets_floor(layers):
            raise KernelError(refusal(missing))
        with _making:
            if _exiting:
                raise KernelError("no kernel can be started while this process is ending")
            server = ForkServer(layers, sandbox.preload if forks else (), forks=forks)
        try:
            problem = server.ready()
            if problem is None and not meets_floor(layers):
                warnings.warn(warning(layers, missing), stacklevel=2)
        except BaseException:
            server.close()
            raise
        if problem is None:
            return server
        server.close()
        failed = problem.split(":")[1].strip() if problem.startswith("LayerError:") else ""
        if failed not in layers or sandbox.layers is not None:
            raise KernelError(f"no kernel can be had at level {level_name(layers)!r}: {problem}")
        missing[failed] = problem.split(":", 2)[2].strip()
        layers -= {failed}


def close_servers() -> None:
    """End all servers of this process."""
    for server in list(_living):
        server.close()


def _forget_servers() -> None:
    """Forget all servers in a forked copy of this process: they, and threads that start some, are the original's."""
    global _lock, _making
    _lock, _making = threading.Lock(), threading.Lock()
    _living.clear()


os.register_at_fork(after_in_child=_forget_servers)


def _at_exit() -> None:
    """End all servers, and let no thread start another one while the interpreter ends."""
    global _exiting
    with _making:
        _exiting = True
    close_servers()


atexit.register(_at_exit)


def _private_directory() -> Path:
    """Make a directory only this user can enter, with a path short enough for sockets below it."""
    directory = tempfile.mkdtemp(prefix="mumath-")
    if len(directory) <= MAX_RUNTIME_PATH:
        return Path(directory)
    Path(directory).rmdir()
    return Path(tempfile.mkdtemp(prefix="mumath-", dir="/tmp"))


def _imaginable() -> frozenset[str]:
    return frozenset(LAYERS) if sys.platform == "linux" else frozenset({RLIMITS})


def _package_root() -> str:
    import mumath_agent

    return str(Path(mumath_agent.__file__).parents[1])


def _environment(runtime: Path) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return passed | {
        "HOME": str(runtime),
        "IPYTHONDIR": str(runtime),
        "PYTHONHASHSEED": "0",  # sets print in the same order in every run
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",  # more would be threads, and a process with threads can't be forked
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def _open_to_all() -> bool:
    """Return whether any user can read every directory that kernels import from."""
    paths = {path for name in libraries() for path in (Path(name), *Path(name).parents)}
    return all(path.stat().st_mode & 0o005 == 0o005 for path in paths)
