"""Check the session as a part of an agent: it goes where the agent's state goes, and ends when the run does."""

import asyncio
import gc
import inspect
from collections.abc import Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    SummarizationMiddleware,
    ToolCallLimitMiddleware,
)
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command
from scripted_chat import ScriptedChatModel, Turn, calls

from mumath_agent.dialects.output import STATE_LOST
from mumath_agent.errors import InputError
from mumath_agent.langchain import MuMathMiddleware, PythonKernelTool
from tests.waiting import comes_true

pytestmark = pytest.mark.kernel

THREAD: RunnableConfig = {"configurable": {"thread_id": "t"}}
GO: Any = {"messages": ["go"]}
APPROVE: Any = Command(resume={"decisions": [{"type": "approve"}]})


@pytest.fixture(autouse=True)
def bridge() -> None:
    """Start the bridge before the tests, because it keeps the context of its first user."""
    MuMathMiddleware().close()


def plain_memory() -> InMemorySaver:
    """Return a checkpointer that keeps JSON values and messages, and refuses all else."""
    return InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=None))


def agent_of(turns: Sequence[Turn], *middleware: Any, memory: InMemorySaver | None = None) -> Any:
    return create_agent(ScriptedChatModel(turns=turns), middleware=middleware, checkpointer=memory)


def outputs(state: dict[str, Any]) -> list[str]:
    return [str(message.content) for message in state["messages"] if isinstance(message, ToolMessage)]


def asks_first() -> HumanInTheLoopMiddleware:
    return HumanInTheLoopMiddleware({"python": True})


def living(middleware: MuMathMiddleware) -> tuple[str, ...]:
    (python,) = middleware.tools
    assert isinstance(python, PythonKernelTool)
    return python.sessions


@pytest.mark.parametrize("in_async", [True, False])
@pytest.mark.parametrize("memory", [plain_memory(), None])
def test_a_session_lasts_as_long_as_the_run(in_async: bool, memory: InMemorySaver | None) -> None:
    seen: list[int] = []
    turns: list[Turn] = [calls("x = 1 / 0"), calls("x = 41"), calls("x + 1"), "42"]
    middleware = MuMathMiddleware()

    class Watched(ScriptedChatModel):
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(len(living(middleware)))
            return super()._generate(*args, **kwargs)

    agent = create_agent(Watched(turns=turns), middleware=[middleware], checkpointer=memory)
    config: RunnableConfig | None = {"configurable": {"thread_id": str(in_async)}} if memory else None
    state = asyncio.run(agent.ainvoke(GO, config)) if in_async else agent.invoke(GO, config)
    assert outputs(state) == ["line 1: x = 1 / 0\nZeroDivisionError: division by zero", "Done", "42"]
    assert seen == [1, 1, 1, 1] and living(middleware) == ()


def test_calls_of_one_step_share_the_session_in_their_order() -> None:
    middleware, memory = MuMathMiddleware(), plain_memory()
    turns: list[Turn] = [
        calls("x = [0]"),
        calls(*[f"x.append({n}); print(x)" for n in (1, 2, 3)]),
        calls("len(x)"),
        "4",
    ]
    state = asyncio.run(agent_of(turns, middleware, memory=memory).ainvoke(GO, THREAD))
    assert outputs(state) == ["Done", "[0, 1]", "[0, 1, 2]", "[0, 1, 2, 3]", "4"]


def test_approval_before_every_program_keeps_one_session() -> None:
    middleware, memory = MuMathMiddleware(), plain_memory()
    agent = agent_of(
        [calls("import random; x = random.random()"), calls("x < 1"), "yes"],
        middleware,
        asks_first(),
        memory=memory,
    )
    agent.invoke(GO, THREAD)
    assert len(living(middleware)) == 1  # it waits for the person
    agent.invoke(APPROVE, THREAD)
    state = agent.invoke(APPROVE, THREAD)
    assert outputs(state) == ["Done", "True"]
    assert living(middleware) == ()


@pytest.mark.parametrize("mode", ["batched", "per_call"])
def test_a_person_edits_and_rejects(mode: Any) -> None:
    middleware, memory = MuMathMiddleware(), plain_memory()
    person = HumanInTheLoopMiddleware({"python": True}, interrupt_mode=mode)
    agent = agent_of([calls("x = 1"), calls("x = 2"), calls("x"), "5"], middleware, person, memory=memory)
    agent.invoke(GO, THREAD)
    edit: Any = {"type": "edit", "edited_action": {"name": "python", "args": {"code": "x = 5"}}}
    for decision in (edit, {"type": "reject", "message": "no"}, {"type": "approve"}):
        answer: Any = decision if mode == "per_call" else {"decisions": [decision]}
        state = agent.invoke(Command(resume=answer), THREAD)
    edited, rejected, last = outputs(state)
    assert "x = 5" in edited and "Done" in edited and "no" in rejected and last == "5"


@pytest.mark.parametrize(
    ("first", "output"),
    [
        ("x = 41", "42"),
        ("import random; x = random.randint(1, 9); print(x)", "42"),
        ("import time; x = time.time(); print(x)", None),
    ],
)
def test_another_process_rebuilds_the_session_or_says_that_it_is_lost(first: str, output: str | None) -> None:
    """A new middleware is what another process has; the restart itself is in test_examples.py."""
    memory = plain_memory()
    turns: list[Turn] = [calls(first), calls("x * 0 + 42"), "42"]
    for step in (GO, APPROVE, APPROVE):
        middleware = MuMathMiddleware()
        state = agent_of(turns, middleware, asks_first(), memory=memory).invoke(step, THREAD)
        middleware.close()
    if output is None:
        assert "NameError" in outputs(state)[-1] and outputs(state)[-1].endswith(STATE_LOST)
    else:
        assert outputs(state)[-1] == output


def test_without_replay_the_next_run_is_told_that_its_session_is_lost() -> None:
    memory, middleware = plain_memory(), MuMathMiddleware(rebuild_state=False)
    agent = agent_of(
        [calls("x = 1"), "set", calls("x"), calls("y = 1; y"), "gone"], middleware, memory=memory
    )
    agent.invoke(GO, THREAD)
    state = agent.invoke(GO, THREAD)
    _, lost, after = outputs(state)
    assert "NameError" in lost and lost.endswith(STATE_LOST) and after == "1"


def test_a_later_question_finds_what_an_earlier_one_defined() -> None:
    memory, middleware = plain_memory(), MuMathMiddleware()
    agent = agent_of([calls("x = 41"), "set", calls("x + 1"), "42"], middleware, memory=memory)
    agent.invoke(GO, THREAD)
    assert living(middleware) == ()
    assert outputs(agent.invoke(GO, THREAD))[-1] == "42"


def test_a_run_that_goes_on_from_an_earlier_checkpoint_has_the_session_of_that_moment() -> None:
    memory, middleware = plain_memory(), MuMathMiddleware()
    agent = agent_of(
        [calls("x = 1"), calls("x += 1; print(x)"), calls("x"), "2"], middleware, asks_first(), memory=memory
    )
    agent.invoke(GO, THREAD)
    agent.invoke(APPROVE, THREAD)
    waiting = agent.get_state(THREAD).config  # x is 1, and the next program waits
    agent.invoke(APPROVE, THREAD)
    assert outputs(agent.invoke(APPROVE, waiting)) == ["Done", "2"]
    assert outputs(agent.invoke(APPROVE, THREAD)) == ["Done", "2", "2"]


def test_no_call_runs_twice_in_one_session() -> None:
    """A step that is taken again, for its result was not kept, is answered from the session's record."""
    memory, middleware = plain_memory(), MuMathMiddleware()
    turns: list[Turn] = [
        calls("x = 0"),
        calls("import time; x += 1; print(x, time.time_ns())"),
        calls("x"),
        "1",
    ]
    agent = agent_of(turns, middleware, asks_first(), memory=memory)
    agent.invoke(GO, THREAD)
    agent.invoke(APPROVE, THREAD)
    waiting = agent.get_state(THREAD).config
    first, again = (outputs(agent.invoke(APPROVE, waiting))[1] for _ in range(2))
    assert first == again and first.startswith("1 ")


def test_summaries_take_messages_away_and_the_session_stays() -> None:
    memory = plain_memory()
    turns: list[Turn] = [calls("x = 41"), calls("print('a')"), calls("print('b')"), calls("x + 1"), "42"]

    class Forgetful(ScriptedChatModel):
        """Goes on where it was, however few messages are left."""

        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            position = len(said)
            said.append(messages)
            return super()._generate([AIMessage("")] * position, *args, **kwargs)

    said: list[Any] = []
    summary = SummarizationMiddleware(
        model=ScriptedChatModel(turns=["They computed."] * 99), trigger=("messages", 4), keep=("messages", 2)
    )
    model = Forgetful(turns=turns)
    for step in (GO, APPROVE, APPROVE, APPROVE, APPROVE):
        middleware = MuMathMiddleware()
        parts: list[AgentMiddleware[Any, Any, Any]] = [middleware, asks_first(), summary]
        agent = create_agent(model, middleware=parts, checkpointer=memory)
        state = agent.invoke(step, THREAD)
        middleware.close()
    assert "They computed." in str(state["messages"]) and "x = 41" not in str(state["messages"])
    assert outputs(state)[-1] == "42"


def test_a_limit_of_tool_calls() -> None:
    middleware = MuMathMiddleware()
    limit = ToolCallLimitMiddleware(tool_name="python", run_limit=1)
    state = agent_of([calls("1"), calls("2"), "only one"], middleware, limit).invoke(GO)
    first, second = outputs(state)
    assert first == "1" and "limit" in second
    assert living(middleware) == ()


@pytest.mark.parametrize("memory", [plain_memory(), None])
def test_a_run_that_fails_leaves_no_session_that_no_run_can_come_back_to(
    memory: InMemorySaver | None,
) -> None:
    middleware = MuMathMiddleware(idle_s=0.5 if memory else 60)
    agent = agent_of([calls("x = 1")], middleware, memory=memory)  # and then the script ends
    with pytest.raises(IndexError):
        agent.invoke(GO, THREAD if memory else None)
    gc.collect()  # LangGraph's loop and its tasks know each other
    assert comes_true(lambda: not living(middleware))


def test_no_checkpoint_holds_the_session() -> None:
    memory, middleware = plain_memory(), MuMathMiddleware()
    agent = agent_of([calls("x = 1"), "set"], middleware, memory=memory)
    state = agent.invoke(GO, THREAD)
    assert set(state) == {"messages"}
    kept = agent.get_state(THREAD).values
    assert set(kept) == {"messages", "python_cells"}
    assert [cell["code"] for cell in kept["python_cells"]] == ["x = 1"]


def test_two_agents_of_one_thread_have_a_session_each() -> None:
    """An agent that another one calls as a tool runs on the same thread."""
    from langchain_core.tools import tool

    python = MuMathMiddleware()
    inner = agent_of([calls("x"), "no x"], python)

    @tool
    def helper(code: str) -> str:
        """Ask another agent."""
        return outputs(inner.invoke(GO))[-1]

    memory = plain_memory()
    outer = create_agent(
        ScriptedChatModel(turns=[calls("x = 1"), calls("", name="helper"), calls("x"), "1"]),
        tools=[helper],
        middleware=[python],
        checkpointer=memory,
    )
    _, inner_output, last = outputs(outer.invoke(GO, THREAD))
    assert "NameError" in inner_output and last == "1"


def node_of_a_bigger_graph(agent: Any) -> Any:
    """Return a graph with a checkpointer whose one node is the agent, which was made without one."""
    builder = StateGraph(MessagesState)
    builder.add_node("agent", agent)
    builder.add_edge(START, "agent")
    return builder.compile(checkpointer=plain_memory())


def test_as_a_node_of_a_bigger_graph_a_later_turn_finds_what_an_earlier_one_defined() -> None:
    middleware = MuMathMiddleware()
    agent = agent_of([calls("x = 41"), "set", calls("x += 1"), calls("x"), "42"], middleware)
    graph = node_of_a_bigger_graph(agent)
    graph.invoke(GO, THREAD)
    assert outputs(graph.invoke(GO, THREAD))[1:] == ["Done", "42"]


def test_a_session_that_messages_can_not_bring_back_is_said_to_be_lost() -> None:
    past = [calls("x = 41"), ToolMessage("Done", name="python", tool_call_id="1")]  # nothing says what it did
    turns: list[Turn] = ["", calls("x"), calls("1"), "gone"]
    state = agent_of(turns, MuMathMiddleware()).invoke({"messages": ["go", *past, "again"]})
    _, lost, after = outputs(state)
    assert "NameError" in lost and lost.endswith(STATE_LOST) and after == "1"


@pytest.mark.parametrize("in_async", [True, False])
def test_another_tool_of_the_same_name_is_refused_in_words(in_async: bool) -> None:
    with PythonKernelTool() as tool:
        agent: Any = create_agent(
            ScriptedChatModel(turns=["hi"]), tools=[tool], middleware=[MuMathMiddleware()]
        )
        with pytest.raises(InputError, match=r"two tools named 'python'.*MuMathMiddleware\(name=\.\.\.\)"):
            asyncio.run(agent.ainvoke(GO)) if in_async else agent.invoke(GO)
        both: Any = create_agent(
            ScriptedChatModel(turns=["hi"]), tools=[tool], middleware=[MuMathMiddleware(name="other")]
        )
        assert both.invoke(GO)["messages"][-1].text == "hi"


def test_the_middleware_takes_the_settings_of_the_tool_with_the_same_defaults() -> None:
    taken = dict(inspect.signature(MuMathMiddleware).parameters)
    assert taken.pop("sandbox").default is None  # a new Sandbox()
    fields = PythonKernelTool.model_fields
    own = {name for name in PythonKernelTool.__annotations__ if not name.startswith("_")} - {"args_schema"}
    assert taken.keys() == own - {"sandbox"} | {"handle_tool_error"}
    assert {name: parameter.default for name, parameter in taken.items()} == {
        name: fields[name].default for name in taken
    }
