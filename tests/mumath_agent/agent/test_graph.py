"""Check the state machine: one test per way an attempt ends, and the four ways to run it."""

import json
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict, cast

import anyio
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command

from mumath_agent.agent.graph import Event, Handles, Question, Solved, State, build_graph, graph, trajectory
from mumath_agent.agent.solver import Solver
from mumath_agent.bridge import opened
from mumath_agent.errors import InputError, KernelError, ModelRefused, ModelUnreachable
from mumath_agent.kernels import JupyterExecutor
from mumath_agent.records import (
    AnswerSource,
    Completion,
    Execution,
    ExecutionStatus,
    FinishReason,
    Limits,
    Problem,
    StopReason,
)
from mumath_agent.testing import ScriptedExecutor, ScriptedModel
from mumath_agent.transcript import Kind

ASK = "We multiply.\n```python\nprint(17 * 23)\n```\n```output"
ANSWER = "The answer is $\\boxed{391}$."


def handles(
    texts: Iterable[str | Completion | Exception], outputs: Iterable[str | Execution] = (), **limits: float
) -> Handles:
    return Handles(
        model=ScriptedModel(texts=texts),
        kernel=ScriptedExecutor(executions=outputs),
        limits=Limits(**limits),  # type: ignore[arg-type]
    )


def run(
    texts: Iterable[str | Completion | Exception], outputs: Iterable[str | Execution] = (), **limits: float
) -> State:
    return final_state(handles(texts, outputs, **limits), "What is 17 times 23?")


def final_state(used: Handles, question: str = "q") -> State:
    return cast("State", graph.invoke({"question": question}, context=used))


def stop_of(state: State) -> StopReason:
    return trajectory(state).stop_reason


def lost() -> Execution:
    return Execution(status=ExecutionStatus.TIMEOUT, state_lost=True)


def test_a_model_that_runs_code_and_boxes_its_output_has_answered() -> None:
    attempt = trajectory(run([ASK, ANSWER], ["391\n"]))
    assert attempt.stop_reason is StopReason.ANSWERED
    assert attempt.answer is not None and (attempt.answer.text, attempt.answer.found_in) == (
        "391",
        AnswerSource.BOXED,
    )
    assert attempt.transcript.text == (
        "We multiply.\n```python\nprint(17 * 23)\n```\n```output\n391\n```\nThe answer is $\\boxed{391}$."
    )


def test_text_without_code_and_without_answer_is_no_answer() -> None:
    state = run(["I can't."])
    assert stop_of(state) is StopReason.NO_ANSWER and state["answer"] is None


def test_the_last_allowed_turn_is_not_executed_because_no_turn_would_read_its_output() -> None:
    used = handles([ASK] * 9, ["391\n"] * 9, max_turns=3)
    state = final_state(used)
    assert stop_of(state) is StopReason.MAX_TURNS
    assert len(state["completions"]) == 3 and len(state["executions"]) == 2


@pytest.mark.parametrize("text", ["So \\boxed{3}", "```python\nprint(1)\n```", "```python\nx = '\\boxed{3}'"])
def test_a_completion_cut_by_the_token_limit_is_flagged_and_never_an_answer(text: str) -> None:
    cut = Completion(text=text, finish_reason=FinishReason.LENGTH, prompt_tokens=1, completion_tokens=1)
    state = run([cut])
    assert stop_of(state) is StopReason.MAX_TOKENS and not state.get("answer")


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint('\\boxed{3}')  # boxed\n```\n",
        "The answer may be \\boxed{3}; let me check.\n```python\nprint(3)\n```\n",
    ],
)
def test_boxed_in_or_before_a_program_does_not_end_an_attempt(text: str) -> None:
    attempt = trajectory(run([text, ANSWER], ["\\boxed{4}\n"]))
    assert len(attempt.executions) == 1
    assert attempt.answer is not None and attempt.answer.text == "391"


def test_more_lost_kernels_than_allowed_end_the_attempt() -> None:
    state = run([ASK] * 9, [lost()] * 9, max_turns=9, max_recoveries=2)
    assert stop_of(state) is StopReason.KERNEL_DIED and len(state["executions"]) == 3


def test_the_wall_clock_ends_a_model_that_hangs() -> None:
    class Hanging(ScriptedModel):
        async def complete(self, *_: object, **__: object) -> Completion:
            await anyio.sleep_forever()
            raise AssertionError

    used = Handles(
        model=Hanging(texts=[]), kernel=ScriptedExecutor(executions=[]), limits=Limits(wall_s=0.05)
    )
    assert stop_of(final_state(used)) is StopReason.WALL_CLOCK


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "stop"),
    [
        (ModelUnreachable("nothing answers"), StopReason.MODEL_UNREACHABLE),
        (ModelRefused("it said no"), StopReason.MODEL_ERROR),
        (KernelError("no kernel"), StopReason.KERNEL_ERROR),
        (ZeroDivisionError("a bug of ours"), StopReason.INTERNAL_ERROR),
    ],
)
async def test_machinery_that_breaks_is_the_error_of_its_record_and_keeps_what_was_done(
    error: Exception, stop: StopReason
) -> None:
    solver = Solver(model=ScriptedModel(texts=[ASK, error]))
    record = await solver.solve(Problem(id="1", question="q"), kernel=ScriptedExecutor(executions=["391"]))
    assert record.trajectory.stop_reason is stop
    assert str(error) in (record.trajectory.error or "")
    assert record.trajectory.transcript.segments[-1].kind is Kind.OUTPUT


def test_own_limits_end_a_run_and_no_recursion_limit_does() -> None:
    state = run([ASK] * 100, ["1"] * 100, max_turns=100)
    assert stop_of(state) is StopReason.MAX_TURNS and len(state["executions"]) == 99
    # LangGraph's own default has been 25 and 10007 steps; a turn takes four.
    assert graph.config is not None and graph.config["recursion_limit"] > 4 * 10**8


@pytest.mark.anyio
async def test_invoke_ainvoke_stream_and_astream_end_in_the_same_state() -> None:
    def fresh() -> Handles:
        return handles([ASK, ANSWER], ["391\n"])

    question: Question = {"question": "q"}
    states = [
        await anyio.to_thread.run_sync(lambda: graph.invoke(question, context=fresh())),
        await graph.ainvoke(question, context=fresh()),
        list(graph.stream(question, context=fresh(), stream_mode="values"))[-1],
        [state async for state in graph.astream(question, context=fresh(), stream_mode="values")][-1],
    ]
    told = [{key: state[key] for key in Solved.__annotations__ if key != "duration_s"} for state in states]
    assert told[0] == told[1] == told[2] == told[3]
    assert (
        set(states[0]) == set(states[1]) == set(Solved.__annotations__)
    )  # what only nodes read stays inside


@pytest.mark.kernel
@pytest.mark.anyio
async def test_all_four_ways_run_programs_in_a_real_kernel() -> None:
    question: Question = {"question": "q"}
    texts = [ASK, ANSWER]

    def synchronously() -> list[dict[str, Any]]:
        with opened(JupyterExecutor()) as first, opened(JupyterExecutor()) as second:
            invoked = graph.invoke(question, context=Handles(model=ScriptedModel(texts=texts), kernel=first))
            used = Handles(model=ScriptedModel(texts=texts), kernel=second)
            return [invoked, *graph.stream(question, context=used, stream_mode="values")]

    states = await anyio.to_thread.run_sync(synchronously)
    async with JupyterExecutor() as first, JupyterExecutor() as second:
        states.append(
            await graph.ainvoke(question, context=Handles(model=ScriptedModel(texts=texts), kernel=first))
        )
        used = Handles(model=ScriptedModel(texts=texts), kernel=second)
        states += [state async for state in graph.astream(question, context=used, stream_mode="values")]
    ended = [state for state in states if state.get("stop_reason")]
    assert len(ended) == 4
    assert all(state["executions"][0]["stdout"] == "391\n" for state in ended)


def test_state_is_plain_json() -> None:
    state = run(
        [ASK, ANSWER], [Execution(status=ExecutionStatus.OK, stdout="391", artefacts=("a",), duration_s=0.5)]
    )
    assert json.loads(json.dumps(state)) == state


def test_streamed_events_add_up_to_the_transcript() -> None:
    events: list[Event] = list(
        graph.stream({"question": "q"}, context=handles([ASK, ANSWER], ["391\n"]), stream_mode="custom")  # type: ignore[arg-type]
    )
    assert [event["event"] for event in events] == ["text", "program", "stdout", "output", "text"]
    appended = (e for e in events if e["event"] in ("text", "output"))
    text = "".join(e["text"].rstrip() if e["event"] == "text" else e["text"] for e in appended)
    assert (
        text
        == "We multiply.\n```python\nprint(17 * 23)\n```\n```output\n391\n```\nThe answer is $\\boxed{391}$."
    )


def test_only_the_new_turn_is_sent_to_the_kernel_and_every_prompt_extends_the_last() -> None:
    used = handles(["```python\nx = 1\n```\n", "```python\nprint(x)\n```\n", ANSWER], ["Done", "1"])
    graph.invoke({"question": "q"}, context=used)
    assert isinstance(used.kernel, ScriptedExecutor) and isinstance(used.model, ScriptedModel)
    assert used.kernel.programs == ["x = 1\n", "print(x)\n"]
    prompts = [str(prompt) for prompt in used.model.prompts]
    assert all(later.startswith(earlier) for earlier, later in pairwise(prompts))


def test_the_architecture_page_shows_the_graph_as_it_is() -> None:
    page = (Path(__file__).parents[3] / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert build_graph().get_graph().draw_mermaid().strip() in page


class Asked(TypedDict):
    """The state of another graph."""

    question: str
    answer: dict[str, Any] | None
    words: str


def around() -> StateGraph[Any, Handles, Any, Any]:
    outer = StateGraph(Asked, context_schema=Handles)
    outer.add_node("solve", graph)
    outer.add_node("tell", lambda state: {"words": f"It is {state['answer']['text']}."})
    outer.add_edge(START, "solve")
    outer.add_edge("solve", "tell")
    return outer


def test_it_is_a_node_of_another_graph_that_shows_its_inside() -> None:
    outer = around().compile()
    state = outer.invoke({"question": "q"}, context=handles([ASK, ANSWER], ["391\n"]))
    assert state["words"] == "It is 391."
    assert {"solve:reason", "solve:execute"} <= set(outer.get_graph(xray=True).nodes)
    parts: Iterator[Any] = outer.stream(
        {"question": "q"}, context=handles([ASK, ANSWER], ["391\n"]), stream_mode="custom", subgraphs=True
    )
    assert [part[1]["event"] for part in parts] == ["text", "program", "stdout", "output", "text"]


def test_in_another_graph_a_program_can_wait_for_approval() -> None:
    outer = around().compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    used = replace(handles([ASK, ANSWER], ["391\n"]), approve=True)
    assert outer.invoke({"question": "q"}, config, context=used)["__interrupt__"]
    state = outer.invoke(Command(resume={"type": "approve"}), config, context=used)
    assert state["words"] == "It is 391."


def test_messages_are_what_the_model_wrote_turn_by_turn() -> None:
    parts = graph.stream({"question": "q"}, context=handles([ASK, ANSWER], ["391\n"]), stream_mode="messages")
    chunks = [(part[0].content, part[1]["langgraph_node"]) for part in parts]  # type: ignore[index]
    assert chunks == [(ASK.removesuffix("```output"), "reason"), (ANSWER, "reason")]


@pytest.mark.kernel
@pytest.mark.anyio
async def test_what_a_program_prints_is_told_while_it_runs() -> None:
    program = "import sys, time\nprint('one')\nprint('two', file=sys.stderr)\ntime.sleep(600)"
    model = ScriptedModel(texts=[f"```python\n{program}\n```\n```output", ANSWER])
    told: list[str] = []
    async with JupyterExecutor() as kernel:
        used = Handles(model=model, kernel=kernel, limits=Limits(cell_timeout_s=600, wall_s=600))
        stream: Any = graph.astream({"question": "q"}, context=used, stream_mode="custom")  # a generator
        async with aclosing(stream) as events:
            async for event in events:
                assert isinstance(event, dict)
                told.append(f"{event['event']} {event['text']}")
                if {"stdout one\n", "stderr two\n"} <= set(told):  # and the program runs on
                    break
    assert not any(each.startswith("output") for each in told)


def test_a_thread_goes_on_with_another_question_as_if_it_were_the_first() -> None:
    kept = build_graph(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    first = kept.invoke({"question": "q"}, config, context=handles([ASK, ANSWER], ["391\n"]))
    used = handles(["I can't."])
    second = kept.invoke({"question": "another"}, config, context=used)
    assert (first["stop_reason"], second["stop_reason"]) == ("answered", "no_answer")
    assert second["answer"] is None and second["executions"] == [] and len(second["completions"]) == 1
    assert isinstance(used.model, ScriptedModel) and used.model.prompts == [
        "<|user|>\nanother\n<|assistant|>\n"
    ]
    third = kept.invoke({"question": "another"}, config, context=handles([ANSWER]))  # asked once more
    assert third["answer"]["text"] == "391" and len(third["completions"]) == 1


@pytest.mark.parametrize(
    ("given", "context", "said"),
    [
        ({"question": "q"}, None, "the run's context is None; pass context=Handles(model=..., kernel=...)"),
        ({"question": ""}, handles([]), "the question is empty"),
        ({"question": " \n"}, handles([]), "the question is empty"),
        ({"question": 7}, handles([]), "the question is 7; it must be text"),
        ({}, handles([]), "the question is None; it must be text; the graph's input is {'question': '...'}"),
        ({"problem": "q"}, handles([]), "the question is None; it must be text"),
    ],
)
def test_a_run_that_lacks_something_is_refused_in_words(given: Any, context: Any, said: str) -> None:
    with pytest.raises(InputError) as raised:
        graph.invoke(given, context=context)
    assert str(raised.value).startswith(said)
