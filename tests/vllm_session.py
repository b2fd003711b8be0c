"""The one vLLM of a test session: made and started in the background, while other tests run.

    pytest ─▶ vllm_session.py FOLDER ─▶ environment ─▶ `mumath-agent serve` ─▶ FOLDER/{python, url, failure}

Every process of the session (`-n`) reads in FOLDER what came of it. So there is one start, and one that failed is not
waited for again. Where the environment can't be had, the tests that need it are skipped, and the summary says why.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import psutil

from tests.serve_process import ENDS_WITHIN_S, ServeProcess, ended
from tests.toy import TOY
from tests.vllm_env import BASE, GIVEN, NoEnvironment, environment

STARTS_WITHIN_S = 3600.0
"""An environment of 2.5 GB and a start on a machine that is busy with other things; only a hang takes that long."""
BEGUN_WITHIN_S = 300.0
OPTIONS = ("--name", "mumath", "--", "--enable-lora", "--max-lora-rank", "8")
"""The toy as "mumath", ready to take adapters."""
ADAPTERS = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
_POLL_S = 0.1


@dataclass
class VllmSession:
    """What one of the session's processes knows of its vLLM."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mumath-vllm-tests-")))
    process: "subprocess.Popen[bytes] | None" = None
    """In the process of pytest that has begun it."""

    @property
    def failure(self) -> str | None:
        """Why there will be none, once that is known."""
        return self._said("failure")

    def begin(self) -> None:
        """Make the environment and start the server, in the background, unless that has been done."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.vllm_session", str(self.folder), str(os.getpid())],
                cwd=BASE.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_surroundings(),
                start_new_session=True,
            )
            _say(self.folder, {"begun": str(self.process.pid)})

    def python(self) -> Path:
        """Wait for the environment and return its interpreter.

        Raises:
            NoEnvironment: there is none; the message says why.
        """
        return Path(self._wait_for("python"))

    def url(self) -> str:
        """Wait for the server and return its address.

        Raises:
            NoEnvironment: there is no environment to run it in.
            AssertionError: it didn't start.
        """
        return self._wait_for("url")

    @property
    def stderr(self) -> str:
        """What `serve` has said so far."""
        return self._said("stderr") or ""

    def stop(self) -> tuple[list[psutil.Process], int]:
        """Send `serve` SIGTERM; return what is left of what it started, and its exit code."""
        serve = psutil.Process(int(self._wait_for("pid")))
        left = ended(serve, signal.SIGTERM)
        return left, int(self._wait_for("exit-code", ENDS_WITHIN_S))

    def end(self) -> None:
        """End what still runs, and remove the folder unless there is a failure to look into."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # `serve`, too; its engine ends with it
            self.process.wait()
        if not self.failure:
            rmtree(self.folder, ignore_errors=True)

    def _said(self, name: str) -> str | None:
        path = self.folder / name
        return path.read_text("utf-8") if path.exists() else None

    def _wait_for(self, name: str, within_s: float = STARTS_WITHIN_S) -> str:
        until = time.monotonic() + within_s
        while (said := self._said(name)) is None:
            if environment := self._said("no-environment"):
                raise NoEnvironment(environment)
            assert self.failure is None, self.failure
            assert time.monotonic() < until, f"the session's vLLM hangs; what it said is in {self.folder}"
            assert self._is_on_its_way(until - within_s), "nothing makes the session's vLLM any more"
            time.sleep(_POLL_S)
        return said

    def _is_on_its_way(self, asked_at: float) -> bool:
        """Tell whether the background process lives; the one that begins it may be a moment behind."""
        begun = self._said("begun")
        if begun is None:
            return time.monotonic() < asked_at + BEGUN_WITHIN_S
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(int(begun)).status() != psutil.STATUS_ZOMBIE
        return False


def _surroundings() -> dict[str, str]:
    """Return an environment for `serve`: adapters may be loaded, and our own vLLM's modules are compiled only once."""
    ours = () if GIVEN in os.environ else ("PYTHONDONTWRITEBYTECODE",)
    return {name: value for name, value in os.environ.items() if name not in ours} | ADAPTERS


def main(folder: Path, session: int) -> None:
    """Build, start, and say in files what came of it; end with the session's process `session`."""
    try:
        python = environment()
    except NoEnvironment as error:
        _say(folder, {"no-environment": str(error), "failure": str(error)})
        return
    _say(folder, {"python": str(python)})
    from mumath_agent.serving import free_port

    server = ServeProcess(TOY, "--port", free_port(), *OPTIONS, python=python, folder=folder)
    try:
        _say(folder, {"pid": str(server.process.pid), "url": server.url()})
    except AssertionError as error:
        _say(folder, {"failure": f"the session's vLLM did not start: {error}"})
    while server.process.poll() is None and os.getppid() == session:
        time.sleep(_POLL_S)
    server.close()
    _say(folder, {"exit-code": str(server.process.returncode)})


def _say(folder: Path, found: Mapping[str, str]) -> None:
    for name, text in found.items():
        (folder / f"{name}.new").write_text(text, "utf-8")
        (folder / f"{name}.new").rename(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
