"""What attacks are aimed at: files, servers, processes and keys that are worth nothing, and that tell when touched.

Each attack has a `Scene` of its own, so that a trace says whose it is. Everything in a scene may be used by the very
user the kernel runs as: nothing but the kernel's confinement protects it.
"""

import ctypes
import errno
import hashlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

KEY_VARIABLE = "MUMATH_API_KEY"
ANSWER = b"HTTP/1.0 200 OK\r\n\r\nCANARY"


class Servers(threading.Thread):
    """Servers of all kinds, all in one thread, that answer anything and remember for whom."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.contacts: dict[str, list[str]] = defaultdict(list)
        self._selector = selectors.DefaultSelector()
        self._sockets: list[socket.socket] = []
        self._over = False
        self.start()

    def run(self) -> None:
        while not self._over:
            if not self._selector.get_map():
                time.sleep(0.02)
                continue
            for key, _ in self._selector.select(0.05):
                owner, kind = key.data
                with suppress(OSError):
                    self._serve(key.fileobj, owner, kind)  # type: ignore[arg-type]

    def _serve(self, ready: socket.socket, owner: str, kind: str) -> None:
        if kind == "udp":
            ready.recvfrom(1000)
        else:
            link, _ = ready.accept()
            with link:
                link.settimeout(0.2)
                self.contacts[owner].append(f"{kind} server was reached")
                with suppress(OSError):
                    link.recv(1000)
                link.sendall(ANSWER)
                return
        self.contacts[owner].append(f"{kind} server was reached")

    def open(self, owner: str, kind: str, address: str = "") -> int:
        """Start a server for `owner`; return its port, if it is of a kind that has one."""
        if kind == "unix":
            server = socket.socket(socket.AF_UNIX)
            server.bind(address)
        else:
            family = socket.AF_INET6 if kind == "tcp6" else socket.AF_INET
            server = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
            server.bind(("::1" if kind == "tcp6" else "127.0.0.1", 0))
        if kind != "udp":
            server.listen()
        server.setblocking(False)
        self._sockets.append(server)
        self._selector.register(server, selectors.EVENT_READ, (owner, kind))
        return 0 if kind == "unix" else int(server.getsockname()[1])

    def close(self) -> None:
        self._over = True
        self.join()
        for server in self._sockets:
            server.close()


class Scene:
    """The canaries of one attack. A mark's value is made when it is asked for."""

    def __init__(self, name: str, canaries: "Canaries") -> None:
        self.name = name
        self._all = canaries
        self._number = canaries.next_number()
        self._token = f"{os.getpid()}-{name}"
        self._victim: subprocess.Popen[bytes] | None = None
        self.signal = 0
        """The one with which this attack tries to reach another kernel, if it does."""
        self.directory = canaries.base / "scenes" / name
        self._outside = [Path(f"/dev/shm/canary-{self._token}"), Path(f"/tmp/canary-{self._token}")]
        self._furnish()
        self._before = dict(_facts(self.directory))

    def _furnish(self) -> None:
        home, project, room = (self.directory / part for part in ("home/.ssh", "project", "open"))
        for path in (home, project, room / "empty"):
            path.mkdir(parents=True)
        room.chmod(0o777)
        (home / "id_rsa").write_text("CANARY: the key to everything\n")
        (home.parent / ".bashrc").write_text("# CANARY\n")
        (project / "answers.json").write_text('{"CANARY": 42}\n')
        (room / "file").write_text("CANARY\n")
        for path in self.directory.rglob("*"):
            if path.is_file():
                path.chmod(0o666)

    def marks(self, code: str) -> dict[str, str]:
        """Return a value for each mark in `code`."""
        values = {
            "name": self.name,
            "scene": self.directory,
            "secret": self.directory / "home/.ssh/id_rsa",
            "bashrc": self.directory / "home/.bashrc",
            "answers": self.directory / "project/answers.json",
            "open": self.directory / "open",
            "shm_file": self._outside[0],
            "tmp_file": self._outside[1],
            "ipc_key": 0x6D750000 + self._number,
            "key_sha256": hashlib.sha256(os.environ[KEY_VARIABLE].encode()).hexdigest(),
            "runtime": self._all.runtime,
            **self._all.neighbour,
        }
        made = {
            "tcp_port": lambda: self._all.servers.open(self.name, "tcp"),
            "tcp6_port": lambda: self._all.servers.open(self.name, "tcp6"),
            "udp_port": lambda: self._all.servers.open(self.name, "udp"),
            "unix_path": self._unix_server,
            "abstract": self._abstract_server,
            "victim_pid": self._victims_pid,
            "signal": self._own_signal,
        }
        values |= {mark: make() for mark, make in made.items() if f"@{mark}@" in code}
        return {mark: str(value) for mark, value in values.items()}

    def _unix_server(self) -> str:
        path = f"{self._all.base}/{self._number}.sock"
        self._all.servers.open(self.name, "unix", path)
        return path

    def _abstract_server(self) -> str:
        self._all.servers.open(self.name, "unix", f"\0canary-{self._token}")
        return f"canary-{self._token}"

    def _own_signal(self) -> int:
        self.signal = self.signal or self._all.next_signal()
        return self.signal

    def _victims_pid(self) -> int:
        if self._victim is None:
            environment = {KEY_VARIABLE: os.environ[KEY_VARIABLE]}
            self._victim = subprocess.Popen(
                ["canary-victim", "300"], executable="/bin/sleep", env=environment, cwd="/"
            )
        return self._victim.pid

    def traces(self) -> list[str]:
        """Return what can be seen from outside of an attack that got through."""
        after = dict(_facts(self.directory))
        changed = {path for path in self._before.keys() | after if self._before.get(path) != after.get(path)}
        found = [f"{path or 'the directory'} was changed" for path in sorted(changed)]
        found += [f"{path} was written" for path in self._outside if path.exists()]
        found += self._all.servers.contacts[self.name]
        if self._victim is not None and self._victim.poll() is not None:
            found.append(f"the victim ended with {self._victim.returncode}")
        return found

    def clear(self) -> None:
        if self._victim is not None:
            self._victim.kill()
            self._victim.wait()
        for path in self._outside:
            path.unlink(missing_ok=True)


class Canaries:
    """The directory of all scenes, and what they share."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.runtime = base / "runtime"
        self.neighbour: dict[str, str] = {}
        """Marks that tell of another kernel, once there is one."""
        self.servers = Servers()
        self._count = 0
        self._signals = iter(range(signal.SIGRTMIN, signal.SIGRTMAX + 1))
        for part in ("scenes", "runtime", "kernels", "home"):
            (base / part).mkdir()

    def next_number(self) -> int:
        self._count += 1
        return self._count

    def next_signal(self) -> int:
        return next(self._signals)

    @contextmanager
    def scene(self, name: str) -> Iterator[Scene]:
        scene = Scene(name, self)
        try:
            yield scene
        finally:
            scene.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.servers.close()
        shutil.rmtree(self.base, ignore_errors=True)


def _facts(directory: Path) -> Iterator[tuple[str, object]]:
    """Whatever a change of a file would change."""
    for path in (directory, *sorted(directory.rglob("*"))):
        state = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        attributes = tuple(os.listxattr(path, follow_symlinks=False))
        facts = (
            state.st_mode,
            state.st_uid,
            state.st_gid,
            state.st_nlink,
            state.st_mtime_ns,
            content,
            attributes,
        )
        yield str(path.relative_to(directory)), facts


def open_the_way(paths: list[Path]) -> None:
    """Let other users reach `paths`, for this process and its children only.

    Where a directory on the way is closed to others (`/root`, say), an empty open one is mounted over it, in a mount
    namespace of our own, and holds nothing but those paths.
    """
    closed: dict[Path, list[Path]] = {}
    for path in paths:
        for parent in reversed(path.parents):
            if not parent.stat().st_mode & 0o001:
                closed.setdefault(parent, []).append(path)
                break
    if not closed:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    recursive, private, bind, new_mounts = 0x4000, 0x40000, 0x1000, 0x20000
    _call(libc.unshare, new_mounts)
    _call(libc.mount, b"none", b"/", None, recursive | private, None)
    for parent, inside in closed.items():
        kept = {path: os.open(path, os.O_PATH) for path in inside}
        _call(libc.mount, b"none", bytes(parent), b"tmpfs", 0, b"mode=755")
        for path, descriptor in kept.items():
            path.mkdir(parents=True, exist_ok=True)
            _call(
                libc.mount, f"/proc/self/fd/{descriptor}".encode(), bytes(path), None, bind | recursive, None
            )
            os.close(descriptor)


def _call(function: "ctypes._NamedFuncPointer", *arguments: object) -> None:
    if function(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{function.__name__}: {errno.errorcode.get(code)}")
