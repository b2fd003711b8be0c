"""`mumath-agent solve --file`: many problems side by side, each record kept as its attempt ends."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path

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
from mumath_agent.commands.tables import answers_table
from mumath_agent.commands.terminal import as_line, exit_code, introduce, result_line
from mumath_agent.grading import Grader
from mumath_agent.records import Problem, RunRecord
from mumath_agent.runs.graded import graded
from mumath_agent.runs.locks import only_writer
from mumath_agent.runs.results import ResultsFile


def check_files(
    output: Path | None, csv: Path | None, checkpoint: Path | None, problems: Sequence[Problem]
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
        stack.enter_context(answers_table(csv, problems))
    if checkpoint:
        checkpointer_kind()


async def solve_file(
    file: ProblemFile,
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
        keep_row = stack.enter_context(answers_table(csv, file.problems))
        grader = await stack.enter_async_context(Grader(workers=2)) if file.has_targets else None
        solver = replace(
            await stack.enter_async_context(open_solver(options, remark)), checkpointer=checkpointer
        )
        introduce(solver)
        batch = Batch(problems=file.problems, solver=solver)
        if results:
            results.check(solver.settings)
        stack.callback(lambda: remark(summary.line))  # of an interrupted run, too
        progress = stack.enter_context(progress_bar("solving"))
        task = progress.add_task("", total=len(file.problems))

        def finish(record: RunRecord, *, earlier: bool = False) -> None:
            show(as_line(record) if as_json else result_line(record))
            keep(record)
            keep_row(record)
            codes.append(exit_code(record))
            summary.add(record, earlier=earlier)
            progress.advance(task)

        if results:
            async for record in _finished(batch, results, grader):
                finish(record, earlier=True)
        await run_batch(
            batch, results, concurrency=concurrency, grader=grader, on_record=finish, on_outage=remark
        )
        if results:
            results.sort(file.problems)
    if not as_json and (caution := getattr(solver.model, "caution", "")):
        show(caution)
    return max(codes, key=(ANSWERED, NO_ANSWER, USAGE, BROKEN).index)


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
