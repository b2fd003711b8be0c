"""What `solve` means: an attempt at a problem, with a kernel of its own.

The solver opens the kernel, walks the graph, and turns whatever happens into a `RunRecord`: a machine that breaks
in one attempt is that record's `error` and nobody else's. With a checkpointer an attempt that was killed goes on from
its last step. Many attempts at once are `batch`'s.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from mumath_agent import __version__
from mumath_agent.agent.approval import Decision
from mumath_agent.agent.graph import Event, Handles, State, build_graph, graph, trajectory
from mumath_agent.agent.tracing import attempt_span, traced_kernel, traced_model
from mumath_agent.bridge import run_sync
from mumath_agent.dialects import Fenced
from mumath_agent.errors import KernelError, ModelError, ModelUnreachable
from mumath_agent.kernels import JupyterExecutor, KernelPool, Sandbox
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.problems import check_question
from mumath_agent.protocols import CompletionModel, Dialect, Executor
from mumath_agent.records import (
    Limits,
    Problem,
    RunRecord,
    Sampling,
    Settings,
    StopReason,
    Trajectory,
    to_json,
)

Listener = Callable[[Event], None]
Reviewer = Callable[[str], Awaitable[Decision]]
"""Decides what becomes of a program before it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver:
    """A model and the settings to solve problems with."""

    model: CompletionModel
    dialect: Dialect = field(default_factory=Fenced)
    limits: Limits = field(default_factory=Limits)
    sampling: Sampling = field(default_factory=Sampling)
    fresh_cells: bool = False
    """Give every program a new Python session, as ToRA and MuMath-Code do, instead of one per attempt."""
    rebuild_state: bool = False
    """Rebuild a lost session by running its programs again; kept only if each does exactly what it did."""
    unsafe_local: bool = False
    """Run programs also where this machine can't confine them: with your rights."""
    checkpointer: BaseCheckpointSaver[Any] | None = None
    """Keeps every step of the attempts that have a name."""

    async def solve(
        self,
        problem: Problem,
        *,
        on_event: Listener | None = None,
        kernel: Executor | None = None,
        review: Reviewer | None = None,
        thread: str | None = None,
    ) -> RunRecord:
        """Make one attempt at `problem`. What breaks on the way is in the record, not raised.

        Args:
            problem: the question is all that is read of it.
            on_event: told what happens as it happens.
            kernel: one that was opened in advance, for this attempt only; closing it is the caller's.
            review: asked about each program before it runs.
            thread: the attempt's name in the checkpointer. One of that name that didn't come to its end goes on.

        Raises:
            InputError: the question is empty or too long.
        """
        check_question(problem.question)
        async with nullcontext(kernel) if kernel else self.new_kernel() as opened:
            handles = Handles(
                model=traced_model(self.model),
                kernel=traced_kernel(opened),
                dialect=self.dialect,
                limits=self.limits,
                sampling=self.sampling,
                approve=review is not None,
            )
            run = _GraphRun(
                question=problem.question,
                handles=handles,
                on_event=on_event,
                review=review,
                checkpointer=self.checkpointer if thread else None,
                thread=thread or "attempt",
            )
            with attempt_span(problem, self.settings) as tell:
                attempt = await _attempt(run)
                tell(attempt)
            return RunRecord(
                problem=problem,
                settings=self.settings,
                isolation=opened.isolation,
                version=__version__,
                trajectory=attempt,
            )

    def new_kernel(self, pool: KernelPool | None = None, *, seed: int | None = None) -> Executor:
        """A kernel for one attempt; out of a `pool` it starts with the first program, else when it is entered.

        With a seed its random numbers begin there, so that it can be brought back with all it drew.
        """
        return JupyterExecutor(
            self.sandbox,
            pool=pool,
            fresh_cells=self.fresh_cells,
            rebuild_state=self.rebuild_state,
            lazy=pool is not None,
            seed=seed,
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
            rebuild_state=self.rebuild_state,
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


@dataclass(slots=True, kw_only=True)
class _GraphRun:
    """An attempt on its way through the graph."""

    question: str
    handles: Handles
    on_event: Listener | None
    review: Reviewer | None
    checkpointer: BaseCheckpointSaver[Any] | None
    thread: str
    state: State = field(init=False)
    """The last one it came to."""

    async def to_its_end(self) -> None:
        self.state = {"question": self.question}
        saver = self.checkpointer or (InMemorySaver() if self.review else None)
        if saver is None:
            await self._advance(graph, self.state, {})
            return
        kept = build_graph(checkpointer=saver)
        config: RunnableConfig = {"configurable": {"thread_id": self.thread}}
        start: State | Command[Any] | None = self.state
        if earlier := (await kept.aget_state(config)).values:
            self.state, start = cast(State, earlier), None  # goes on from there, if there is anywhere to go
        while (program := await self._advance(kept, start, config)) is not None and self.review:
            start = Command(resume=to_json(await self.review(program)))

    async def _advance(self, kept: Any, start: Any, config: RunnableConfig) -> str | None:
        """Walk on to the end, or to a program that has to be approved: this one."""
        durability = "sync" if config else None
        parts = kept.astream(
            start, config, context=self.handles, stream_mode=["values", "custom"], durability=durability
        )
        program = None
        async with aclosing(parts):
            async for mode, item in parts:
                if mode == "custom":
                    if self.on_event:
                        self.on_event(item)
                elif "__interrupt__" in item:
                    program = item["__interrupt__"][0].value["args"]["code"]
                else:
                    self.state = item
        return program


async def _attempt(run: _GraphRun) -> Trajectory:
    """Walk the graph to its end. One of the two places where any exception becomes data (the other is grading)."""
    try:
        await _shielded(run.to_its_end())
    except ModelUnreachable as error:
        return trajectory(run.state, error=error, stop=StopReason.MODEL_UNREACHABLE)
    except ModelError as error:
        return trajectory(run.state, error=error, stop=StopReason.MODEL_ERROR)
    except KernelError as error:
        return trajectory(run.state, error=error, stop=StopReason.KERNEL_ERROR)
    except Exception as error:  # a fault of this library: one attempt is lost, the run goes on
        unexpected = RuntimeError(f"unexpected {type(error).__name__}: {error}")
        return trajectory(run.state, error=unexpected, stop=StopReason.INTERNAL_ERROR)
    return trajectory(run.state)


async def _shielded(coroutine: Coroutine[Any, Any, None]) -> None:
    """Await all of `coroutine`, also of one that is cancelled: nodes must not run on in a kernel that is closed."""
    task = asyncio.ensure_future(coroutine)
    try:
        await asyncio.shield(task)
    finally:
        if not task.done():
            task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # looked at; the cancellation goes first


__all__ = ["Listener", "Reviewer", "Solver", "solve"]
