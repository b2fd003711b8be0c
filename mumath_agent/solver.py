"""What `solve` means: an attempt at a problem, with a kernel of its own.

The solver opens the kernel, walks the graph, and turns whatever happens into a `RunRecord`: a machine that breaks
in one attempt is that record's `error` and nobody else's. Many attempts at once are `batch`'s.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

from mumath_agent import __version__
from mumath_agent.bridge import run_sync
from mumath_agent.dialects import Dialect, Fenced
from mumath_agent.errors import KernelError, ModelError, ModelUnreachable
from mumath_agent.graph import Event, Handles, State, graph, trajectory
from mumath_agent.kernels import Executor, JupyterExecutor, KernelPool, Sandbox
from mumath_agent.models import CompletionModel
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.problems import check_question
from mumath_agent.records import Limits, Problem, RunRecord, Sampling, Settings, StopReason, Trajectory

Listener = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver:
    """A model and the settings to solve problems with."""

    model: CompletionModel
    dialect: Dialect = field(default_factory=Fenced)
    limits: Limits = field(default_factory=Limits)
    sampling: Sampling = field(default_factory=Sampling)
    fresh_cells: bool = False
    """Give every program a new Python session, as ToRA and MuMath-Code do, instead of one per attempt."""
    replay: bool = False
    """Rebuild a lost session by running its programs again; kept only if each does exactly what it did."""
    unsafe_local: bool = False
    """Run programs also where this machine can't confine them: with your rights."""

    async def solve(
        self, problem: Problem, *, on_event: Listener | None = None, kernel: Executor | None = None
    ) -> RunRecord:
        """Make one attempt at `problem`. What breaks on the way is in the record, not raised.

        `kernel` is one that was opened in advance, for this attempt only; closing it is the caller's.

        Raises:
            InputError: the question is empty or too long.
        """
        check_question(problem.question)
        async with nullcontext(kernel) if kernel else self.new_kernel() as opened:
            handles = Handles(
                model=self.model,
                kernel=opened,
                dialect=self.dialect,
                limits=self.limits,
                sampling=self.sampling,
            )
            attempt = await _attempt(problem.question, handles, on_event)
            return RunRecord(
                problem=problem,
                settings=self.settings,
                isolation=opened.isolation,
                version=__version__,
                trajectory=attempt,
            )

    def new_kernel(self, pool: KernelPool | None = None) -> Executor:
        """A kernel for one attempt; out of a `pool` it starts with the first program, else when it is entered."""
        return JupyterExecutor(
            self.sandbox,
            pool=pool,
            fresh_cells=self.fresh_cells,
            replay=self.replay,
            lazy=pool is not None,
        )

    @property
    def sandbox(self) -> Sandbox:
        """How this solver's kernels are confined."""
        return Sandbox(memory_mb=self.limits.memory_mb, unsafe_local=self.unsafe_local)

    @property
    def settings(self) -> Settings:
        """What is written into every record of this solver."""
        return Settings(
            model=self.model.name,
            dialect=self.dialect.name,
            limits=self.limits,
            sampling=self.sampling,
            fresh_cells=self.fresh_cells,
            replay=self.replay,
        )


def solve(question: str, *, model: CompletionModel | None = None, **settings: Any) -> RunRecord:
    """Answer one question and wait for it; `settings` are those of `Solver`. Without `model`, the embedded one.

    >>> solve("What is 17 times 23?").trajectory.answer.text
    '391'

    Raises:
        InputError: the question is empty or too long, or a setting is unknown.
    """
    return run_sync(_solve(question, model, settings))


async def _solve(question: str, model: CompletionModel | None, settings: dict[str, Any]) -> RunRecord:
    used = model or EmbeddedModel()
    try:
        return await Solver(model=used, **settings).solve(Problem(id="question", question=question))
    finally:
        if model is None:
            await used.aclose()


async def _attempt(question: str, handles: Handles, on_event: Listener | None) -> Trajectory:
    """Walk the graph to its end. One of the two places where any exception becomes data (the other is grading)."""
    state: State = {"question": question}
    try:
        async for part in graph.astream(state, context=handles, stream_mode=["values", "custom"]):
            mode, item = cast(tuple[str, Any], part)
            if mode == "values":
                state = item
            elif on_event:
                on_event(item)
    except ModelUnreachable as error:
        return trajectory(state, error=error, stop=StopReason.MODEL_UNREACHABLE)
    except ModelError as error:
        return trajectory(state, error=error, stop=StopReason.MODEL_ERROR)
    except KernelError as error:
        return trajectory(state, error=error, stop=StopReason.KERNEL_ERROR)
    except Exception as error:  # a fault of this library: one attempt is lost, the run goes on
        unexpected = RuntimeError(f"unexpected {type(error).__name__}: {error}")
        return trajectory(state, error=unexpected, stop=StopReason.INTERNAL_ERROR)
    return trajectory(state)


__all__ = ["Listener", "Solver", "solve"]
