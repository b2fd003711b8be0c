"""Where model-written programs run.

An `Executor` runs the cells of one attempt, one at a time, in a session whose variables last from cell to cell.
`JupyterExecutor` does it with an isolated Jupyter kernel; a `KernelPool` has such kernels ready; a `Sandbox` says how
they are confined. All three are useful by themselves:

    async with JupyterExecutor() as executor:
        execution = await executor.run("import sympy; sympy.factorint(91)", timeout_s=5)
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from mumath_agent.kernels.isolation import Sandbox
from mumath_agent.kernels.jupyter import ExecutedCell, JupyterExecutor
from mumath_agent.kernels.kernel import Kernel
from mumath_agent.kernels.pool import KernelPool
from mumath_agent.records import Execution


class Executor(Protocol):
    """The seam between the agent and a Python session; an async context manager that owns the session."""

    @property
    def isolation(self) -> str:
        """The level of isolation its programs ran at; "none" says with the user's own rights."""
        ...

    async def run(
        self, code: str, *, timeout_s: float, on_output: Callable[[str, str], None] | None = None
    ) -> Execution:
        """Run one program to its end or its time limit. What the program does wrong is data, never an exception.

        `on_output` is called with "stdout" or "stderr" and each piece of text as it is printed.

        Raises:
            KernelError: no kernel could be started to run it.
        """
        ...

    async def restore(self, history: Sequence[ExecutedCell]) -> bool:
        """Bring a session that has run nothing yet to where `history` had brought another one; whether it is there now.

        A session that ran something is left alone. If what was there can't be had again, the next execution says that
        state was lost.

        Raises:
            KernelError: no kernel could be started to do it.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


__all__ = ["ExecutedCell", "Executor", "JupyterExecutor", "Kernel", "KernelPool", "Sandbox"]
