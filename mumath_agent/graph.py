"""THE loop: reason → code → execute → observe, as a LangGraph state machine.

    reason    the model continues the transcript
    code      what does the new turn want: a program run, or is it the end?
    execute   the kernel runs the program
    observe   the program's output goes into the transcript; back to reason

State is plain JSON (records in their `to_json` form), so any checkpointer can keep it. Live things, the model and the
kernel, are `Handles`, passed beside the state: `await graph.ainvoke({"question": q}, context=handles)`. `Limits` end
every run; LangGraph's recursion limit never does. What happens on failure of machinery is the caller's (`solver.py`).
"""

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from operator import add
from typing import Annotated, Any, NotRequired, Required, TypedDict

import anyio
from langchain_core.runnables import RunnableLambda
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import get_runtime

from mumath_agent.answers import extract_answer
from mumath_agent.bridge import run_sync
from mumath_agent.dialects import Dialect, Fenced
from mumath_agent.kernels import Executor
from mumath_agent.models import CompletionModel
from mumath_agent.records import (
    Answer,
    Completion,
    Execution,
    FinishReason,
    Limits,
    Sampling,
    StopReason,
    Trajectory,
    from_json,
    to_json,
)
from mumath_agent.transcript import Transcript


class Question(TypedDict):
    """What a run starts from."""

    question: str


class State(TypedDict, total=False):
    """What travels along the edges: JSON values only."""

    question: Required[str]
    transcript: dict[str, Any]
    completions: Annotated[list[dict[str, Any]], add]
    executions: Annotated[list[dict[str, Any]], add]
    code: str
    """The program to run next."""
    answer: dict[str, Any] | None
    stop_reason: str
    started_at: float
    """Seconds since the epoch when the first turn began; `Limits.wall_s` counts from here."""


class Event(TypedDict):
    """What `stream_mode="custom"` yields while a run goes on."""

    event: str
    """"text": the model wrote `text`. "output": `text` was appended to answer a program."""
    text: str
    status: NotRequired[str]
    """The `ExecutionStatus`, with "output"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handles:
    """The live things and settings of one attempt. They stay outside the state and outside checkpoints."""

    model: CompletionModel
    kernel: Executor
    dialect: Dialect = field(default_factory=Fenced)
    limits: Limits = field(default_factory=Limits)
    sampling: Sampling = field(default_factory=Sampling)


async def reason(state: State) -> dict[str, Any]:
    """The model continues the transcript for one turn."""
    handles, transcript = _handles(), _transcript(state)
    started_at = state.get("started_at", time.time())
    with anyio.move_on_after(_seconds_left(handles.limits, started_at)):
        completion = await handles.model.complete(
            handles.dialect.prompt(transcript),
            stop=handles.dialect.stop,
            max_tokens=handles.limits.max_new_tokens,
            sampling=handles.sampling,
            on_text=lambda text: _emit({"event": "text", "text": text}),
        )
        return {
            "transcript": to_json(handles.dialect.with_completion(transcript, completion)),
            "completions": [to_json(completion)],
            "started_at": started_at,
        }
    return {"transcript": to_json(transcript), "stop_reason": StopReason.WALL_CLOCK.value}


async def code(state: State) -> dict[str, Any]:
    """Decide what the new turn asks for: a program to run, or the end of the attempt."""
    handles, transcript = _handles(), _transcript(state)
    if "stop_reason" in state:
        return {}
    if state["completions"][-1]["finish_reason"] == FinishReason.LENGTH:
        return {"stop_reason": StopReason.MAX_TOKENS.value}
    program = handles.dialect.pending_code(transcript)
    if program is None:
        answer = extract_answer(transcript)
        stop = StopReason.ANSWERED if answer else StopReason.NO_ANSWER
        return {"answer": to_json(answer) if answer else None, "stop_reason": stop.value}
    if len(state["completions"]) >= handles.limits.max_turns:
        return {"stop_reason": StopReason.MAX_TURNS.value}  # nobody would read the output any more
    return {"code": program}


async def execute(state: State) -> dict[str, Any]:
    """Run the program in the attempt's kernel."""
    handles = _handles()
    seconds = min(handles.limits.cell_timeout_s, _seconds_left(handles.limits, state["started_at"]))
    execution = await handles.kernel.run(state["code"], timeout_s=seconds)
    return {"executions": [to_json(execution)]}


async def observe(state: State) -> dict[str, Any]:
    """Write what the program did into the transcript, for the model to read."""
    handles, before = _handles(), _transcript(state)
    execution = from_json(Execution, state["executions"][-1])
    transcript = handles.dialect.with_output(before, execution, max_chars=handles.limits.output_chars)
    unseen = transcript.text[_chars_streamed(state, before) :]
    _emit({"event": "output", "text": unseen, "status": execution.status.value})
    update: dict[str, Any] = {"transcript": to_json(transcript)}
    recoveries = sum(e["state_lost"] or e["state_replayed"] for e in state["executions"])
    if recoveries > handles.limits.max_recoveries:
        update["stop_reason"] = StopReason.KERNEL_DIED.value
    elif _seconds_left(handles.limits, state["started_at"]) <= 0:
        update["stop_reason"] = StopReason.WALL_CLOCK.value
    return update


def build_graph() -> CompiledStateGraph[State, Handles, Question, State]:
    """The compiled state machine, without a checkpointer."""
    builder = StateGraph(State, context_schema=Handles, input_schema=Question)
    for node in (reason, code, execute, observe):
        builder.add_node(node.__name__, _in_both_colours(node))
    builder.add_edge(START, "reason")
    builder.add_edge("reason", "code")
    builder.add_conditional_edges("code", _unless_stopped("execute"), ["execute", END])
    builder.add_edge("execute", "observe")
    builder.add_conditional_edges("observe", _unless_stopped("reason"), ["reason", END])
    return builder.compile(name="mumath-agent").with_config(recursion_limit=2**31 - 1)


def trajectory(state: State, *, error: Exception | None = None, stop: StopReason | None = None) -> Trajectory:
    """The record of a run, from its last state; `stop` says why it ended where the state doesn't."""
    answer = state.get("answer")
    started_at = state.get("started_at")
    return Trajectory(
        transcript=_transcript(state),
        completions=tuple(from_json(Completion, c) for c in state.get("completions", [])),
        executions=tuple(from_json(Execution, e) for e in state.get("executions", [])),
        answer=from_json(Answer, answer) if answer else None,
        stop_reason=stop or StopReason(state["stop_reason"]),
        error=str(error) if error else None,
        duration_s=time.time() - started_at if started_at else 0.0,
    )


Node = Callable[[State], Coroutine[Any, Any, dict[str, Any]]]


def _in_both_colours(node: Node) -> RunnableLambda[State, dict[str, Any]]:
    """`node` for `invoke` and `stream` as well as for `ainvoke` and `astream`."""

    def bridged(state: State) -> dict[str, Any]:
        return run_sync(node(state))

    return RunnableLambda(bridged, afunc=node, name=node.__name__)


def _unless_stopped(onward: str) -> Callable[[State], str]:
    return lambda state: END if "stop_reason" in state else onward


def _handles() -> Handles:
    return get_runtime(Handles).context


def _emit(event: Event) -> None:
    get_runtime(Handles).stream_writer(event)


def _transcript(state: State) -> Transcript:
    if "transcript" in state:
        return from_json(Transcript, state["transcript"])
    return Transcript(question=state["question"])


def _seconds_left(limits: Limits, started_at: float) -> float:
    return max(0.0, started_at + limits.wall_s - time.time())


def _chars_streamed(state: State, transcript: Transcript) -> int:
    """How much of the transcript a reader of the "text" events has seen: all but the marks a dialect added."""
    turn = "".join(segment.text for segment in transcript.turns[-1])
    return len(transcript.text) - len(turn) + len(state["completions"][-1]["text"].rstrip())


graph = build_graph()
