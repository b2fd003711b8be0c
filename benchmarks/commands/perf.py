"""`perf`: what we claim about speed and size, measured as ratios in one run."""

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.console import DATA, print_json, stderr, stdout
from mumath_agent.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Measure speed and size.")


@app.callback()
def _root() -> None:
    """Measure speed and size."""


@app.command()
def kernels(
    data: Annotated[
        Path, typer.Option(help="Recorded solutions, JSONL; without this file their row is left out.")
    ] = DATA / "transcripts" / "tora-70b.gsm8k.jsonl",
    concurrency: Annotated[int, typer.Option(min=1, help="Recorded programs at once.")] = 8,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few of everything: only to see that it works.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print machine and rows as JSON.")] = False,
) -> None:
    """Compare isolated kernels with stock ones: start, cells, errors, memory."""
    for needed in ("jupyter_client", "ipykernel"):
        if find_spec(needed) is None:
            raise InputError(f"stock kernels to compare with need {needed}, which the dev extra brings")
    from benchmarks.perf.bench import FULL, QUICK
    from benchmarks.perf.kernels import measure
    from benchmarks.perf.table import machine, print_table, row_to_json

    started, about = time.monotonic(), machine()
    with stderr.status("") as status:
        isolation, rows = measure(
            QUICK if quick else FULL, data, concurrency, lambda what: status.update(f"measuring: {what}")
        )
    about |= {"isolation": isolation, "seconds": round(time.monotonic() - started, 1)}
    if as_json:
        print_json({"machine": about, "rows": [row_to_json(row) for row in rows]})
    else:
        print_table(about, rows, stdout())
