"""THE loop: reason → code → execute → observe, as a LangGraph state machine.

    reason    the model continues the transcript
    code      what does the new turn want: a program run, or is it the end? If a bad one, a nudge, and back to reason
    execute   the kernel runs the program
    observe   the program's output goes into the transcript; back to reason

State is plain JSON (records in their `to_json` form), so any checkpointer can keep it. Live things, the model and the
kernel, are `Handles`, passed beside the state: `await graph.ainvoke({"question": q}, context=handles)`. A run that is
taken up again from a checkpoint may come with other handles: `execute` brings a fresh kernel to where the last one was.
`Limits` end every run; LangGraph's recursion limit never does. Errors of the machinery are the caller's (`attempt.py`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Required, cast

import anyio
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict  # pydantic makes no JSON schema of typing's before Python 3.12

from mumath_agent.agent.approval import Approve, Edit, Reject, refusal, reviewed
from mumath_agent.agent.events import Event, emit, printing, unstreamed, writing
from mumath_agent.agent.inputs import check_input, checked_context
from mumath_agent.agent.nodes import sync_and_async
from mumath_agent.agent.nudges import LAST_TURN, allowed, ended_before, is_cut, noted, nudge
from mumath_agent.answers import extract_answer
from mumath_agent.dialects import Fenced
from mumath_agent.kernels.recovery import broke_its_kernel, in_last_session
from mumath_agent.protocols import CompletionModel, CompletionRequest, Dialect, ExecutedCell, Executor
from mumath_agent.records import (
    Answer,
    Completion,
    Execution,
    Limits,
    Sampling,
    StopReason,
    Trajectory,
    from_json,
    to_json,
)
from mumath_agent.transcript import Transcript


class Question(TypedDict):
    """The input of a run."""

    question: str


class Solved(TypedDict, total=False):
    """The output of a run: JSON values only."""

    question: Required[str]
    transcript: dict[str, Any]
    """A `Transcript`."""
    completions: list[dict[str, Any]]
    """`Completion`s, one per turn."""
    executions: list[dict[str, Any]]
    """`Execution`s, one per program."""
    answer: dict[str, Any] | None
    """An `Answer`."""
    stop_reason: str | None
    """A `StopReason`; None while the run goes on."""
    duration_s: float
    """Seconds that model and kernel were at work. `Limits.wall_s` counts these: waiting for a person is free."""


class State(Solved, total=False):
    """The state of a run: its output, and what only the nodes read."""

    code: str | None
    """The program to run next; None: the model goes on."""
    programs: list[str]
    """The programs of the `executions`: the model's, or what a person put in their place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handles:
    """The live things and settings of one attempt. They stay outside the state and outside checkpoints."""

    model: CompletionModel
    kernel: Executor
    dialect: Dialect = field(default_factory=Fenced)
    limits: Limits = field(default_factory=Limits)
    sampling: Sampling = field(default_factory=Sampling)
    approve: bool = False
    """Ask before each program (`approval.py`); needs a checkpointer."""


async def reason(state: State, handles: Handles) -> dict[str, Any]:
    """Have the model continue the transcript for one turn."""
    check_input(state)
    update, started = _begun(state), time.monotonic()
    state = cast(State, {**state, **update})
    transcript = _transcript(state)
    with anyio.move_on_after(_seconds_left(handles.limits, state)):
        completion = await handles.model.complete(
            CompletionRequest(
                prompt=handles.dialect.prompt(transcript),
                stop=handles.dialect.stop,
                max_tokens=handles.limits.max_new_tokens,
                sampling=handles.sampling,
            ),
            writing(),
        )
        return update | {
            "transcript": to_json(handles.dialect.with_completion(transcript, completion)),
            "completions": [*state["completions"], to_json(completion)],
            "duration_s": _spent(state, started),
        }
    return update | {"stop_reason": StopReason.WALL_CLOCK.value, "duration_s": _spent(state, started)}


async def code(state: State, handles: Handles) -> dict[str, Any]:
    """Decide what the new turn asks for: a program to run, a nudge, or the end of the attempt."""
    if state.get("stop_reason"):
        return {}
    transcript, completion = _transcript(state), from_json(Completion, state["completions"][-1])
    program = handles.dialect.pending_code(transcript)
    if len(state["completions"]) < handles.limits.max_turns:
        if program is not None:
            return {"code": program}
        may = allowed(handles.limits, handles.dialect)
        if note := nudge(transcript, completion, _executions(state), at_most=may):
            return {"code": None, "transcript": to_json(noted(transcript, note, handles.dialect))}
    if not ended_before(transcript):
        if program is not None:
            return {"stop_reason": StopReason.MAX_TURNS.value}  # no turn is left to read its output
        if is_cut(transcript, completion):
            return {"stop_reason": StopReason.MAX_TOKENS.value}
    answer = extract_answer(transcript)
    stop = StopReason.ANSWERED if answer else StopReason.NO_ANSWER
    return {"answer": to_json(answer) if answer else None, "stop_reason": stop.value}


async def execute(state: State, handles: Handles) -> dict[str, Any]:
    """Run the program in the attempt's kernel, if it is approved."""
    program, number = str(state["code"]), len(state["executions"])
    decision = reviewed(program, number=number) if handles.approve else Approve()
    if isinstance(decision, Reject):
        return _executed(state, program, refusal(decision))
    ran = decision.edited_action.args.code if isinstance(decision, Edit) else program
    cells = map(ExecutedCell, state["programs"], _executions(state))
    await handles.kernel.restore(in_last_session(cells))  # nothing to do, unless the run was taken up again
    started = time.monotonic()
    emit({"event": "program", "text": ran})
    seconds = min(handles.limits.cell_timeout_s, _seconds_left(handles.limits, state))
    execution = await handles.kernel.run(ran, timeout_s=seconds, on_output=printing())
    if ran != program:
        execution = replace(execution, edited=ran)
    return _executed(state, ran, execution) | {"duration_s": _spent(state, started)}


async def observe(state: State, handles: Handles) -> dict[str, Any]:
    """Write what the program did into the transcript, for the model to read."""
    before = _transcript(state)
    executions = _executions(state)
    execution = executions[-1]
    transcript = handles.dialect.with_output(before, execution, max_chars=handles.limits.output_chars)
    unseen = unstreamed(transcript, before, state["completions"][-1]["text"])
    status = execution.status.value
    emit({"event": "output", "text": unseen, "status": status, "figures": execution.artefacts})
    is_last = len(state["completions"]) == handles.limits.max_turns - 1
    if is_last and allowed(handles.limits, handles.dialect):
        transcript = noted(transcript, LAST_TURN, handles.dialect)
    update: dict[str, Any] = {"code": None, "transcript": to_json(transcript)}
    if sum(map(broke_its_kernel, executions)) > handles.limits.max_recoveries:
        update["stop_reason"] = StopReason.KERNEL_DIED.value
    elif _seconds_left(handles.limits, state) <= 0:
        update["stop_reason"] = StopReason.WALL_CLOCK.value
    return update


def build_graph(
    *,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    handles: Callable[[], Handles] | None = None,
    context_schema: type[Any] = Handles,
) -> CompiledStateGraph[State, Any, Question, Solved]:
    """Compile the state machine.

    Args:
        checkpointer: keeps the states, if given.
        handles: gives the nodes the live things; without it, the run's context is the `Handles`.
        context_schema: the type of a run's context, if `handles` come from elsewhere.
    """
    builder = StateGraph(State, context_schema=context_schema, input_schema=Question, output_schema=Solved)
    for node in (reason, code, execute, observe):
        builder.add_node(node.__name__, sync_and_async(node, handles or checked_context(Handles)))
    builder.add_edge(START, "reason")
    builder.add_edge("reason", "code")
    builder.add_conditional_edges("code", _next, ["execute", "reason", END])
    builder.add_edge("execute", "observe")
    builder.add_conditional_edges("observe", _next, ["reason", END])
    compiled = builder.compile(checkpointer=checkpointer, name="mumath-agent")
    return compiled.with_config(recursion_limit=2**31 - 1)


def trajectory(state: State, error: Exception | None = None, stop: StopReason | None = None) -> Trajectory:
    """Return the record of a run from its last state; `stop` says why it ended if the state doesn't."""
    answer = state.get("answer")
    return Trajectory(
        transcript=_transcript(state),
        completions=tuple(from_json(Completion, c) for c in state.get("completions", [])),
        executions=_executions(state),
        answer=from_json(Answer, answer) if answer else None,
        stop_reason=stop or StopReason(str(state["stop_reason"])),
        error=str(error) if error else None,
        duration_s=state.get("duration_s", 0.0),
    )


def _next(state: State) -> str:
    return END if state.get("stop_reason") else "reason" if state["code"] is None else "execute"


def _begun(state: State) -> dict[str, Any]:
    """Return what the first turn sets: a thread may have answered another question before."""
    earlier = state.get("transcript")
    if earlier and earlier["question"] == state["question"] and not state.get("stop_reason"):
        return {}
    return {
        "transcript": to_json(Transcript(question=state["question"])),
        "completions": [],
        "executions": [],
        "programs": [],
        "answer": None,
        "stop_reason": None,
        "duration_s": 0.0,
    }


def _executed(state: State, program: str, execution: Execution) -> dict[str, Any]:
    return {
        "programs": [*state["programs"], program],
        "executions": [*state["executions"], to_json(execution)],
    }


def _executions(state: State) -> tuple[Execution, ...]:
    return tuple(from_json(Execution, execution) for execution in state.get("executions", []))


def _transcript(state: State) -> Transcript:
    if "transcript" in state:
        return from_json(Transcript, state["transcript"])
    return Transcript(question=state["question"])


def _seconds_left(limits: Limits, state: State) -> float:
    return max(0.0, limits.wall_s - state["duration_s"])


def _spent(state: State, started: float) -> float:
    return state["duration_s"] + time.monotonic() - started


graph = build_graph()

__all__ = ["Event", "Handles", "Question", "Solved", "State", "build_graph", "graph", "trajectory"]
