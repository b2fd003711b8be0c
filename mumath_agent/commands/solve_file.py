"""`mumath-agent solve --file`: many problems side by side, each record kept as its attempt ends."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from mumath_agent.agent.attempts import batch_of, solve_problems
from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.checkpoints import checkpointer_kind, checkpoints
from mumath_agent.agent.solver import SolverOptions, open_solver
from mumath_agent.commands.console import (
    ANSWERED,
    BROKEN,
    NO_ANSWER,
    USAGE,
    progress_bar,
    remark,
    show,
)
from mumath_agent.commands.notebooks import Keep
from mumath_agent.commands.problem_file import ProblemFile
from mumath_agent.commands.summary import Summary
from mumath_agent.commands.tables import COLUMNS, OF_SOLUTIONS, answers_table
from mumath_agent.commands.terminal import as_line, exit_code, introduce, result_line
from mumath_agent.grading import Grader
from mumath_agent.records import Problem, RunRecord
from mumath_agent.runs.graded import graded
from mumath_agent.runs.locks import only_writer
from mumath_agent.runs.results import ResultsFile
from mumath_agent.solutions import Attempts, Solution


def check_files(
    output: Path | None,
    csv: Path | None,
    checkpoint: Path | None,
    problems: Sequence[Problem],
    how: Attempts,
) -> None:
    """Refuse what can't be written to or is in use, before a server is started or a model loaded.

    Raises:
        InputError: says which.
    """
    with ExitStack() as stack:
        for path in (output, checkpoint):
            if path:
                stack.enter_context(only_writer(path))
        if output:
            ResultsFile(output)
        stack.enter_context(answers_table(csv, problems, _columns(how)))
    if checkpoint:
        checkpointer_kind()


async def solve_file(
    file: ProblemFile,
    how: Attempts,
    output: Path | None,
    csv: Path | None,
    as_json: bool,
    concurrency: int,
    keep: Keep,
    checkpoint: Path | None,
    options: SolverOptions,
) -> int:
    """Solve the problems of a file and return the gravest exit code of any of them."""
    codes, summary = [USAGE] if file.errors else [], Summary(file, output)
    async with AsyncExitStack() as stack:
        if output:
            stack.enter_context(only_writer(output))
        results = ResultsFile(output) if output else None
        checkpointer = await stack.enter_async_context(checkpoints(checkpoint)) if checkpoint else None
        keep_row = stack.enter_context(answers_table(csv, file.problems, _columns(how)))
        is_graded = file.has_targets or not how.is_one
        grader = await stack.enter_async_context(Grader(workers=2)) if is_graded else None
        solver = replace(
            await stack.enter_async_context(open_solver(options, remark)), checkpointer=checkpointer
        )
        introduce(solver)
        batch = batch_of(file.problems, solver, how)
        if results:
            results.check(batch.solver.settings, batch.later_settings)
        stack.callback(lambda: remark(summary.line))  # of an interrupted run, too
        progress = stack.enter_context(progress_bar("solving"))
        task = progress.add_task("", total=len(file.problems))

        def finish(record: RunRecord | Solution, *, earlier: bool = False) -> None:
            show(as_line(record) if as_json else result_line(record))
            keep(record)
            keep_row(record)
            codes.append(exit_code(record))
            summary.add(record, earlier=earlier)
            progress.advance(task)

        run = partial(_make, batch, results, finish, concurrency, grader)
        if grader and not how.is_one:
            run = partial(_solve, batch, results, finish, concurrency, grader, how)
        await run()
        if results:
            results.sort(file.problems, batch.samples)
    if not as_json and (caution := getattr(solver.model, "caution", "")):
        show(caution)
    return max(codes, key=(ANSWERED, NO_ANSWER, USAGE, BROKEN).index)


async def _make(
    batch: Batch,
    results: ResultsFile | None,
    finish: Callable[..., None],
    concurrency: int,
    grader: Grader | None,
) -> None:
    """Make one attempt at each problem."""
    if results:
        async for record in _finished(batch, results, grader):
            finish(record, earlier=True)
    await run_batch(
        batch, results, concurrency=concurrency, grader=grader, on_record=finish, on_outage=remark
    )


async def _solve(
    batch: Batch,
    results: ResultsFile | None,
    finish: Callable[..., None],
    concurrency: int,
    grader: Grader,
    how: Attempts,
) -> None:
    """Make several attempts at each problem; those that were made before are only counted."""

    def keep(solution: Solution) -> None:
        budget = solution.budget
        finish(solution, earlier=0 < budget.earlier == budget.finished)

    await solve_problems(
        batch, how, results, concurrency=concurrency, grader=grader, on_solution=keep, on_outage=remark
    )


def _columns(how: Attempts) -> Sequence[str]:
    return COLUMNS if how.is_one else OF_SOLUTIONS


async def _finished(batch: Batch, results: ResultsFile, grader: Grader | None) -> AsyncIterator[RunRecord]:
    """Yield the records that were there before, graded where the file's target is new to them."""
    problems = {problem.id: problem for problem in batch.problems}
    for record in list(batch.finished(results)):
        problem = problems[record.problem.id]
        is_graded = record.verdict is not None and record.problem.target == problem.target
        if grader and problem.target is not None and not is_graded:
            record = await graded(replace(record, problem=problem), grader)
            results.append(record)
        yield record
