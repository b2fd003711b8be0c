"""`replay`: published solutions, run again."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import anyio
import typer

from benchmarks.replay.agent import replay_agent, replay_model
from benchmarks.replay.cells import replay_cells
from benchmarks.replay.outputs import DifferenceCause
from benchmarks.replay.recordings import RecordedSolution, load_recorded
from benchmarks.replay.server import serving
from benchmarks.replay.summary import ReplayedSolution, ReplayMode, report
from benchmarks.replay.table import print_report
from mumath_agent.commands.console import UNEXPECTED, print_json, progress_bar, run, stderr, stdout, usable
from mumath_agent.concurrency import map_each
from mumath_agent.grading import Grader
from mumath_agent.records import Verdict, to_json

_GRADED_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    mode: ReplayMode
    concurrency: int
    timeout_s: float
    out: Path | None


def replay(
    file: Annotated[
        Path, typer.Argument(help="Recorded solutions of MathCoder or ToRA, JSONL, or a run of ours.")
    ],
    mode: Annotated[
        ReplayMode,
        typer.Option(help="Run the recorded programs, or send the recorded texts through the agent."),
    ] = ReplayMode.CELLS,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N solutions.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Solutions at once.")] = 8,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds per cell.")] = 10.0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Keep each result here as it comes; the same command continues. "
            "A file, or for the agent the folder of a run."
        ),
    ] = None,
    serve: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Replay nothing; serve the texts at this port.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print figures, differences and flips as JSON.")
    ] = False,
) -> None:
    """Run recorded solutions again and say where and why something else comes out.

    Examples:
        python -m benchmarks replay tora-70b.gsm8k.jsonl
        python -m benchmarks replay tora-70b.gsm8k.jsonl --mode agent
    """
    solutions = _solutions(file, limit)
    if serve is not None:
        _serve(solutions, serve)
        return
    options = _Options(mode=mode, concurrency=concurrency, timeout_s=timeout, out=out)
    started = time.monotonic()
    with progress_bar("replaying") as bar:
        task = bar.add_task("", total=len(solutions))
        replayed = run(lambda: _replayed(solutions, file, options, lambda _: bar.advance(task)))
    found = report(mode, file.name.removesuffix(".jsonl"), replayed, time.monotonic() - started)
    if as_json:
        print_json(to_json(found))
    else:
        print_report(found, stdout())
    if found.counts[DifferenceCause.OURS]:
        raise typer.Exit(UNEXPECTED)


async def _replayed(
    solutions: list[RecordedSolution], file: Path, options: _Options, on_end: Callable[[object], None]
) -> list[ReplayedSolution]:
    async with Grader(workers=2) as grader:
        verdicts = await _recorded_verdicts(solutions, grader)
        if options.mode is ReplayMode.AGENT:
            records = await replay_agent(
                solutions,
                source=file,
                timeout_s=options.timeout_s,
                concurrency=options.concurrency,
                grader=grader,
                out=options.out,
                on_record=on_end,
            )
            return [
                ReplayedSolution(
                    solution=s, recorded_verdict=v, executions=record.trajectory.executions, record=record
                )
                for s, v, record in zip(solutions, verdicts, records, strict=True)
            ]
    replays = await replay_cells(
        solutions,
        timeout_s=options.timeout_s,
        concurrency=options.concurrency,
        out=options.out,
        on_replay=on_end,
    )
    return [
        ReplayedSolution(solution=s, recorded_verdict=v, executions=replay.executions)
        for s, v, replay in zip(solutions, verdicts, replays, strict=True)
    ]


async def _recorded_verdicts(solutions: list[RecordedSolution], grader: Grader) -> list[Verdict | None]:
    """Grade the recorded answers, where there is a gold answer."""

    async def grade(solution: RecordedSolution) -> Verdict | None:
        return None if solution.target is None else await grader.grade(solution.answer, solution.target)

    return await map_each(solutions, grade, concurrency=_GRADED_AT_ONCE)


def _serve(solutions: list[RecordedSolution], port: int) -> None:
    model = replay_model(solutions)
    with serving(model, port) as url:
        dialect = model.dialect.name
        stderr.print(
            f"{len(solutions)} recorded solutions at {url}; ask with --dialect {dialect}; Ctrl-C ends"
        )
        run(anyio.sleep_forever)


def _solutions(file: Path, limit: int | None) -> list[RecordedSolution]:
    """Return the solutions among the first `limit` lines; each line that isn't one is reported."""
    return list(usable(islice(load_recorded(file), limit), [], f"{file} holds no recorded solution"))
