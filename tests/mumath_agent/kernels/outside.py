"""See from outside what kernels do: what they answer, their processes, their files."""

from pathlib import Path

import psutil

from mumath_agent.kernels import JupyterExecutor
from mumath_agent.records import Execution
from tests.mumath_agent.waiting import HANG_S, comes_true

SWALLOWS_INTERRUPTS = (
    "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass"
)
HOLDS_THE_INTERPRETER = "sum(range(10**12))"
DIES = "import os\nos._exit(3)"


async def run(executor: JupyterExecutor, code: str, timeout_s: float = HANG_S) -> Execution:
    return await executor.run(code, timeout_s=timeout_s)


def descendants(process: psutil.Process | None = None) -> set[psutil.Process]:
    """Return all that a process, ours if none is named, has started and that still runs."""
    found = (process or psutil.Process()).children(recursive=True)
    return {process for process in found if running(process)}


def running(process: psutil.Process) -> bool:
    """Return whether a process runs; a zombie doesn't."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(*processes: psutil.Process) -> bool:
    """Wait until all of these have ended."""
    return comes_true(lambda: not any(map(running, processes)))


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def tree(directory: Path) -> list[str]:
    """Return the paths of everything below a directory."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))
