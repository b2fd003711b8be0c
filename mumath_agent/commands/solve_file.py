"""`mumath-agent solve --file`: many problems side by side, each record kept as its attempt ends."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.checkpoints import checkpoints
from mumath_agent.agent.solver import SolverOptions, open_solver
from mumath_agent.commands.console import (
    ANSWERED,
    BROKEN,
    NO_ANSWER,
    USAGE,
    fail,
    progress_bar,
    remark,
)
from mumath_agent.commands.notebooks import Keep
from mumath_agent.commands.terminal import as_line, exit_code, introduce, result_line
from mumath_agent.errors import InputError
from mumath_agent.problems import read_problems
from mumath_agent.records import Problem, RunRecord
from mumath_agent.runs.locks import only_writer
from mumath_agent.runs.results import ResultsFile


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemFile:
    """The problems of a file, and the errors of the lines that can't be used."""

    problems: tuple[Problem, ...]
    errors: tuple[InputError, ...]

    @classmethod
    def read(cls, path: Path) -> "ProblemFile":
        """Read a user's file of problems.

        Raises:
            InputError: the file can't be read or holds no problem.
        """
        items = list(read_problems(path))
        if not items:
            raise InputError(f"{path} holds no problem")
        return cls(
            problems=tuple(item for item in items if isinstance(item, Problem)),
            errors=tuple(item for item in items if isinstance(item, InputError)),
        )


async def solve_file(
    file: ProblemFile,
    output: Path | None,
    as_json: bool,
    concurrency: int,
    keep: Keep,
    checkpoint: Path | None,
    options: SolverOptions,
) -> int:
    """Solve the problems of a file and return the gravest exit code of any of them."""
    for error in file.errors:
        fail(error)
    codes = [USAGE] if file.errors else []
    async with AsyncExitStack() as stack:
        if output:
            stack.enter_context(only_writer(output))
        results = ResultsFile(output) if output else None
        checkpointer = await stack.enter_async_context(checkpoints(checkpoint)) if checkpoint else None
        progress = stack.enter_context(progress_bar("solving"))
        task = progress.add_task("", total=len(file.problems))

        def finish(record: RunRecord) -> None:
            typer.echo(as_line(record) if as_json else result_line(record))
            keep(record)
            codes.append(exit_code(record))
            progress.advance(task)

        solver = replace(
            await stack.enter_async_context(open_solver(options, remark)), checkpointer=checkpointer
        )
        introduce(solver)
        batch = Batch(problems=file.problems, solver=solver)
        if results:
            results.check(solver.settings)
            for record in batch.finished(results):
                finish(record)
        await run_batch(batch, results, concurrency=concurrency, on_record=finish, on_outage=remark)
        if results:
            results.sort(file.problems)
    if not as_json and (caution := getattr(solver.model, "caution", "")):
        typer.echo(caution)
    return max(codes, key=(ANSWERED, NO_ANSWER, USAGE, BROKEN).index)
