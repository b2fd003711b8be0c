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
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import AgentState, PrivateStateAttr
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langgraph.channels import UntrackedValue
from langgraph.runtime import Runtime
from langgraph.types import Command

from mumath_agent.bridge import on_bridge, run_sync
from mumath_agent.langchain.python_tool import PythonKernelTool, messages_of, thread
from mumath_agent.langchain.session import OnOutput, Program, SessionCell, SessionHistory
from mumath_agent.langchain.session_pool import SessionPool
from mumath_agent.langchain.tool import MaybeRuntime
from mumath_agent.records import from_json, to_json


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

    def __init__(self, **settings: Any) -> None:
        """Take the settings of `PythonKernelTool`, `name` included."""
        super().__init__()
        self._python = AgentPython(**settings)
        self.tools = [self._python]

    def before_agent(self, state: PythonState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Start the session's kernel in the background."""
        return {"python_session": run_sync(self._python.begin())}

    async def abefore_agent(self, state: PythonState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Start the session's kernel in the background."""
        return {"python_session": await on_bridge(self._python.begin())}

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

    async def begin(self) -> Lease:
        """Start the session of a run. Belongs to the bridge's loop."""
        if name := thread():
            await self._sessions.start(name)
            return Lease(name)
        name = f"run {uuid.uuid4()}"
        await self._sessions.start(name)
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


def _pending(messages: Sequence[AnyMessage]) -> frozenset[str]:
    """Return the ids of the tool calls that are being answered."""
    last = next((message for message in reversed(messages) if isinstance(message, AIMessage)), None)
    return frozenset(call["id"] or "" for call in last.tool_calls) if last else frozenset()


def _release_soon(sessions: SessionPool, name: str, loop: asyncio.AbstractEventLoop) -> None:
    """End a session, from any thread: the one in which its lease becomes garbage."""
    asyncio.run_coroutine_threadsafe(sessions.release(name), loop)
