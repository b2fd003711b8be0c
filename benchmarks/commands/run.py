"""`run`: make a model's attempts at a task, grade them, and keep them on disk."""

import re
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.live import LiveProgress
from benchmarks.manifest import commit, isolation_of, now, servers_of, versions
from benchmarks.peers import PEERS, UNCONFINED, Smolagents, peer
from benchmarks.runs import ATTEMPTS, RunFolder, RunManifest
from benchmarks.tasks import get_task
from benchmarks.tasks.loaders import LoadedProblems, load_own_problems, load_problems
from mumath_agent.agent.attempts import batch_of, solve_problems
from mumath_agent.agent.batch import PATIENCE_S, Batch, run_batch
from mumath_agent.agent.solver import SolverOptions, open_solver
from mumath_agent.answers import extract_answer
from mumath_agent.commands.console import remark, show, stderr
from mumath_agent.commands.console import run as run_to_end
from mumath_agent.commands.options import takes_solver_options
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.grading import Grader
from mumath_agent.runs.graded import AnswerOf
from mumath_agent.solutions import Attempts

_OWN = (".jsonl", ".json", ".csv", ".tsv", ".txt")
"""The endings that tell a user's own file from the name of a task."""


@takes_solver_options(attempts=True, seed=0)
def run(
    options: SolverOptions,
    how: Attempts,
    task: Annotated[str, typer.Argument(help="A task's name (see `tasks`), or a file of problems.")],
    data_dir: Annotated[
        Path | None, typer.Option(help="Read the task's files from here instead of from the hub.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; the same command continues it. [runs/TASK-MODEL]")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(help="Go on with what the folder holds; --no-resume refuses a folder that holds a run."),
    ] = True,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N problems.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Attempts a problem, each scored by itself.")] = 1,
    agent: Annotated[
        str | None,
        typer.Option(help="Another project's agent around the model, to compare with: smolagents."),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Attempts at a time.")] = 16,
    patience: Annotated[float, typer.Option(min=0.0, help="Seconds a server may be away.")] = PATIENCE_S,
) -> None:
    """Measure a model on a task; the same command goes on where it was stopped.

    Without --base-url the embedded model answers. The API key of a server is read from MUMATH_API_KEY. With --attempts
    the answer that the votes choose is scored; `votes` and `report` say more about the attempts.

    Examples:
        python -m benchmarks run svamp --data-dir data
        python -m benchmarks run problems.jsonl --base-url http://127.0.0.1:8000/v1
    """
    if samples > 1 and not how.is_one:
        raise InputError("--samples beside --attempts; leave out one: attempts are voted on, samples aren't")
    if samples > 1 and options.sampling.temperature == 0:
        raise InputError(
            f"--samples {samples} with --temperature 0 would be {samples} times the same; raise it"
        )
    if agent is not None and agent not in PEERS:
        raise InputError(f"--agent {agent} is unknown; known: {', '.join(PEERS)}")
    loaded, answer_of = _problems(task, data_dir, limit)
    for line in loaded.remarks:
        remark(line)

    async def work() -> int:
        async with open_solver(options, remark) as solver:
            solving = peer(agent, solver) if agent else solver
            batch = Batch(problems=loaded.problems, samples=samples, solver=solving, answer_of=answer_of)
            if not how.is_one:
                batch = batch_of(loaded.problems, solving, how, answer_of)
            return await _run(batch, how, task, loaded.source, out, resume, concurrency, patience)

    broken = run_to_end(work)
    if broken:
        raise MuMathError(
            f"{broken} attempts were broken by machinery and are not scored; the same command makes them again"
        )


def _problems(task: str, data_dir: Path | None, limit: int | None) -> tuple[LoadedProblems, AnswerOf]:
    """Return what to solve, and the rule that says which answer is scored."""
    if Path(task).suffix.lower() in _OWN:
        return load_own_problems(Path(task), limit), extract_answer
    known = get_task(task)
    return load_problems(known, data_dir, limit), known.answer_of


async def _run(
    batch: Batch,
    how: Attempts,
    task: str,
    source: str,
    out: Path | None,
    resume: bool,
    concurrency: int,
    patience_s: float,
) -> int:
    """Make the run, and return how many of its attempts are broken."""
    model = batch.solver.model
    manifest = await _manifest(batch, how, task, source)
    path = out or Path("runs") / _file_name(f"{Path(task).stem}-{model.name}")
    if not resume and (path / ATTEMPTS).exists():
        raise InputError(
            f"{path} holds a run already; name another folder with --out, or leave out --no-resume"
        )
    remark(f"model: {model.name} · {len(batch.problems)} problems · isolation: {manifest.isolation} · {path}")
    total = len(batch.problems) * (batch.samples if how.is_one else 1)
    with RunFolder(path, manifest) as folder, LiveProgress(stderr, total=total) as live:
        async with Grader(workers=2) as grader:
            make = partial(run_batch, batch, folder, on_record=live.add)
            if how.is_one:
                for record in batch.finished(folder):
                    live.add(record, earlier=True)
            else:
                make = partial(solve_problems, batch, how, folder, on_solution=live.add_solution)
            await make(concurrency=concurrency, grader=grader, patience_s=patience_s, on_outage=remark)
        folder.sort(batch.problems, batch.samples)
    show(f"{path}: {live.summary}")
    return live.broken


async def _manifest(batch: Batch, how: Attempts, task: str, source: str) -> RunManifest:
    is_peer = isinstance(batch.solver, Smolagents)
    return RunManifest(
        task=task,
        source=source,
        problems=len(batch.problems),
        samples=batch.samples,
        seed=batch.solver.sampling.seed,
        settings=batch.solver.settings,
        isolation=UNCONFINED if is_peer else await isolation_of(batch.solver.sandbox),
        started_at=now(),
        versions=versions(),
        commit=commit(),
        servers=await servers_of(batch.solver.model),
        how=None if how.is_one else how,
    )


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-")
