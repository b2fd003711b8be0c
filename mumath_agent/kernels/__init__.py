"""Isolated Python sessions for model-written programs.

A `JupyterExecutor` runs the cells of one attempt, one at a time, in an isolated Jupyter kernel whose variables last
from cell to cell. A `KernelPool` keeps such kernels ready, and a `Sandbox` says how they are confined. Each can be used
by itself:

    async with JupyterExecutor() as executor:
        execution = await executor.run("import sympy; sympy.factorint(91)", timeout_s=5)
"""

from mumath_agent.kernels.isolation import Sandbox
from mumath_agent.kernels.jupyter import JupyterExecutor
from mumath_agent.kernels.kernel import Kernel
from mumath_agent.kernels.pool import KernelPool

__all__ = ["JupyterExecutor", "Kernel", "KernelPool", "Sandbox"]
