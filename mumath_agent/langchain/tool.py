"""Share what both tools have in common: `ClosableTool`, their arguments, and streaming.

The tools check their settings, get the runtime of the agent that calls them, answer with content and artefact, turn a
`ToolException` into a message the model reads, and are closed like a file.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from contextvars import copy_context
from types import TracebackType
from typing import Annotated, Any, Literal, Self

from langchain_core.tools import BaseTool, InjectedToolArg, ToolException
from langgraph.prebuilt import ToolRuntime
from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from mumath_agent.bridge import on_bridge, run_sync

MaybeRuntime = Annotated[ToolRuntime | None, InjectedToolArg]
"""What an agent passes to a call besides the model's arguments; None if the tool is called by hand."""


HandleToolError = bool | str | Callable[[ToolException], Any] | None
"""What becomes of a `ToolException`, see LangChain's `BaseTool`."""
CallingRuntime = Annotated[SkipJsonSchema[Any], InjectedToolArg, Field(exclude=True)]
"""The last argument of every tool: the same, which the model never sees. LangChain gives a bare string to the first."""


class ClosableTool(BaseTool):
    """A tool that keeps something alive between calls, all of it on the bridge's loop."""

    model_config = ConfigDict(extra="forbid")

    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_tool_error: HandleToolError = True

    def __getstate__(self) -> dict[Any, Any]:
        """Return the settings alone: a copy in another process keeps nothing alive."""
        return {**super().__getstate__(), "__pydantic_private__": None}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Take the settings, and begin as a new tool does."""
        super().__setstate__(state)
        self.model_post_init(None)

    def __deepcopy__(self, _memo: dict[int, Any] | None = None) -> Self:
        """Return a tool of its own with the same settings; what is alive in them (a solver, say) is shared."""
        copy = type(self).__new__(type(self))
        state = self.__getstate__()
        copy.__setstate__({key: value.copy() if value else value for key, value in state.items()})
        return copy

    @abstractmethod
    async def end(self) -> None:
        """Release what is kept. Belongs to the bridge's loop."""

    def close(self) -> None:
        """Release what is kept between calls; the tool can be used again afterwards."""
        run_sync(self.end())

    async def aclose(self) -> None:
        """Do what `close` does, for asynchronous callers."""
        await on_bridge(self.end())

    def __enter__(self) -> Self:
        """Return the tool."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the tool."""
        self.close()

    async def __aenter__(self) -> Self:
        """Return the tool."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the tool."""
        await self.aclose()


def event_writer(runtime: MaybeRuntime, *, deltas: Collection[str]) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that streams events, {"event", "text"}, to the agent's caller while a tool call runs.

    Mode "custom" gets all of them, with the call's id; mode "tools" gets the text of those named in `deltas`.
    """
    if runtime is None:
        return lambda event: None

    def write(event: Mapping[str, Any]) -> None:
        runtime.stream_writer({**event, "tool_call_id": runtime.tool_call_id})
        if event["event"] in deltas:
            runtime.emit_output_delta(event["text"])

    # A kernel calls it outside of the agent's context, in which LangGraph's writers look for what they need.
    context = copy_context()
    return lambda event: context.run(write, event)
