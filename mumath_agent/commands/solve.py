"""`mumath-agent solve`: its options, and what goes with what. The work is `attempts.py`'s."""

import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer

from mumath_agent.commands.attempts import ProblemFile, Settings, solve_file, solve_one
from mumath_agent.commands.console import interruptible, read_stdin
from mumath_agent.commands.notebooks import folder_of_notebooks, nothing, one_notebook
from mumath_agent.commands.serve import VllmPython, served_for_a_run
from mumath_agent.errors import InputError
from mumath_agent.records import Limits, Sampling


def solve(
    question: Annotated[str | None, typer.Argument(help="The question, or - to read it from stdin.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file with one problem a line, text or JSONL.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="With --file: append each record here; the same command continues.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a problem.")] = False,
    base_url: Annotated[
        str | None, typer.Option(envvar="MUMATH_BASE_URL", help="An OpenAI-compatible server, e.g. of vLLM.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(envvar="MUMATH_MODEL", help="The model's name on the server, if it serves several."),
    ] = None,
    dialect: Annotated[
        str | None,
        typer.Option(
            help="How the model is spoken to: fenced, fenced-qwen, fenced-numina, blocks, chat or tools. "
            "Without it, as its family is."
        ),
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Serve a folder or a hub's model with vLLM, for this run."),
    ] = None,
    vllm_python: VllmPython = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(min=0.01, max=1.0)] = 1.0,
    seed: Annotated[int | None, typer.Option(help="Makes sampling repeatable.")] = None,
    max_turns: Annotated[int, typer.Option(min=1)] = Limits().max_turns,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens per completion.")
    ] = Limits().max_new_tokens,
    cell_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds per program.")
    ] = Limits().cell_timeout_s,
    wall: Annotated[float, typer.Option(min=0.1, help="Seconds per problem.")] = Limits().wall_s,
    fresh_cells: Annotated[bool, typer.Option(help="A new Python session for every program.")] = False,
    rebuild_state: Annotated[
        bool, typer.Option(help="Rebuild a lost session by running its programs again, if they do the same.")
    ] = False,
    unsafe_local: Annotated[
        bool, typer.Option(help="Run programs even where this machine can't confine them, with your rights.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="With --file: problems solved at a time.")] = 8,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="With --output: keep every step here; killed, the same command goes on mid-problem."
        ),
    ] = None,
    approve: Annotated[bool, typer.Option(help="Ask before each program: run it, edit it, or not.")] = False,
    notebook: Annotated[
        Path | None,
        typer.Option(help="Write a Jupyter notebook of what happened; with --file, a folder of them."),
    ] = None,
) -> None:
    """Answer a question: the model reasons, writes Python, reads what it printed, and answers.

    Programs run on this machine in isolated kernels: no network, no files of yours. The API key of a server is read
    from MUMATH_API_KEY.
    """
    if (question is None) == (file is None):
        raise InputError("give either a question (or - for stdin) or --file")
    if serve is not None and base_url is not None:
        raise InputError("--serve starts a server of its own; leave out --base-url, or unset MUMATH_BASE_URL")
    if output is not None and file is None:
        raise InputError("--output goes with --file")
    if checkpoint is not None and output is None:
        raise InputError("--checkpoint goes with --file and --output, which keeps what is finished")
    if approve:
        if file is not None:
            raise InputError("--approve goes with one question, not with --file")
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise InputError("--approve asks at a terminal, and stdin or stderr is none; run it in one")
    limits = Limits(
        max_turns=max_turns, max_new_tokens=max_new_tokens, cell_timeout_s=cell_timeout, wall_s=wall
    )
    settings = Settings(
        base_url=base_url,
        model=model,
        dialect=dialect,
        limits=limits,
        sampling=Sampling(temperature=temperature, top_p=top_p, seed=seed),
        fresh_cells=fresh_cells,
        rebuild_state=rebuild_state,
        unsafe_local=unsafe_local,
    )

    def run() -> int:
        problems = ProblemFile.read(file) if file is not None else None
        text = read_stdin() if question == "-" else question or ""
        with served_for_a_run(serve, vllm_python) if serve else nullcontext(base_url) as url:
            settings_here = replace(settings, base_url=url)
            if problems is not None:
                keep = folder_of_notebooks(notebook, problems.problems) if notebook else nothing
                solving = partial(solve_file, settings_here, problems, output, as_json, concurrency, keep)
                return anyio.run(_with_checkpoints, checkpoint, solving) if checkpoint else anyio.run(solving)
            keep = one_notebook(notebook) if notebook else nothing
            return anyio.run(solve_one, settings_here, text.strip(), as_json, approve, keep)

    raise typer.Exit(interruptible(run))


async def _with_checkpoints(path: Path, solving: Callable[..., Awaitable[int]]) -> int:
    from mumath_agent.agent.checkpoints import checkpoints

    async with checkpoints(path) as checkpointer:
        return await solving(checkpointer=checkpointer)
