"""What the tools of this plugin have in common.

They check their settings, get the runtime of the agent that calls them, answer with content and artefact, turn a
`ToolException` into a message the model reads, and are closed like a file. What they do is said in their modules.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from contextvars import copy_context
from types import TracebackType
from typing import Annotated, Any, Literal, Self

from langchain_core.tools import BaseTool, InjectedToolArg, ToolException
from langgraph.prebuilt import ToolRuntime
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from mumath_agent.bridge import on_bridge, run_sync

MaybeRuntime = Annotated[ToolRuntime | None, InjectedToolArg]
"""What an agent gives to a call beside the model's arguments; None where the tool is invoked by hand."""


class Arguments(BaseModel):
    """What every `args_schema` has: the way to ask an agent for its `ToolRuntime`. The model never sees it."""

    runtime: Annotated[SkipJsonSchema[Any], InjectedToolArg] = Field(default=None, exclude=True)


class ClosableTool(BaseTool):
    """A tool that keeps something alive between calls, all of it on the bridge's loop."""

    model_config = ConfigDict(extra="forbid")

    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_tool_error: bool | str | Callable[[ToolException], Any] | None = True

    @abstractmethod
    async def end(self) -> None:
        """Let go of what is kept; on the bridge."""

    def close(self) -> None:
        """Let go of what is kept between calls; the tool can be used again afterwards."""
        run_sync(self.end())

    async def aclose(self) -> None:
        """`close`, for asynchronous callers."""
        await on_bridge(self.end())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def teller(runtime: MaybeRuntime, *, deltas: Collection[str]) -> Callable[[Mapping[str, Any]], None]:
    """Tells those who stream the agent of each event, {"event", "text"}, while a tool call runs.

    Mode "custom" gets them all, with the call's id, mode "tools" the text of those that are `deltas`.
    """
    if runtime is None:
        return lambda event: None

    def tell(event: Mapping[str, Any]) -> None:
        runtime.stream_writer({**event, "tool_call_id": runtime.tool_call_id})
        if event["event"] in deltas:
            runtime.emit_output_delta(event["text"])

    # A kernel calls it, too, outside of the agent's context, where LangGraph's writers look for what they need.
    context = copy_context()
    return lambda event: context.run(tell, event)
