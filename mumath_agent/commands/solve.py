"""`mumath-agent solve`: one question, or a file of them."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from mumath_agent.errors import InputError
from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.models import CompletionModel
from mumath_agent.problems import check_question, parse_problems, read_text
from mumath_agent.records import Limits, Problem, RunRecord, Sampling, StopReason, to_json
from mumath_agent.results import ResultsFile
from mumath_agent.terminal import LiveTranscript, answer_line, result_line

if TYPE_CHECKING:
    from mumath_agent.solver import Solver


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
) -> None:
    """Answer a question: the model reasons, writes Python, reads what it printed, and answers.

    Programs run on this machine in isolated kernels: no network, no files of yours. The API key of a server is read
    from MUMATH_API_KEY.
    """
    if (question is None) == (file is None):
        raise InputError("give either a question (or - for stdin) or --file")
    if output is not None and file is None:
        raise InputError("--output goes with --file")
    limits = Limits(
        max_turns=max_turns, max_new_tokens=max_new_tokens, cell_timeout_s=cell_timeout, wall_s=wall
    )
    settings = _Settings(
        base_url=base_url,
        model=model,
        limits=limits,
        sampling=Sampling(temperature=temperature, top_p=top_p, seed=seed),
        fresh_cells=fresh_cells,
        replay=replay,
        unsafe_local=unsafe_local,
    )

    def run() -> int:
        if file is not None:
            return anyio.run(_solve_file, settings.solver(), _File.read(file), output, as_json, concurrency)
        text = read_stdin() if question == "-" else question or ""
        return anyio.run(_solve_one, settings, text.strip(), as_json)

    raise typer.Exit(interruptible(run))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """The options, and what they describe."""

    base_url: str | None
    model: str | None
    limits: Limits
    sampling: Sampling
    fresh_cells: bool
    replay: bool
    unsafe_local: bool

    def kernel(self) -> JupyterExecutor:
        sandbox = Sandbox(memory_mb=self.limits.memory_mb, unsafe_local=self.unsafe_local)
        return JupyterExecutor(sandbox, fresh_cells=self.fresh_cells, replay=self.replay)

    def solver(self) -> "Solver":
        """Imports what it needs: LangGraph alone takes longer than a kernel needs to start."""
        from mumath_agent.solver import Solver

        return Solver(
            model=self._model(),
            limits=self.limits,
            sampling=self.sampling,
            fresh_cells=self.fresh_cells,
            replay=self.replay,
            unsafe_local=self.unsafe_local,
        )

    def _model(self) -> CompletionModel:
        from mumath_agent.models.completions import CompletionsModel
        from mumath_agent.models.embedded import EmbeddedModel

        if self.base_url is not None:
            api_key = os.environ.get("MUMATH_API_KEY")
            return CompletionsModel(self.base_url, model=self.model, api_key=api_key)
        if self.model is not None:
            raise InputError(
                f"--model {self.model} needs --base-url, the address of the server that serves it"
            )
        return EmbeddedModel()


async def _solve_one(settings: _Settings, question: str, as_json: bool) -> int:
    check_question(question)
    stdout = Console(highlight=False)
    live = None if as_json else LiveTranscript(stdout)
    async with settings.kernel() as kernel:  # starts while the graph is imported and the model loaded
        solver = await anyio.to_thread.run_sync(settings.solver)
        try:
            await solver.model.warm_up()
            _introduce(solver.model)
            problem = Problem(id="question", question=question)
            record = await solver.solve(problem, on_event=live, kernel=kernel)
        finally:
            await solver.model.aclose()
    if as_json:
        typer.echo(_line(record))
    if record.trajectory.error:
        say(record.trajectory.error)
    elif not as_json:
        typer.echo(f"\n\n{answer_line(record.trajectory)}")
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
    solver: "Solver", file: _File, output: Path | None, as_json: bool, concurrency: int
) -> int:
    from mumath_agent.batch import Batch, run_batch

    for error in file.errors:
        fail(error)
    codes = [USAGE] if file.errors else []
    results = ResultsFile(output) if output else None
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
            codes.append(_exit_code(record))
            progress.advance(task)

        try:
            await solver.model.warm_up()
            _introduce(solver.model)
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


def _introduce(model: CompletionModel) -> None:
    about = getattr(model, "about", None)
    remark(f"model: {model.name}" + (f" ({about})" if about else ""))


def _line(record: RunRecord) -> str:
    return json.dumps(to_json(record), ensure_ascii=False)


def _exit_code(record: RunRecord) -> int:
    if record.trajectory.error or record.trajectory.stop_reason is StopReason.KERNEL_DIED:
        return BROKEN
    return ANSWERED if record.trajectory.answer else NO_ANSWER
