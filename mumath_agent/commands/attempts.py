"""What `solve` does once its options are read: one question, or a file of them, from the model to the exit code."""

import json
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

from mumath_agent.commands.console import ANSWERED, BROKEN, NO_ANSWER, USAGE, fail, remark, say, stderr
from mumath_agent.commands.notebooks import Keep
from mumath_agent.commands.terminal import LiveTranscript, result_line
from mumath_agent.dialects import Dialect, get_dialect
from mumath_agent.errors import InputError
from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.models import CompletionModel
from mumath_agent.problems import check_question, parse_problems, read_text
from mumath_agent.records import Limits, Problem, RunRecord, Sampling, StopReason, to_json
from mumath_agent.runs.results import ResultsFile
from mumath_agent.runs.wording import answer_line

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from mumath_agent.agent.solver import Reviewer, Solver


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options, and what they describe."""

    base_url: str | None
    model: str | None
    dialect: str | None
    limits: Limits
    sampling: Sampling
    fresh_cells: bool
    rebuild_state: bool
    unsafe_local: bool

    def kernel(self) -> JupyterExecutor:
        sandbox = Sandbox(memory_mb=self.limits.memory_mb, unsafe_local=self.unsafe_local)
        return JupyterExecutor(sandbox, fresh_cells=self.fresh_cells, rebuild_state=self.rebuild_state)

    async def solver(self) -> "Solver":
        """Imports what it needs, in a thread: LangGraph alone takes longer than a kernel needs to start."""
        await anyio.to_thread.run_sync(import_module, "mumath_agent.agent.solver")
        from mumath_agent.agent.solver import Solver

        model, dialect = await self._model()
        return Solver(
            model=model,
            dialect=dialect,
            limits=self.limits,
            sampling=self.sampling,
            fresh_cells=self.fresh_cells,
            rebuild_state=self.rebuild_state,
            unsafe_local=self.unsafe_local,
        )

    async def _model(self) -> tuple[CompletionModel, Dialect]:
        from mumath_agent.models.embedded import EmbeddedModel
        from mumath_agent.models.select import model_at

        if self.base_url is not None:
            chosen = await model_at([self.base_url], self.model, self.dialect)
            if chosen.family.notice and self.dialect is None:
                remark(f"{chosen.family.notice}; --dialect says otherwise")
            return chosen.model, chosen.dialect
        if self.model is not None:
            raise InputError(
                f"--model {self.model} needs --base-url, the address of the server that serves it"
            )
        return EmbeddedModel(), get_dialect(self.dialect or "fenced")


async def solve_one(settings: Settings, question: str, as_json: bool, approve: bool, keep: Keep) -> int:
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
class ProblemFile:
    """The problems of a file, and what of it couldn't be used."""

    problems: tuple[Problem, ...]
    errors: tuple[InputError, ...]

    @classmethod
    def read(cls, path: Path) -> "ProblemFile":
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


async def solve_file(
    settings: Settings,
    file: ProblemFile,
    output: Path | None,
    as_json: bool,
    concurrency: int,
    keep: Keep,
    checkpointer: "BaseCheckpointSaver[Any] | None" = None,
) -> int:
    from mumath_agent.agent.batch import Batch, run_batch

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


def _introduce(solver: "Solver") -> None:
    about = getattr(solver.model, "about", None) or f"dialect {solver.dialect.name}"
    remark(f"model: {solver.model.name} ({about})")


def _line(record: RunRecord) -> str:
    return json.dumps(to_json(record), ensure_ascii=False)


def _exit_code(record: RunRecord) -> int:
    if record.trajectory.error or record.trajectory.stop_reason is StopReason.KERNEL_DIED:
        return BROKEN
    return ANSWERED if record.trajectory.answer else NO_ANSWER
