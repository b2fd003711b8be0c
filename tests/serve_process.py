"""`mumath-agent serve` in a process of its own, as a person starts it."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil

_END_S = 60.0


class ServeProcess:
    """Started at once; `url` waits until it serves."""

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
        """What it has said so far."""
        return self._stderr.read_text("utf-8")

    def url(self) -> str:
        """The line that it prints when it is ready, less its path."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode().strip()
        assert line.endswith("/v1"), self.stderr
        return line.removesuffix("/v1")

    def family(self) -> list[psutil.Process]:
        """vLLM and all that it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> list[psutil.Process]:
        """Ask it to stop, as a service manager does; what is left of its family then."""
        return self._signal(signal.SIGTERM)

    def kill(self) -> list[psutil.Process]:
        """With -9; what is left of its family after a while."""
        return self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Whatever became of it."""
        if self.process.poll() is None:
            self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _signal(self, number: int) -> list[psutil.Process]:
        family = self.family()
        self.process.send_signal(number)
        self.process.wait(_END_S)
        _, alive = psutil.wait_procs(family, timeout=_END_S)
        # Orphans that ended wait for init to notice, which in a container may never happen.
        return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
