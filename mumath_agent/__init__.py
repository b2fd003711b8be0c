"""Tool-integrated mathematical reasoning: a model reasons, writes code, reads what it printed, and answers.

    from mumath_agent import solve

    print(solve("What is 17 times 23?").answer)

Every public name is imported on first use, so importing the package costs a millisecond.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mumath_agent.agent.api import asolve, asolve_many, grade, solve, solve_many
    from mumath_agent.agent.batch import Batch, run_batch
    from mumath_agent.agent.solver import Solver, SolverOptions, open_solver
    from mumath_agent.agent.streaming import astream, stream
    from mumath_agent.errors import InputError, KernelError, ModelError, MuMathError
    from mumath_agent.kernels import JupyterExecutor, KernelPool, Sandbox
    from mumath_agent.langchain import MuMathMiddleware, MuMathTool, PythonKernelTool
    from mumath_agent.records import Limits, Problem, RunRecord, Sampling
    from mumath_agent.solutions import Attempts, Solution

__version__ = "0.1.0"

_MODULES = {
    "Attempts": "solutions",
    "Batch": "agent.batch",
    "InputError": "errors",
    "JupyterExecutor": "kernels",
    "KernelError": "errors",
    "KernelPool": "kernels",
    "Limits": "records",
    "ModelError": "errors",
    "MuMathError": "errors",
    "MuMathMiddleware": "langchain",
    "MuMathTool": "langchain",
    "Problem": "records",
    "PythonKernelTool": "langchain",
    "RunRecord": "records",
    "Sampling": "records",
    "Sandbox": "kernels",
    "Solution": "solutions",
    "Solver": "agent.solver",
    "SolverOptions": "agent.solver",
    "asolve": "agent.api",
    "asolve_many": "agent.api",
    "astream": "agent.streaming",
    "grade": "agent.api",
    "open_solver": "agent.solver",
    "run_batch": "agent.batch",
    "solve": "agent.api",
    "solve_many": "agent.api",
    "stream": "agent.streaming",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})


__all__ = [
    "Attempts",
    "Batch",
    "InputError",
    "JupyterExecutor",
    "KernelError",
    "KernelPool",
    "Limits",
    "ModelError",
    "MuMathError",
    "MuMathMiddleware",
    "MuMathTool",
    "Problem",
    "PythonKernelTool",
    "RunRecord",
    "Sampling",
    "Sandbox",
    "Solution",
    "Solver",
    "SolverOptions",
    "asolve",
    "asolve_many",
    "astream",
    "grade",
    "open_solver",
    "run_batch",
    "solve",
    "solve_many",
    "stream",
]
