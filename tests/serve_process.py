"""`mumath-agent serve` in a process of its own, as a person starts it."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil

ENDS_WITHIN_S = 300.0
"""Only a server that hangs takes that long to end."""


class ServeProcess:
    """A server that is starting; `url` waits until it serves."""

    def __init__(self, *options: object, python: Path, folder: Path) -> None:
        self.log = folder / "vllm.log"
        self._stderr = folder / "stderr"
        serve = [sys.executable, "-m", "mumath_agent", "serve", "--vllm-python", python, "--log", self.log]
        with self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [str(part) for part in (*serve, *options)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )

    @property
    def stderr(self) -> str:
        """What the command has said so far."""
        return self._stderr.read_text("utf-8")

    def url(self) -> str:
        """Return the address that is printed when the server is ready, less its path."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode().strip()
        assert line.endswith("/v1"), self.stderr
        return line.removesuffix("/v1")

    def kill(self) -> list[psutil.Process]:
        """Kill the command with -9 and return what is left of what it started."""
        return ended(psutil.Process(self.process.pid), signal.SIGKILL)

    def close(self) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def ended(process: psutil.Process, number: int) -> list[psutil.Process]:
    """Send a process a signal, wait for its end, and return which of its children, and theirs, are left."""
    family = process.children(recursive=True)
    process.send_signal(number)
    _, alive = psutil.wait_procs([process, *family], timeout=ENDS_WITHIN_S)
    # Orphans that ended wait for init to notice, which in a container may never happen.
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
