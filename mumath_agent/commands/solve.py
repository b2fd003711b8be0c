"""`mumath-agent solve`: one question, or with `solve_file.py` a file of them, from the options to the exit code."""

from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated

import anyio
import typer

from mumath_agent.agent.solver import SolverOptions, open_solver
from mumath_agent.commands.asked import asker, check_together, read_question
from mumath_agent.commands.console import finish_line, interruptible, remark, say, show, show_part
from mumath_agent.commands.notebooks import Keep, folder_of_notebooks, keep_nothing, one_notebook
from mumath_agent.commands.options import takes_solver_options
from mumath_agent.commands.serve import VllmPython, served_for_a_run
from mumath_agent.commands.solve_attempts import solve_question
from mumath_agent.commands.terminal import LiveTranscript, as_line, exit_code, introduce
from mumath_agent.records import Problem
from mumath_agent.runs.wording import ending
from mumath_agent.solutions import Attempts


@takes_solver_options(attempts=True)
def solve(
    options: SolverOptions,
    how: Attempts,
    question: Annotated[str | None, typer.Argument(help="The question, or - to read it from stdin.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="A file of problems, or - for stdin: text, JSONL, JSON, CSV or TSV.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="With --file: append each record here; the same command continues.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="With --file: write a table of the answers here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a problem.")] = False,
    serve: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Serve a folder or a hub's model with vLLM, for this run."),
    ] = None,
    vllm_python: VllmPython = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Attempts made at a time.")] = 8,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="With --output: keep every step here, so that a killed run goes on mid-problem."),
    ] = None,
    approve: Annotated[bool, typer.Option(help="Ask before each program: run it, edit it, or not.")] = False,
    notebook: Annotated[
        Path | None,
        typer.Option(help="Write a Jupyter notebook of what happened; with --file, a folder of them."),
    ] = None,
) -> None:
    """Answer a question: the model reasons, writes Python, reads what it printed, and answers.

    Programs run in isolated kernels here: no network, no files of yours. A server's key is read from MUMATH_API_KEY.

    A file has one question a line, or rows with the fields question (or problem, input), answer (or target) and id (or
    idx), of which only the first is needed. Where there are answers, those of the model are graded.

    Examples:
        mumath-agent solve "What is 17 times 23?"
        mumath-agent solve --json - < question.txt
        mumath-agent solve --file problems.jsonl --output results.jsonl

    Exit codes: 0 answered, 1 no answer, 2 the input or an option can't be used, 3 a model, a server or a kernel failed,
    130 interrupted; for a file the gravest of its problems'.
    """
    check_together(question, file, output, csv, checkpoint, approve, serve, options, how)

    def run() -> int:
        if file is None:
            text = read_question(question)
            keep = one_notebook(notebook) if notebook else keep_nothing
            solving = partial(_solve_one, text, as_json, approve, keep)
            if not how.is_one:
                solving = partial(solve_question, text, how, as_json, concurrency, keep)
        else:
            from mumath_agent.commands.problem_file import ProblemFile
            from mumath_agent.commands.solve_file import check_files, solve_file

            problems = ProblemFile.read(file)
            check_files(output, csv, checkpoint, problems.problems, how)
            keep = folder_of_notebooks(notebook, problems.problems) if notebook else keep_nothing
            solving = partial(solve_file, problems, how, output, csv, as_json, concurrency, keep, checkpoint)
        if serve is None:
            return anyio.run(solving, options)
        with served_for_a_run(serve, vllm_python) as url:
            return anyio.run(solving, replace(options, base_urls=(url,)))

    raise typer.Exit(interruptible(run))


async def _solve_one(question: str, as_json: bool, approve: bool, keep: Keep, options: SolverOptions) -> int:
    live = None if as_json else LiveTranscript()
    async with options.new_kernel() as kernel:  # starts while LangGraph is imported and the model is loaded
        await anyio.to_thread.run_sync(import_module, "mumath_agent.agent.attempt")
        async with open_solver(options, remark) as solver:
            introduce(solver)
            problem = Problem(id="question", question=question)
            review = asker(as_json) if approve else None
            record = await solver.solve(problem, on_event=live, kernel=kernel, review=review)
    if as_json:
        show(as_line(record))
    if record.trajectory.error:
        finish_line()
        say(record.trajectory.error)
    elif not as_json:
        show_part(f"\n\n{ending(record)}\n")
    keep(record)
    return exit_code(record)
