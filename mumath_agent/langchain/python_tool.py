"""`PythonKernelTool`: offer an isolated Python session as a LangChain tool.

Every conversation has a session of its own, whose variables last from call to call, and no conversation can reach
another's. The model reads what a program did wrong; only if there is no kernel to run it, a `ToolException` is raised,
which becomes a message with status "error" unless `handle_tool_error` says otherwise.

A conversation is a thread (`configurable.thread_id`, and within it the graph or subgraph that calls). Without a
checkpointer, it is known by the id of its first message. All calls by hand are one conversation. For agents whose
sessions must outlive a restart of the process, see `middleware.py`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.messages import AnyMessage, ToolMessage
from langchain_core.runnables import ensure_config
from langchain_core.tools import ToolException
from pydantic import BaseModel, Field, PrivateAttr, SkipValidation, field_validator

from mumath_agent.bridge import on_bridge, run_sync
from mumath_agent.dialects.arguments import unfenced
from mumath_agent.dialects.output import output_text
from mumath_agent.errors import MuMathError
from mumath_agent.kernels import Sandbox
from mumath_agent.langchain.session import OnOutput, Program, SessionCell, SessionPolicy
from mumath_agent.langchain.session_pool import SessionPool
from mumath_agent.langchain.tool import CallingRuntime, ClosableTool, MaybeRuntime, event_writer
from mumath_agent.records import Execution, to_json

DESCRIPTION = (
    "Run Python and read what it prints. Variables, functions and imports last from one call to the next in this "
    "conversation. numpy, scipy and sympy are there; the network, files and input() are not. Print what you need to "
    "see; the value of a last line that is an expression is shown, too. An error is shown with the line it came from."
)


class PythonArguments(BaseModel):
    """The arguments of a call, which the model fills in."""

    code: str = Field(description="The Python program to run next in the session.")
    runtime: CallingRuntime = None


class PythonKernelTool(ClosableTool):
    """A tool that runs Python; see the module. `close` it, or use it as a context manager, to end its sessions.

    The artefact of each message is {"code", "execution", "isolation"}: the program, its `Execution` as JSON (figures
    included), and how it was confined.
    """

    name: str = "python"
    description: str = DESCRIPTION
    args_schema: type[BaseModel] = PythonArguments

    timeout_s: float = Field(default=30.0, gt=0)
    """Wall-clock seconds a program may run."""
    output_chars: int = Field(default=4000, gt=0)
    """Characters of an output shown to the model; longer ones lose their middle, visibly."""
    sandbox: SkipValidation[Sandbox] = Sandbox()
    """How sessions are confined, and what each may use."""
    rebuild_state: bool = True
    """Rebuild a session that broke by running its programs again; kept only if each does exactly what it did."""
    idle_s: float = Field(default=600.0, gt=0)
    """A session that wasn't used for this many seconds ends."""
    max_sessions: int = Field(default=64, gt=0)
    """With more sessions than this, those unused for longest end; one that runs a program never does."""
    shows_figures: bool = False
    """Give figures to the model as image blocks, for models that can see; otherwise only the artefact has them."""

    _sessions: SessionPool = PrivateAttr()

    @field_validator("sandbox")
    @classmethod
    def _is_a_sandbox(cls, given: object) -> object:
        if not isinstance(given, Sandbox):
            raise ValueError(f"sandbox is {given!r}; it must be a Sandbox of mumath_agent.kernels")
        return given

    def model_post_init(self, context: Any, /) -> None:
        """Make the pool of sessions; none starts yet."""
        super().model_post_init(context)
        policy = SessionPolicy(
            sandbox=self.sandbox,
            rebuild_state=self.rebuild_state,
            idle_s=self.idle_s,
            max_sessions=self.max_sessions,
        )
        self._sessions = SessionPool(policy)

    @property
    def sessions(self) -> tuple[str, ...]:
        """The names of the living sessions."""
        return self._sessions.names

    async def end(self) -> None:
        """End all sessions."""
        await self._sessions.aclose()

    def _run(self, code: str, runtime: MaybeRuntime = None) -> Any:
        return self._answer(run_sync(self._run_cell(code, runtime)), runtime)

    async def _arun(self, code: str, runtime: MaybeRuntime = None) -> Any:
        return self._answer(await on_bridge(self._run_cell(code, runtime)), runtime)

    async def _run_cell(self, code: str, runtime: MaybeRuntime) -> SessionCell:
        """Run the program. Belongs to the bridge's loop."""
        call_id = (runtime.tool_call_id if runtime else None) or ""
        program = Program(code=unfenced(code), call_id=call_id, timeout_s=self.timeout_s)
        write = event_writer(runtime, deltas=("stdout", "stderr"))
        try:
            return await self._run_program(
                program, runtime, lambda stream, text: write({"event": stream, "text": text})
            )
        except MuMathError as error:
            raise ToolException(f"Python can't be run: {error}") from error

    async def _run_program(self, program: Program, runtime: MaybeRuntime, on_output: OnOutput) -> SessionCell:
        messages = messages_of(runtime)
        had_session = any(True for _ in results_of(self.name, messages))
        name = thread() or (f"message {messages[0].id}" if messages else "by hand")
        return await self._sessions.run(name, program, had_session=had_session, on_output=on_output)

    def _answer(self, cell: SessionCell, runtime: MaybeRuntime) -> Any:
        """Return what `_run` returns: content and artefact."""
        execution = cell.execution
        artefact = {"code": cell.code, "execution": to_json(execution), "isolation": cell.isolation}
        return self._content(execution), artefact

    def _content(self, execution: Execution) -> str | list[str | dict[str, Any]]:
        text = output_text(execution, max_chars=self.output_chars)
        if not execution.artefacts:
            return text
        if not self.shows_figures:
            return f"{text}\n[{len(execution.artefacts)} figure(s) drawn. They are kept, but you can't see them.]"
        return [{"type": "text", "text": text}, *map(_image, execution.artefacts)]


def thread() -> str | None:
    """Name the thread in which a tool or a middleware is called, and the graph that calls; None without a thread."""
    configurable = ensure_config().get("configurable", {})
    if (thread_id := configurable.get("thread_id")) is None:
        return None
    calling_graph = str(configurable.get("checkpoint_ns", "")).rpartition("|")[0]
    return f"thread {thread_id!r} {calling_graph}"


def results_of(name: str, messages: Sequence[AnyMessage]) -> Iterator[ToolMessage]:
    """Yield the messages of a conversation that answer calls of the tool `name`."""
    return (message for message in messages if isinstance(message, ToolMessage) and message.name == name)


def messages_of(runtime: MaybeRuntime) -> Sequence[AnyMessage]:
    """Return the conversation of the agent that calls; empty if the tool is called by hand."""
    state = runtime.state if runtime else {}
    messages: Sequence[AnyMessage] = state.get("messages", []) if isinstance(state, dict) else []
    return messages


def _image(data_url: str) -> dict[str, Any]:
    head, _, data = data_url.partition(",")
    return {"type": "image", "base64": data, "mime_type": head.removeprefix("data:").removesuffix(";base64")}
