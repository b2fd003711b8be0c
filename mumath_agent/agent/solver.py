"""A solver: a model, how it is spoken to, and what an attempt at a problem may use.

Every way in (the command line, benchmarks, synthesis, the LangChain tool, LangGraph's server) describes a solver as
plain values, `SolverOptions`, and opens it with `open_solver`. `Solver.solve` makes one attempt with a kernel of its
own (`attempt.py`); many attempts are `batch.py`'s. LangGraph is imported with the first attempt, not before.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mumath_agent import __version__
from mumath_agent.dialects import Fenced, get_dialect
from mumath_agent.kernels import JupyterExecutor, KernelPool, Sandbox
from mumath_agent.problems import check_question
from mumath_agent.protocols import CompletionModel, Dialect, Executor
from mumath_agent.records import Limits, Problem, RunRecord, Sampling, Settings

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from mumath_agent.agent.attempt import Listener, Reviewer
    from mumath_agent.models.select import SelectedModel

    Checkpointer = BaseCheckpointSaver[Any]
else:
    Checkpointer = Any  # pydantic resolves a field's type, and the real one would import LangGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOptions:
    """The limits of an attempt, and how its programs run."""

    limits: Limits = field(default_factory=Limits)
    sampling: Sampling = field(default_factory=Sampling)
    fresh_cells: bool = False
    """Give every program a new Python session, as ToRA and MuMath-Code do, instead of one per attempt."""
    rebuild_state: bool = False
    """Rebuild a lost session by running its programs again; kept only if each does exactly what it did."""
    unsafe_local: bool = False
    """Run programs with your own rights where this machine can't confine them."""

    @property
    def sandbox(self) -> Sandbox:
        """How programs are confined."""
        return Sandbox(memory_mb=self.limits.memory_mb, unsafe_local=self.unsafe_local)

    def new_kernel(
        self, pool: KernelPool | None = None, *, lazy: bool = False, seed: int | None = None
    ) -> JupyterExecutor:
        """Return a kernel for one attempt.

        It starts when it is entered; lazily, or out of a pool, with its first cell.
        With a seed its random numbers begin there, so that it can be brought back with all it drew.
        """
        return JupyterExecutor(
            self.sandbox,
            pool=pool,
            fresh_cells=self.fresh_cells,
            rebuild_state=self.rebuild_state,
            lazy=lazy or pool is not None,
            seed=seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverOptions(AttemptOptions):
    """Everything that can be set about a solver, as plain values."""

    base_urls: tuple[str, ...] = ()
    """OpenAI-compatible servers that share the work; without one the embedded model solves."""
    model: str | None = None
    """The model's name on the servers, if they serve several."""
    dialect: str | None = None
    """How the model is spoken to; without it, as its family is."""
    api_key: str | None = field(default=None, repr=False)
    """The servers' key; without it, MUMATH_API_KEY of the environment."""
    weights: Path | None = None
    """A folder in the embedded engine's format, in the place of the embedded model's."""
    local: str | None = None
    """A GGUF model of this machine; see `mumath_agent.models.local.find_model`."""

    def __post_init__(self) -> None:
        """Refuse an unknown dialect at once."""
        if self.dialect is not None:
            get_dialect(self.dialect)

    async def select_model(self, on_notice: Callable[[str], None] = lambda _: None) -> "SelectedModel":
        """Find the model and its dialect within an attempt's time; a server is asked only for what isn't given.

        Raises:
            InputError: an address isn't one, or the options contradict each other.
            ModelUnreachable, ModelRefused: the server doesn't tell what it serves.
        """
        from mumath_agent.models.select import selected_model  # brings HTTP and the engine

        names = ("base_urls", "model", "dialect", "api_key", "weights", "local")
        given: dict[str, Any] = {name: getattr(self, name) for name in names}
        return await selected_model(**given, within_s=self.limits.wall_s, on_notice=on_notice)

    def solver(self, selected: "SelectedModel") -> "Solver":
        """Return a solver with this model."""
        shared = {option.name: getattr(self, option.name) for option in fields(AttemptOptions)}
        return Solver(model=selected.model, dialect=selected.dialect, **shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver(AttemptOptions):
    """A model and the settings to solve problems with."""

    model: CompletionModel
    dialect: Dialect = field(default_factory=Fenced)
    checkpointer: Checkpointer | None = None
    """Keeps every step of the attempts that have a name."""

    async def solve(
        self,
        problem: Problem,
        *,
        on_event: "Listener | None" = None,
        kernel: Executor | None = None,
        review: "Reviewer | None" = None,
        thread: str | None = None,
    ) -> RunRecord:
        """Make one attempt at `problem`. What breaks on the way is in the record, not raised.

        Args:
            problem: the question is all that is read of it.
            on_event: told what happens as it happens.
            kernel: one that was opened in advance, for this attempt only; closing it is the caller's.
            review: asked about each program before it runs.
            thread: the attempt's name in the checkpointer. An unfinished one of that name goes on.

        Raises:
            InputError: the question is empty or too long, or (`ModelMisconfigured`) no attempt could go well.
        """
        check_question(problem.question)
        from mumath_agent.agent.attempt import Handles, make_attempt
        from mumath_agent.models.calibration import confidence

        async with nullcontext(kernel) if kernel else self.new_kernel() as opened:
            handles = Handles(
                model=self.model,
                kernel=opened,
                dialect=self.dialect,
                limits=self.limits,
                sampling=self.sampling,
                approve=review is not None,
            )
            attempt = await make_attempt(
                problem,
                self.settings,
                handles,
                on_event=on_event,
                review=review,
                checkpointer=self.checkpointer,
                thread=thread,
            )
            return RunRecord(
                problem=problem,
                settings=self.settings,
                isolation=opened.isolation,
                version=__version__,
                caution=getattr(self.model, "caution", ""),
                confidence=confidence(self.model, attempt),
                trajectory=attempt,
            )

    @property
    def settings(self) -> Settings:
        """The settings written into every record of this solver."""
        return Settings(
            model=self.model.name,
            dialect=self.dialect.name,
            limits=self.limits,
            sampling=self.sampling,
            fresh_cells=self.fresh_cells,
            rebuild_state=self.rebuild_state,
        )


@asynccontextmanager
async def open_solver(
    options: SolverOptions, on_notice: Callable[[str], None] = lambda _: None
) -> AsyncIterator["Solver"]:
    """Open a solver: select its model and warm it up; the model is closed at the end.

    `on_notice` is told what is known of the model's family, where the dialect follows from it.

    Raises:
        InputError, ModelUnreachable, ModelRefused: see `SolverOptions.select_model`.
    """
    selected = await options.select_model(on_notice)
    try:
        if selected.family.notice and options.dialect is None:
            on_notice(selected.family.notice)
        await selected.model.warm_up()
        yield options.solver(selected)
    finally:
        await selected.model.aclose()
