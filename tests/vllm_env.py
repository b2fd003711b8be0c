"""The environment with vLLM that tests run against: built once, in the background, kept beside the checkout's own.

vLLM's CPU build and what it needs, at the versions and with the hashes of `vllm-requirements.txt`, which `vllm_lock.py`
writes. PyTorch's CPU build comes without a hash, from wherever pip is told to look: the package index has not got it,
its makers' own has (PIP_EXTRA_INDEX_URL). Where a package can't be had, the tests that need vLLM are skipped, and the
summary says why. `MUMATH_VLLM_PYTHON` names an environment of one's own instead.
"""

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

GIVEN = "MUMATH_VLLM_PYTHON"
BASE = Path(__file__).resolve().parents[1] / ".venv-vllm-tests"
PYTHON = BASE / "env" / "bin" / "python"
LOG = BASE / "log"
_MADE_FROM = BASE / "made-from"
_LOCK = Path(__file__).with_name("vllm-requirements.txt")
_TORCH = "torch==2.13.0+cpu"
_PIP = (
    "-m",
    "pip",
    "--disable-pip-version-check",
    "install",
    "--no-deps",
    "--no-compile",
    "--only-binary=:all:",
)


class Building:
    """The environment on its way."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def failure(self) -> str | None:
        """Why there will be none, once that is known."""
        if self._process is None or not self._process.poll():
            return None
        said = LOG.read_text("utf-8", "replace").strip().splitlines() or ["nothing"]
        cause = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1])
        return f"vLLM's environment can't be made here: {cause} (all of it: {LOG})"

    def begin(self) -> None:
        """In the background, if there is something to do; with little urgency, tests are running."""
        if GIVEN in os.environ or self._process is not None or is_built():
            return
        BASE.mkdir(exist_ok=True)
        with LOG.open("ab") as log:  # several processes of one session may wait for it
            self._process = subprocess.Popen(
                ["nice", sys.executable, __file__],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def python(self) -> Path | None:
        """The interpreter, once it is there; None after a failure."""
        if given := os.environ.get(GIVEN):
            return Path(given)
        self.begin()
        if self._process is not None:
            self._process.wait()
        return None if self.failure else PYTHON

    def end(self) -> None:
        """Nobody waits for it any more."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait()


def is_built() -> bool:
    """As the lock file says."""
    return _MADE_FROM.is_file() and _MADE_FROM.read_text() == _recipe()


def build() -> None:
    """Make it, unless another process just did."""
    with (BASE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_built():
            return
        _MADE_FROM.unlink(missing_ok=True)
        _run(sys.executable, "-m", "venv", "--clear", BASE / "env")
        _run(PYTHON, *_PIP, "--require-hashes", "-r", _LOCK)
        _run(PYTHON, *_PIP, _TORCH)
        _MADE_FROM.write_text(_recipe())


def _recipe() -> str:
    return hashlib.sha256(f"{sys.version} {_TORCH} {_LOCK.read_text()}".encode()).hexdigest()


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    try:
        build()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # it has said what is wrong
