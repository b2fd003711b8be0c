"""One attempt: through the graph to its end, with whatever breaks on the way as data.

With a checkpointer an attempt that was killed goes on from its last step; with a reviewer it stops before each program
until somebody has decided.
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from mumath_agent.agent.approval import Decision
from mumath_agent.agent.failures import named
from mumath_agent.agent.graph import Event, Handles, State, build_graph, graph, trajectory
from mumath_agent.agent.tracing import attempt_span, traced_kernel, traced_model
from mumath_agent.concurrency import uninterrupted
from mumath_agent.errors import ModelMisconfigured
from mumath_agent.models.context import warn_of_lost_prompt
from mumath_agent.records import Problem, Settings, Trajectory, to_json

Listener = Callable[[Event], None]
"""Told what happens in an attempt as it happens."""
Reviewer = Callable[[str], Awaitable[Decision]]
"""Decides what becomes of a program before it runs."""


async def make_attempt(
    problem: Problem,
    settings: Settings,
    handles: Handles,
    *,
    on_event: Listener | None = None,
    review: Reviewer | None = None,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    thread: str | None = None,
) -> Trajectory:
    """Make one attempt at `problem`. What breaks is in the trajectory; only `ModelMisconfigured` is raised.

    The arguments are those of `Solver.solve`; `handles` are the model, the kernel and how they are used.
    """
    traced = replace(handles, model=traced_model(handles.model), kernel=traced_kernel(handles.kernel))
    run = _GraphRun(
        question=problem.question,
        handles=traced,
        on_event=on_event,
        review=review,
        checkpointer=checkpointer if thread else None,
        thread=thread or "attempt",
    )
    with attempt_span(problem, settings) as tell:
        attempt = await _finished(run)
        tell(attempt)
    warn_of_lost_prompt(handles.model.name, attempt.completions)
    return attempt


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
    unfinished: str = ""  # what the model has written since

    async def finish(self) -> None:
        """Go through the graph to its end, and ask about each program on the way if there is a reviewer."""
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
        """Go on to the end, or to a program that has to be approved, which is returned."""
        durability = "sync" if config else None
        parts = kept.astream(
            start, config, context=self.handles, stream_mode=["values", "custom"], durability=durability
        )
        program = None
        async with aclosing(parts):
            async for mode, item in parts:
                if mode == "custom":
                    self.unfinished += item["text"] if item["event"] == "text" else ""
                    if self.on_event:
                        self.on_event(item)
                elif "__interrupt__" in item:
                    program = item["__interrupt__"][0].value["args"]["code"]
                else:
                    self.state, self.unfinished = item, ""
        return program

    def broken(self, by: Exception) -> Trajectory:
        """Return the record of a run that broke, with all that the model wrote."""
        record = trajectory(self.state, *named(by))
        written = self.handles.dialect.parse(self.unfinished)
        return replace(record, transcript=record.transcript.extended(*written))


async def _finished(run: _GraphRun) -> Trajectory:
    """Finish a run. One of the two places where any exception becomes data; the other is grading."""
    try:
        await uninterrupted(run.finish())  # no node may still be at work in a kernel that is closed
    except ModelMisconfigured:
        raise
    except Exception as error:  # also a fault of this library: one attempt is lost, the batch goes on
        return run.broken(error)
    return trajectory(run.state)


__all__ = ["Handles", "Listener", "Reviewer", "make_attempt"]
