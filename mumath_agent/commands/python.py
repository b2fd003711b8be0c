"""`mumath-agent python`: run cells in one isolated kernel, without any model."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer

from mumath_agent.commands.console import (
    ANSWERED,
    NO_ANSWER,
    interruptible,
    remark,
    tell,
    write_raw,
)
from mumath_agent.commands.stdin import read_stdin
from mumath_agent.errors import InputError
from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.kernels.isolation import layers_of
from mumath_agent.kernels.script import ScriptCell, run_cells, split_cells
from mumath_agent.problems import read_text
from mumath_agent.records import Execution, to_json

_FIRST_KEYS = ("status", "stdout", "stderr", "result", "error", "duration_s", "state_lost")


def python(
    file: Annotated[str, typer.Argument(help="A file of Python cells, or - to read them from stdin.")] = "-",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per cell.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds per cell.")] = 60.0,
    level: Annotated[
        str | None,
        typer.Option(
            help="Exactly this isolation: full, landlock+seccomp, namespaces+seccomp, rlimits-only or none. "
            "Without it, the best this machine can do.",
        ),
    ] = None,
    unsafe_local: Annotated[
        bool, typer.Option(help="Run cells with your rights where they can't be confined.")
    ] = False,
) -> None:
    """Run Python cells in one isolated kernel: no network, none of your files.

    A line "# %%" begins a cell, as in VS Code and Jupytext; a title may follow
    on it. Variables last from cell to cell. Cells after one that failed still
    run.

    What a cell prints and its last value go to stdout, its stderr and its error
    to stderr.

    Examples:
        mumath-agent python cells.py
        echo "2**100" | mumath-agent python

    Exit codes: 0 every cell was ok, 1 a cell failed, 2 the input or an option
    can't be used, 3 machinery broke, 130 interrupted.
    """
    if not timeout > 0:  # NaN included
        raise InputError(f"--timeout is {timeout:g}; it must be positive")
    sandbox = Sandbox(layers=None if level is None else layers_of(level), unsafe_local=unsafe_local)
    show = show_json if as_json else PlainOutput()

    def run() -> int:
        cells = split_cells(read_stdin("Python cells") if file == "-" else read_text(Path(file)))
        if not cells:
            raise InputError(f"{'stdin' if file == '-' else file} is empty: there is no cell to run")
        executor = JupyterExecutor(sandbox)
        all_ok = anyio.run(partial(run_cells, cells, executor, timeout_s=timeout, show=show))
        return ANSWERED if all_ok else NO_ANSWER

    raise typer.Exit(interruptible(run))


def show_json(cell: ScriptCell, execution: Execution, isolation: str) -> None:
    """Print one line of JSON on stdout."""
    values = to_json(execution)
    line = {key: values[key] for key in _FIRST_KEYS}
    line |= {"cell": cell.number, **values, "isolation": isolation}
    print(json.dumps(line, ensure_ascii=False), flush=True)


class PlainOutput:
    """Shows what a cell printed and its result on stdout, everything else on stderr."""

    def __init__(self) -> None:
        """Begin before the first cell."""
        self._isolation = ""

    def __call__(self, cell: ScriptCell, execution: Execution, isolation: str) -> None:
        """Show one cell, and the level of isolation when it differs from the cell before."""
        if isolation != self._isolation:
            remark(f"isolation: {isolation}")
            self._isolation = isolation
        stdout = execution.stdout
        if execution.result is not None:
            stdout += "\n" * (bool(stdout) and not stdout.endswith("\n")) + f"{execution.result}\n"
        write_raw(stdout, "stdout")
        write_raw(execution.stderr, "stderr")
        if execution.artefacts:
            remark(f"cell {cell.number}: figures left out here: {len(execution.artefacts)}; --json has them")
        if execution.error is not None:
            _complain(f"cell {cell.number}: {execution.error}")
        if execution.state_lost:
            _complain(f"cell {cell.number}: the Python session was replaced; what was defined is gone")


def _complain(text: str) -> None:
    tell(text, style="red")
