"""`MuMathMiddleware`: make a Python session a part of a `create_agent` agent.

    before_agent     the session's kernel starts, while the model thinks
    tool "python"    its programs run; what ran goes into the agent's state, as plain JSON
    after_agent      the session ends

The kernel itself is never in a checkpoint. What ran is, and every call brings the session to where the state is: after
an interrupt the living session is found again; after a restart of the process, or from an earlier checkpoint, its
programs run again in a new kernel, and must do what they did. If they don't, the model reads that its session was
lost. No program runs twice for one call in one session.

A run that fails or is interrupted leaves its session idle, for `idle_s` seconds at most, if it has a thread by which it
can be resumed; otherwise the session ends with the run's state.
"""

import asyncio
import uuid
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, NotRequired, TypeVar

from langchain.agents.middleware import AgentMiddleware, ModelRequest
from langchain.agents.middleware.types import AgentState, PrivateStateAttr
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langgraph.channels import UntrackedValue
from langgraph.runtime import Runtime
from langgraph.types import Command

from mumath_agent.bridge import on_bridge, run_sync
from mumath_agent.errors import InputError
from mumath_agent.kernels import Sandbox
from mumath_agent.langchain.python_tool import (
    DESCRIPTION,
    PythonKernelTool,
    messages_of,
    results_of,
    thread,
)
from mumath_agent.langchain.session import OnOutput, Program, SessionCell, SessionHistory
from mumath_agent.langchain.session_pool import SessionPool
from mumath_agent.langchain.tool import HandleToolError, MaybeRuntime
from mumath_agent.records import Execution, from_json, to_json

T = TypeVar("T")


class Lease(str):
    """The name of a run's session, in the agent's state. It is in no checkpoint and lives only as long as the run."""


def _in_order(before: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all cells in the order in which they ran; the calls of one step report theirs in any order."""
    return sorted([*before, *new], key=lambda cell: cell["number"])


class PythonState(AgentState[Any]):
    """What the middleware adds to an agent's state."""

    python_session: NotRequired[Annotated[Lease, UntrackedValue, PrivateStateAttr]]
    python_cells: NotRequired[Annotated[list[dict[str, Any]], PrivateStateAttr, _in_order]]
    """Everything that ran on this thread: each `SessionCell` as JSON."""


class MuMathMiddleware(AgentMiddleware[PythonState, Any, Any]):
    """A Python session for an agent; see the module."""

    state_schema = PythonState

    def __init__(
        self,
        *,
        name: str = "python",
        description: str = DESCRIPTION,
        timeout_s: float = 30.0,
        output_chars: int = 4000,
        sandbox: Sandbox | None = None,
        rebuild_state: bool = True,
        idle_s: float = 600.0,
        max_sessions: int = 64,
        shows_figures: bool = False,
        handle_tool_error: HandleToolError = True,
    ) -> None:
        """Take the settings of `PythonKernelTool`; its fields say what they do."""
        super().__init__()
        self._python = AgentPython(
            name=name,
            description=description,
            timeout_s=timeout_s,
            output_chars=output_chars,
            sandbox=sandbox or Sandbox(),
            rebuild_state=rebuild_state,
            idle_s=idle_s,
            max_sessions=max_sessions,
            shows_figures=shows_figures,
            handle_tool_error=handle_tool_error,
        )
        self.tools = [self._python]

    def before_agent(self, state: PythonState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Start the session's kernel in the background."""
        return run_sync(self._python.begin(state))

    async def abefore_agent(self, state: PythonState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Start the session's kernel in the background."""
        return await on_bridge(self._python.begin(state))

    def wrap_model_call(self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], T]) -> T:
        """Refuse an agent with another tool of the same name, of which LangChain keeps one and says nothing."""
        self._refuse_namesake(request)
        return handler(request)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[T]]
    ) -> T:
        """Do what `wrap_model_call` does, for asynchronous callers."""
        self._refuse_namesake(request)
        return await handler(request)

    def _refuse_namesake(self, request: ModelRequest[Any]) -> None:
        """Refuse a tool with the name of ours.

        Raises:
            InputError: there is one.
        """
        name = self._python.name
        if any(getattr(tool, "name", None) == name and tool is not self._python for tool in request.tools):
            raise InputError(
                f"the agent has two tools named {name!r}, one of them MuMathMiddleware's; leave the other out, "
                f"or rename ours: MuMathMiddleware(name=...)"
            )

    def after_agent(self, state: PythonState, runtime: Runtime[Any]) -> None:
        """End the session."""
        run_sync(self._python.release(state))

    async def aafter_agent(self, state: PythonState, runtime: Runtime[Any]) -> None:
        """End the session."""
        await on_bridge(self._python.release(state))

    def close(self) -> None:
        """End all sessions, those of interrupted runs included."""
        self._python.close()

    async def aclose(self) -> None:
        """Do what `close` does, for asynchronous callers."""
        await self._python.aclose()


class AgentPython(PythonKernelTool):
    """The Python tool of an agent whose state remembers what ran."""

    async def begin(self, state: PythonState) -> dict[str, Any]:
        """Start the session of a run and return what this adds to the agent's state. Belongs to the bridge's loop.

        An agent that doesn't keep its state from run to run (a node of a bigger graph, say) still gets the messages of
        its earlier runs; what ran is then taken from them.
        """
        told = [] if state.get("python_cells") else list(results_of(self.name, state.get("messages", [])))
        cells = _cells_of(told)
        found = {"python_cells": [to_json(cell) for cell in cells]} if cells else {}
        return {"python_session": await self._lease(is_lost=cells is None)} | found

    async def _lease(self, *, is_lost: bool) -> Lease:
        if name := thread():
            await self._sessions.start(name, is_lost=is_lost)
            return Lease(name)
        name = f"run {uuid.uuid4()}"
        await self._sessions.start(name, is_lost=is_lost)
        lease, loop = Lease(name), asyncio.get_running_loop()
        # A run without a thread can't be resumed: however it ends, its session ends with its state.
        weakref.finalize(lease, _release_soon, self._sessions, name, loop).atexit = False
        return lease

    async def release(self, state: PythonState) -> None:
        """End the session of a run. Belongs to the bridge's loop."""
        await self._sessions.release(_session_name(state))

    async def _run_program(self, program: Program, runtime: MaybeRuntime, on_output: OnOutput) -> SessionCell:
        if runtime is None:
            return await super()._run_program(program, runtime, on_output)
        past = SessionHistory(
            cells=tuple(from_json(SessionCell, cell) for cell in runtime.state.get("python_cells", [])),
            siblings=_pending(messages_of(runtime)),
        )
        name = _session_name(runtime.state)
        return await self._sessions.run(name, program, past=past, on_output=on_output)

    def _answer(self, cell: SessionCell, runtime: MaybeRuntime) -> Any:
        content, artefact = super()._answer(cell, runtime)
        if runtime is None:
            return content, artefact
        message = ToolMessage(content, artifact=artefact, name=self.name, tool_call_id=runtime.tool_call_id)
        return Command(update={"messages": [message], "python_cells": [to_json(cell)]}), None


def _session_name(state: Mapping[str, Any]) -> str:
    """Return the name of the run's session; a resumed run has lost its lease, but has a thread."""
    return str(state.get("python_session") or thread() or "no thread")


def _cells_of(results: Sequence[ToolMessage]) -> list[SessionCell] | None:
    """Return what ran according to the tool's messages; None if one of them doesn't say."""
    ran = [message for message in results if message.status != "error"]
    try:
        return [
            SessionCell(
                number=number,
                call_id=message.tool_call_id,
                code=message.artifact["code"],
                execution=from_json(Execution, message.artifact["execution"]),
                isolation=message.artifact["isolation"],
            )
            for number, message in enumerate(ran)
        ]
    except (TypeError, KeyError, InputError):
        return None


def _pending(messages: Sequence[AnyMessage]) -> frozenset[str]:
    """Return the ids of the tool calls that are being answered."""
    last = next((message for message in reversed(messages) if isinstance(message, AIMessage)), None)
    return frozenset(call["id"] or "" for call in last.tool_calls) if last else frozenset()


def _release_soon(sessions: SessionPool, name: str, loop: asyncio.AbstractEventLoop) -> None:
    """End a session, from any thread: the one in which its lease becomes garbage."""
    asyncio.run_coroutine_threadsafe(sessions.release(name), loop)
