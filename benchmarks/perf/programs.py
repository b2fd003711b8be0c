"""Choose recorded programs to measure with. They are strangers' programs, and stock kernels have no isolation."""

import ast
from pathlib import Path

from benchmarks.replay.recordings import RecordedSolution, load_recorded

COMPUTING = {
    "math",
    "cmath",
    "fractions",
    "decimal",
    "itertools",
    "collections",
    "datetime",
    "numpy",
    "sympy",
}
LEAVING = {"open", "eval", "exec", "compile", "input", "get_ipython", "__import__", "__builtins__"}


def programs(data: Path) -> list[str]:
    """Return the programs of a recording, without those that never end: they would measure a time limit.

    Raises:
        InputError: the recording can't be read.
    """
    solutions = (item for item in load_recorded(data) if isinstance(item, RecordedSolution))
    cells = [cell for solution in solutions for cell in solution.cells]
    return [cell.code for cell in cells if "TimeoutError" not in cell.output]


def only_computes(code: str) -> bool:
    """Tell whether a stranger's program looks safe enough to run without isolation, as stock kernels do."""
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except SyntaxError:
        return False
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return names.isdisjoint(LEAVING) and {name.split(".")[0] for name in modules} <= COMPUTING
