"""Find out what a run is made with, as far as the machine, the repository and the servers tell, for its manifest."""

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mumath_agent.kernels import KernelPool, Sandbox
from mumath_agent.models.blockwise import Blockwise
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.models.replicas import ReplicatedModel
from mumath_agent.protocols import CompletionModel

PACKAGES = (
    "mumath-agent",
    "langgraph",
    "langchain-core",
    "ipython",
    "numpy",
    "scipy",
    "sympy",
    "math-verify",
    "latex2sympy2-extended",
    "onnxruntime",
)
"""Those that can change what a program prints, how the loop runs, or what counts as equal."""


def now() -> str:
    """Return the time, UTC, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return the versions of Python, the system, and the packages that matter and are installed."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


async def isolation_of(sandbox: Sandbox) -> str:
    """Return the level of isolation that kernels of `sandbox` reach on this machine.

    Raises:
        KernelError: no level that is good enough can be had.
    """
    async with KernelPool(sandbox, spares=0) as pool, pool.lease() as kernel:
        return kernel.isolation


async def servers_of(model: CompletionModel) -> tuple[dict[str, str], ...]:
    """Return what each server of `model` says about itself."""
    asked = model.model if isinstance(model, Blockwise) else model
    servers = asked.models if isinstance(asked, ReplicatedModel) else (asked,)
    return tuple([await _facts(server) for server in servers])


async def _facts(server: CompletionModel) -> dict[str, str]:
    if isinstance(server, CompletionsModel | EmbeddedModel):
        return await server.facts()
    return {"model": server.name}


def commit() -> str | None:
    """Return the checkout's commit, with a "+" where files differ from it; None where git can't tell."""
    try:
        head = _git("rev-parse", "HEAD")
        return f"{head}+" if _git("status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
