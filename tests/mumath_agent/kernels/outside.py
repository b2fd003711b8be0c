"""What can be seen of kernels from outside: what they answer, their processes, their files."""

import time
from pathlib import Path

import psutil

from mumath_agent.kernels import JupyterExecutor
from mumath_agent.records import Execution

SWALLOWS_INTERRUPTS = (
    "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass"
)
HOLDS_THE_INTERPRETER = "sum(range(10**12))"
DIES = "import os\nos._exit(3)"


async def run(executor: JupyterExecutor, code: str, timeout_s: float = 20) -> Execution:
    return await executor.run(code, timeout_s=timeout_s)


def descendants(process: psutil.Process | None = None) -> set[psutil.Process]:
    """All that a process, ours if none is named, has started and that still runs."""
    found = (process or psutil.Process()).children(recursive=True)
    return {process for process in found if running(process)}


def running(process: psutil.Process) -> bool:
    """One that ended and that nobody waited for yet doesn't run."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(*processes: psutil.Process, within_s: float = 5) -> bool:
    """Whether all these end in time."""
    until = time.monotonic() + within_s
    while any(map(running, processes)):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def tree(directory: Path) -> list[str]:
    """Everything below."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))
