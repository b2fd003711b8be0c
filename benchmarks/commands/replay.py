"""`replay`: published solutions, run again."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.console import UNEXPLAINED, print_json, progress, run, say, stdout
from benchmarks.replay.cells import Replay, differences, replay_all
from benchmarks.replay.outputs import Cause
from benchmarks.replay.recordings import RecordedSolution, load_recorded
from benchmarks.replay.table import counts, print_report
from mumath_agent.errors import InputError
from mumath_agent.records import to_json


def replay(
    file: Annotated[Path, typer.Argument(help="Recorded solutions of MathCoder or ToRA, JSONL.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N solutions.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Kernels at once.")] = 2,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds per cell.")] = 10.0,
    out: Annotated[
        Path | None, typer.Option(help="Append each result here; the same command continues.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print counts and differing cells as JSON.")
    ] = False,
) -> None:
    """Run recorded programs again and compare what they print."""
    solutions = _solutions(file, limit)
    with progress("replaying") as bar:
        task = bar.add_task("", total=len(solutions))

        async def replayed() -> list[Replay]:
            return await replay_all(
                solutions,
                timeout_s=timeout,
                concurrency=concurrency,
                out=out,
                on_replay=lambda _: bar.advance(task),
            )

        replays = run(replayed)
    rows = [row for pair in zip(solutions, replays, strict=True) for row in differences(*pair)]
    cells = sum(len(solution.cells) for solution in solutions)
    found = counts(cells, rows)
    if as_json:
        print_json({"counts": found, "differences": [to_json(row) for row in rows]})
    else:
        print_report(len(solutions), cells, rows, stdout())
    if found[Cause.OURS]:
        raise typer.Exit(UNEXPLAINED)


def _solutions(file: Path, limit: int | None) -> list[RecordedSolution]:
    """The first `limit` usable solutions; each line that is none is reported."""
    solutions = []
    for item in islice(load_recorded(file), limit):
        if isinstance(item, InputError):
            say(item)
        else:
            solutions.append(item)
    if not solutions:
        raise InputError(f"{file} holds no recorded solution")
    return solutions
