"""The command line of the benchmarks: parse, call, print.

Exit codes: 0 everything explained, 1 cells differ for no known reason, 2 the input can't be used, 3 machinery broke.
"""

import json
import os
import signal
import time
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from benchmarks.loaders import RecordedSolution, load_recorded
from benchmarks.outputs import Cause
from benchmarks.replay import Replay, differences, replay_all
from benchmarks.report import counts, print_report
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.records import to_json

UNEXPLAINED, USAGE, BROKEN = 1, 2, 3

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
perf = typer.Typer(no_args_is_help=True, help="Measure speed and size.")
app.add_typer(perf, name="perf")
_stderr = Console(stderr=True, highlight=False)
_DATA = Path(os.environ.get("MUMATH_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def main() -> None:
    """Entry point of `python -m benchmarks`."""
    # Whoever ends us politely gets what Ctrl-C gets: kernels killed, their directories removed.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        app()
    except MuMathError as error:
        _say(error)
        raise SystemExit(USAGE if isinstance(error, InputError) else BROKEN) from None


@app.callback()
def _root() -> None:
    """Measure mumath-agent against recorded and known results."""


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="Recorded solutions of MathCoder or ToRA, JSONL.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N solutions.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Kernels at once.")] = 2,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds per cell.")] = 10.0,
    out: Annotated[
        Path | None, typer.Option(help="Append each result here; the same command continues.")
    ] = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write counts and differing cells here.")
    ] = None,
) -> None:
    """Run recorded programs again and compare what they print."""
    solutions = _solutions(file, limit)
    with _progress(len(solutions)) as progress:
        task = progress.add_task("replaying", total=len(solutions))

        async def run() -> list[Replay]:
            return await replay_all(
                solutions,
                timeout_s=timeout,
                concurrency=concurrency,
                out=out,
                on_replay=lambda _: progress.advance(task),
            )

        replays = anyio.run(run)
    rows = [row for pair in zip(solutions, replays, strict=True) for row in differences(*pair)]
    cells = sum(len(solution.cells) for solution in solutions)
    print_report(len(solutions), cells, rows, Console())
    found = counts(cells, rows)
    if json_out:
        report = {"counts": found, "differences": [to_json(row) for row in rows]}
        json_out.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    if found[Cause.OURS]:
        raise typer.Exit(UNEXPLAINED)


@perf.command()
def kernels(
    data: Annotated[
        Path, typer.Option(help="Recorded solutions, JSONL; without this file their row is left out.")
    ] = _DATA / "transcripts" / "tora-70b.gsm8k.jsonl",
    concurrency: Annotated[int, typer.Option(min=1, help="Recorded programs at once.")] = 8,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few of everything: only to see that it works.")
    ] = False,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write machine and rows here.")] = None,
) -> None:
    """Compare isolated kernels with stock ones: start, cells, errors, memory."""
    for needed in ("jupyter_client", "ipykernel"):
        if find_spec(needed) is None:
            raise InputError(f"stock kernels to compare with need {needed}, which the dev extra brings")
    from benchmarks.perf.bench import FULL, QUICK
    from benchmarks.perf.kernels import measure
    from benchmarks.perf.table import machine, print_table, row_to_json

    started, about = time.monotonic(), machine()
    with _stderr.status("") as status:
        isolation, rows = measure(
            QUICK if quick else FULL, data, concurrency, lambda what: status.update(f"measuring: {what}")
        )
    about |= {"isolation": isolation, "seconds": round(time.monotonic() - started, 1)}
    console = Console()
    print_table(about, rows, console if console.is_terminal else Console(width=120))
    if json_out:
        report = {"machine": about, "rows": [row_to_json(row) for row in rows]}
        json_out.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")


def _solutions(file: Path, limit: int | None) -> list[RecordedSolution]:
    """The first `limit` usable solutions; each line that is none is reported."""
    solutions = []
    for item in islice(load_recorded(file), limit):
        if isinstance(item, InputError):
            _say(item)
        else:
            solutions.append(item)
    if not solutions:
        raise InputError(f"{file} holds no recorded solution")
    return solutions


def _progress(total: int) -> Progress:
    columns = (
        TextColumn("replaying"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=_stderr, disable=not _stderr.is_terminal)


def _say(error: MuMathError) -> None:
    _stderr.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
