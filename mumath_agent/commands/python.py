"""`mumath-agent python`: cells in one isolated kernel, without any model."""

from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer

from mumath_agent.commands.console import (
    ANSWERED,
    NO_ANSWER,
    interruptible,
    read_stdin,
    remark,
    tell,
)
from mumath_agent.errors import InputError
from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.kernels.isolation import layers_of
from mumath_agent.kernels.script import PlainOutput, run_cells, show_json, split_cells
from mumath_agent.problems import read_text


def python(
    file: Annotated[str, typer.Argument(help="A file of Python cells, or - to read them from stdin.")] = "-",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a cell.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds per cell.")] = 60.0,
    level: Annotated[
        str | None,
        typer.Option(
            help="Exactly this isolation: full, landlock+seccomp, namespaces+seccomp, rlimits-only or none. "
            "Without it, the best this machine can do.",
        ),
    ] = None,
    unsafe_local: Annotated[
        bool, typer.Option(help="Run cells even where they are not confined, with your rights.")
    ] = False,
) -> None:
    """Run Python cells in one isolated kernel: no network, no files of yours.

    A line "# %%" begins a cell, as in VS Code and Jupytext; a title may follow
    on it. Variables last from cell to cell. Cells after one that failed still
    run.

    What a cell prints and its last value go to stdout, its stderr and its error
    to stderr.

    Exit codes: 0 every cell was ok, 1 one was not, 2 the input or an option is
    of no use, 3 machinery broke, 130 interrupted.
    """
    if not timeout > 0:  # or no number at all
        raise InputError(f"--timeout is {timeout:g}; it must be positive")
    sandbox = Sandbox(layers=None if level is None else layers_of(level), unsafe_local=unsafe_local)
    show = show_json if as_json else PlainOutput(remark=remark, complain=partial(tell, style="red"))

    def run() -> int:
        cells = split_cells(read_stdin() if file == "-" else read_text(Path(file)))
        if not cells:
            raise InputError(f"{'stdin' if file == '-' else file} is empty: there is no cell to run")
        executor = JupyterExecutor(sandbox)
        all_ok = anyio.run(partial(run_cells, cells, executor, timeout_s=timeout, show=show))
        return ANSWERED if all_ok else NO_ANSWER

    raise typer.Exit(interruptible(run))
