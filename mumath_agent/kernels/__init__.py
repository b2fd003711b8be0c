"""Where model-written programs run.

An `Executor` runs the cells of one attempt, one at a time, in a session whose variables last from cell to cell.
`jupyter.py` does it with a real Jupyter kernel.
"""

from types import TracebackType
from typing import Protocol, Self

from mumath_agent.kernels.jupyter import JupyterExecutor
from mumath_agent.records import Execution


class Executor(Protocol):
    """The seam between the agent and a Python session; an async context manager that owns the session."""

    @property
    def isolation(self) -> str:
        """How well the session is confined; "none" says a program runs with the user's own rights."""
        ...

    async def run(self, code: str, *, timeout_s: float) -> Execution:
        """Run one program to its end or its time limit. What the program does wrong is data, never an exception.

        Raises:
            KernelError: no kernel could be started to run it.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


__all__ = ["Executor", "JupyterExecutor"]
