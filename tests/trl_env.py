"""The environment with TRL that the nightly tests run examples in: this project with its extra `finetune`, and TRL.

It is built once and kept beside the checkout's own. MUMATH_TRL_PYTHON names another one.
"""

import os
import subprocess
import sys
from pathlib import Path

GIVEN = "MUMATH_TRL_PYTHON"
TRL = "trl==1.16.0"
"""The version whose interfaces `mumath_agent.rollouts` and `mumath_agent.environment` have. It came with transformers
5.23.0, torch 2.13.0, accelerate 1.15.0 and datasets 5.2.0."""
_ROOT = Path(__file__).resolve().parents[1]
_BASE = _ROOT / ".venv-trl-tests"
_MADE = _BASE / "made-with"


class NoTrl(Exception):
    """The environment can't be made; the message says why."""


def trl_python() -> Path:
    """Return the interpreter of an environment with TRL, and make the environment first if there is none.

    Raises:
        NoTrl: pip couldn't install what is needed.
    """
    if given := os.environ.get(GIVEN):
        return Path(given)
    python = _BASE / "bin" / "python"
    if not (_MADE.is_file() and _MADE.read_text() == TRL):
        _run(sys.executable, "-m", "venv", "--clear", _BASE)
        _run(python, "-m", "pip", "install", "--quiet", "-e", f"{_ROOT}[finetune]", TRL)
        _MADE.write_text(TRL)
    return python


def _run(*command: str | Path) -> None:
    done = subprocess.run(["nice", *command], capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise NoTrl(f"TRL's environment can't be made here: {said[-1]}")
