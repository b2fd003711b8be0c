"""The environment with vLLM that tests run against: built once, kept beside the checkout's own.

It has vLLM's CPU build and what that needs, at the versions and with the hashes of `vllm-requirements.txt`, which
`vllm_lock.py` writes. PyTorch's CPU build comes without a hash, from wherever pip is told to look: the package index
doesn't have it, its makers' own does (PIP_EXTRA_INDEX_URL). `MUMATH_VLLM_PYTHON` names another environment.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
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


class NoEnvironment(Exception):
    """The environment can't be made; the message says why."""


def environment() -> Path:
    """Return the interpreter of an environment with vLLM, and make the environment first if there is none.

    Raises:
        NoEnvironment: pip couldn't install what is needed.
    """
    if given := os.environ.get(GIVEN):
        return Path(given)
    BASE.mkdir(exist_ok=True)
    with (BASE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another session may be building the same one
        if not _is_built():
            _build()
    return PYTHON


def _is_built() -> bool:
    return _MADE_FROM.is_file() and _MADE_FROM.read_text() == _recipe()


def _build() -> None:
    _MADE_FROM.unlink(missing_ok=True)
    LOG.unlink(missing_ok=True)
    _run(sys.executable, "-m", "venv", "--clear", BASE / "env")
    _run(PYTHON, *_PIP, "--require-hashes", "-r", _LOCK)
    _run(PYTHON, *_PIP, _TORCH)
    _MADE_FROM.write_text(_recipe())


def _recipe() -> str:
    return hashlib.sha256(f"{sys.version} {_TORCH} {_LOCK.read_text()}".encode()).hexdigest()


def _run(*command: str | Path) -> None:
    """Run a command with little urgency, since tests run beside it."""
    with LOG.open("ab") as log:
        done = subprocess.run(["nice", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    if done.returncode:
        said = LOG.read_text("utf-8", "replace").strip().splitlines() or ["nothing"]
        cause = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1])
        raise NoEnvironment(f"vLLM's environment can't be made here: {cause} (all of it: {LOG})")


if __name__ == "__main__":
    print(environment())
