"""`mumath-agent solve`: one question, or a file of them."""

import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

from mumath_agent.commands.console import (
    ANSWERED,
    BROKEN,
    NO_ANSWER,
    USAGE,
    fail,
    interruptible,
    read_stdin,
    remark,
    say,
    stderr,
)
from mumath_agent.commands.notebooks import Keep, folder_of_notebooks, nothing, one_notebook
from mumath_agent.commands.serve import VllmPython, served_for_a_run
from mumath_agent.dialects import Dialect, get_dialect
from mumath_agent.errors import InputError
from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.models import CompletionModel
from mumath_agent.problems import check_question, parse_problems, read_text
from mumath_agent.records import Limits, Problem, RunRecord, Sampling, StopReason, to_json
from mumath_agent.results import ResultsFile
from mumath_agent.terminal import LiveTranscript, answer_line, result_line

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from mumath_agent.solver import Reviewer, Solver


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
    replay: Annotated[
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
    settings = _Settings(
        base_url=base_url,
        model=model,
        dialect=dialect,
        limits=limits,
        sampling=Sampling(temperature=temperature, top_p=top_p, seed=seed),
        fresh_cells=fresh_cells,
        replay=replay,
        unsafe_local=unsafe_local,
    )

    def run() -> int:
        problems = _File.read(file) if file is not None else None
        text = read_stdin() if question == "-" else question or ""
        with served_for_a_run(serve, vllm_python) if serve else nullcontext(base_url) as url:
            settings_here = replace(settings, base_url=url)
            if problems is not None:
                keep = folder_of_notebooks(notebook, problems.problems) if notebook else nothing
                solving = partial(_solve_file, settings_here, problems, output, as_json, concurrency, keep)
                return anyio.run(_with_checkpoints, checkpoint, solving) if checkpoint else anyio.run(solving)
            keep = one_notebook(notebook) if notebook else nothing
            return anyio.run(_solve_one, settings_here, text.strip(), as_json, approve, keep)

    raise typer.Exit(interruptible(run))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """The options, and what they describe."""

    base_url: str | None
    model: str | None
    dialect: str | None
    limits: Limits
    sampling: Sampling
    fresh_cells: bool
    replay: bool
    unsafe_local: bool

    def kernel(self) -> JupyterExecutor:
        sandbox = Sandbox(memory_mb=self.limits.memory_mb, unsafe_local=self.unsafe_local)
        return JupyterExecutor(sandbox, fresh_cells=self.fresh_cells, replay=self.replay)

    async def solver(self) -> "Solver":
        """Imports what it needs, in a thread: LangGraph alone takes longer than a kernel needs to start."""
        await anyio.to_thread.run_sync(import_module, "mumath_agent.solver")
        from mumath_agent.solver import Solver

        model, dialect = await self._model()
        return Solver(
            model=model,
            dialect=dialect,
            limits=self.limits,
            sampling=self.sampling,
            fresh_cells=self.fresh_cells,
            replay=self.replay,
            unsafe_local=self.unsafe_local,
        )

    async def _model(self) -> tuple[CompletionModel, Dialect]:
        from mumath_agent.models.choosing import chosen_at
        from mumath_agent.models.embedded import EmbeddedModel

        if self.base_url is not None:
            chosen = await chosen_at([self.base_url], self.model, self.dialect)
            if chosen.family.notice and self.dialect is None:
                remark(f"{chosen.family.notice}; --dialect says otherwise")
            return chosen.model, chosen.dialect
        if self.model is not None:
            raise InputError(
                f"--model {self.model} needs --base-url, the address of the server that serves it"
            )
        return EmbeddedModel(), get_dialect(self.dialect or "fenced")


async def _solve_one(settings: _Settings, question: str, as_json: bool, approve: bool, keep: Keep) -> int:
    check_question(question)
    stdout = Console(highlight=False)
    live = None if as_json else LiveTranscript(stdout)
    async with settings.kernel() as kernel:  # starts while the graph is imported and the model loaded
        solver = await settings.solver()
        try:
            await solver.model.warm_up()
            _introduce(solver)
            problem = Problem(id="question", question=question)
            review = _asker(show=as_json) if approve else None
            record = await solver.solve(problem, on_event=live, kernel=kernel, review=review)
        finally:
            await solver.model.aclose()
    if as_json:
        typer.echo(_line(record))
    if record.trajectory.error:
        say(record.trajectory.error)
    elif not as_json:
        typer.echo(f"\n\n{answer_line(record.trajectory)}")
    keep(record)
    return _exit_code(record)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """The problems of a file, and what of it couldn't be used."""

    problems: tuple[Problem, ...]
    errors: tuple[InputError, ...]

    @classmethod
    def read(cls, path: Path) -> "_File":
        problems: list[Problem] = []
        errors: list[InputError] = []
        for item in parse_problems(read_text(path), path.name):
            try:
                if isinstance(item, InputError):
                    raise item
                check_question(item.question)
                problems.append(item)
            except InputError as error:
                errors.append(
                    error if isinstance(item, InputError) else InputError(f"{path.name} {item.id}: {error}")
                )
        if not problems and not errors:
            raise InputError(f"{path} holds no problem")
        return cls(problems=tuple(problems), errors=tuple(errors))


async def _solve_file(
    settings: _Settings,
    file: _File,
    output: Path | None,
    as_json: bool,
    concurrency: int,
    keep: Keep,
    checkpointer: "BaseCheckpointSaver[Any] | None" = None,
) -> int:
    from mumath_agent.batch import Batch, run_batch

    for error in file.errors:
        fail(error)
    codes = [USAGE] if file.errors else []
    results = ResultsFile(output) if output else None
    solver = replace(await settings.solver(), checkpointer=checkpointer)
    batch = Batch(problems=file.problems, solver=solver)
    progress = Progress(
        TextColumn("solving"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=stderr,
        disable=not stderr.is_terminal,
    )
    with progress:
        task = progress.add_task("", total=len(file.problems))

        def finish(record: RunRecord) -> None:
            typer.echo(_line(record) if as_json else result_line(record))
            keep(record)
            codes.append(_exit_code(record))
            progress.advance(task)

        try:
            await solver.model.warm_up()
            _introduce(solver)
            if results:
                results.check(solver.settings)
                for record in batch.finished(results):
                    finish(record)
            await run_batch(batch, results, concurrency=concurrency, on_record=finish, on_outage=remark)
        finally:
            await solver.model.aclose()
    if results:
        results.sort(file.problems)
    return max(codes, key=(ANSWERED, NO_ANSWER, USAGE, BROKEN).index)


def _asker(*, show: bool) -> "Reviewer":
    from mumath_agent.commands.approve import Asker

    return Asker(show=show)


async def _with_checkpoints(path: Path, solving: Callable[..., Awaitable[int]]) -> int:
    from mumath_agent.checkpoints import checkpoints

    async with checkpoints(path) as checkpointer:
        return await solving(checkpointer=checkpointer)


def _introduce(solver: "Solver") -> None:
    about = getattr(solver.model, "about", None) or f"dialect {solver.dialect.name}"
    remark(f"model: {solver.model.name} ({about})")


def _line(record: RunRecord) -> str:
    return json.dumps(to_json(record), ensure_ascii=False)


def _exit_code(record: RunRecord) -> int:
    if record.trajectory.error or record.trajectory.stop_reason is StopReason.KERNEL_DIED:
        return BROKEN
    return ANSWERED if record.trajectory.answer else NO_ANSWER
