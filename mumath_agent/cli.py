"""The command line: parse, call, print; nothing clever.

Exit codes: 0 answered, 1 no answer, 2 the input or an option can't be used, 3 machinery broke, 130 interrupted. For a
file of problems it is the gravest of its problems'. Answers go to stdout, everything said about them to stderr. For
cells, 0 says that every one was ok and 1 that one was not.
"""

import io
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
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
from rich.text import Text

from mumath_agent import __version__
from mumath_agent.cells import PlainOutput, run_cells, show_json, split_cells
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.kernels.isolation import layers_of
from mumath_agent.models import CompletionModel
from mumath_agent.problems import check_question, decode, parse_problems, read_text
from mumath_agent.records import Limits, Problem, RunRecord, Sampling, StopReason, to_json
from mumath_agent.results import ResultsFile
from mumath_agent.terminal import LiveTranscript, answer_line, result_line

if TYPE_CHECKING:
    from mumath_agent.solver import Solver

ANSWERED, NO_ANSWER, USAGE, BROKEN, INTERRUPTED = 0, 1, 2, 3, 130

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
_stderr = Console(stderr=True, highlight=False)


def main() -> None:
    """Entry point of the `mumath-agent` command."""
    # Whoever ends us politely gets what Ctrl-C gets: kernels killed, their directories removed. SIGINT may be ignored
    # from the start (a shell does so for background jobs); asyncio cancels on it only if it has Python's own handler.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    warnings.showwarning = _warn
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a terminal may know fewer characters than a program
    try:
        app()
    except MuMathError as error:
        raise SystemExit(_fail(error)) from None
    except BrokenPipeError:
        # The reader of our stdout has gone (`| head`); leave without a traceback at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(BROKEN) from None


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Solve mathematical problems by reasoning and executed Python."""
    if version:
        typer.echo(f"mumath-agent {__version__}")
        raise typer.Exit


@app.command()
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
        text = _read_stdin() if question == "-" else question or ""
        return anyio.run(_solve_one, settings, text.strip(), as_json)

    raise typer.Exit(_interruptible(run))


@app.command()
def python(
    file: Annotated[str, typer.Argument(help="A file of Python cells, or - to read them from stdin.")] = "-",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a cell.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds per cell.")] = 60.0,
    level: Annotated[
        str | None,
        typer.Option(
            help="Exactly this isolation: full, landlock+seccomp, namespaces+seccomp, rlimits-only or none. "
            "Without it, the best this machine can do.",
        ),
    ] = None,
    unsafe_local: Annotated[
        bool, typer.Option(help="Run cells even where they are not confined, with your rights.")
    ] = False,
) -> None:
    """Run Python cells in one isolated kernel: no network, no files of yours.

    A line "# %%" begins a cell, as in VS Code and Jupytext; a title may follow
    on it. Variables last from cell to cell. Cells after one that failed still
    run.

    What a cell prints and its last value go to stdout, its stderr and its error
    to stderr.

    Exit codes: 0 every cell was ok, 1 one was not, 2 the input or an option is
    of no use, 3 machinery broke, 130 interrupted.
    """
    if not timeout > 0:  # or no number at all
        raise InputError(f"--timeout is {timeout:g}; it must be positive")
    sandbox = Sandbox(layers=None if level is None else layers_of(level), unsafe_local=unsafe_local)
    show = show_json if as_json else PlainOutput(remark=_remark, complain=partial(_tell, style="red"))

    def run() -> int:
        cells = split_cells(_read_stdin() if file == "-" else read_text(Path(file)))
        if not cells:
            raise InputError(f"{'stdin' if file == '-' else file} is empty: there is no cell to run")
        executor = JupyterExecutor(sandbox)
        all_ok = anyio.run(partial(run_cells, cells, executor, timeout_s=timeout, show=show))
        return ANSWERED if all_ok else NO_ANSWER

    raise typer.Exit(_interruptible(run))


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
        _say(record.trajectory.error)
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
        _fail(error)
    codes = [USAGE] if file.errors else []
    results = ResultsFile(output) if output else None
    batch = Batch(problems=file.problems, solver=solver)
    progress = Progress(
        TextColumn("solving"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=_stderr,
        disable=not _stderr.is_terminal,
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
            await run_batch(batch, results, concurrency=concurrency, on_record=finish, on_outage=_remark)
        finally:
            await solver.model.aclose()
    if results:
        results.sort(file.problems)
    return max(codes, key=(ANSWERED, NO_ANSWER, USAGE, BROKEN).index)


def _interruptible(run: Callable[[], int]) -> int:
    try:
        return run()
    except KeyboardInterrupt:
        _stderr.print("interrupted")
        return INTERRUPTED


def _read_stdin() -> str:
    return decode(sys.stdin.buffer.read(), "stdin")


def _introduce(model: CompletionModel) -> None:
    about = getattr(model, "about", None)
    _remark(f"model: {model.name}" + (f" ({about})" if about else ""))


def _line(record: RunRecord) -> str:
    return json.dumps(to_json(record), ensure_ascii=False)


def _exit_code(record: RunRecord) -> int:
    if record.trajectory.error or record.trajectory.stop_reason is StopReason.KERNEL_DIED:
        return BROKEN
    return ANSWERED if record.trajectory.answer else NO_ANSWER


def _fail(error: MuMathError) -> int:
    _say(str(error))
    return USAGE if isinstance(error, InputError) else BROKEN


def _say(error: str) -> None:
    _tell(f"error: {error}", style="red")


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning of the library in one line; where in our source it was raised helps nobody."""
    _tell(f"warning: {' '.join(str(message).split())}", style="yellow")


def _remark(text: str) -> None:
    _tell(text, style="dim")


def _tell(text: str, *, style: str) -> None:
    with suppress(BrokenPipeError):
        _stderr.print(
            Text(text, style=style), soft_wrap=True
        )  # a plain str would have its markup interpreted
