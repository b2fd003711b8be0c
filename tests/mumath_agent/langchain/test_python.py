"""The Python session as a tool: what its model reads, and whose session it is."""

import asyncio
import copy
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import ValidationError
from scripted_chat import ScriptedChatModel, calls

import mumath_agent.langchain
from mumath_agent.dialects.output import STATE_LOST
from mumath_agent.errors import InputError
from mumath_agent.kernels import Sandbox
from mumath_agent.langchain import MuMathTool, PythonKernelTool
from mumath_agent.records import Limits
from tests.waiting import comes_true

pytestmark = pytest.mark.kernel


def asked(tool: PythonKernelTool, code: str, **configurable: str) -> ToolMessage:
    call = {"type": "tool_call", "id": "call", "name": tool.name, "args": {"code": code}}
    message: ToolMessage = tool.invoke(call, {"configurable": configurable})
    return message


def kernels() -> int:
    """Count the processes below this one: the fork server's and the kernels'."""
    return len(psutil.Process().children(recursive=True))


@pytest.mark.parametrize(
    ("code", "content"),
    [
        ("print(6 * 7)", "42"),
        ("6 * 7", "42"),
        ("x = 1", "Done"),
        ("y = 0\n1 / y", "line 2: 1 / y\nZeroDivisionError: division by zero"),
        ("print('a')\n1 / 0", "a\nline 2: 1 / 0\nZeroDivisionError: division by zero"),
        ("open('/etc/passwd')", "No such file"),
        ("input()", "Error"),
        ("print('x' * 200)", "characters left out"),
    ],
)
def test_what_a_program_does_is_content(code: str, content: str) -> None:
    with PythonKernelTool(output_chars=90) as tool:
        message = asked(tool, code)
    assert content in message.content
    assert message.status == "success" and message.artifact["code"] == code
    assert message.artifact["isolation"] != "none"


def test_variables_last_within_a_thread_and_no_other_thread_sees_them() -> None:
    with PythonKernelTool() as tool:
        asked(tool, "x = 41", thread_id="a")
        assert asked(tool, "x + 1", thread_id="a").content == "42"
        assert "NameError" in asked(tool, "x", thread_id="b").content
        assert "NameError" in asked(tool, "x").content  # by hand, without a thread
        assert "NameError" in asked(tool, "x", thread_id="a", checkpoint_ns="sub:1|tools:2").content
        assert asked(tool, "x", thread_id="a", checkpoint_ns="tools:2").content == "41"


def test_a_session_goes_on_from_synchronous_callers_to_any_event_loop() -> None:
    with PythonKernelTool() as tool:
        tool.invoke({"code": "x = 1"})
        assert asyncio.run(tool.ainvoke({"code": "x += 1; x"})) == "2"
        assert asyncio.run(tool.ainvoke({"code": "x += 1; x"})) == "3"
        assert tool.invoke({"code": "x += 1; x"}) == "4"


def test_runs_of_an_agent_without_threads_have_a_session_each() -> None:
    model = ScriptedChatModel(turns=[calls("try: x\nexcept NameError: x = 0\nx += 1; print(x)"), "done"])
    with PythonKernelTool() as tool:
        agent = create_agent(model, tools=[tool])
        for _ in range(2):
            assert agent.invoke({"messages": [HumanMessage("go")]})["messages"][2].content == "1"
        assert len(tool.sessions) == 2


def test_calls_of_one_conversation_wait_for_each_other() -> None:
    model = ScriptedChatModel(
        turns=[calls("x = []", *[f"x.append({n}); print(len(x))" for n in range(1, 6)]), "."]
    )
    with PythonKernelTool() as tool:
        agent = create_agent(model, tools=[tool])
        answer = asyncio.run(agent.ainvoke({"messages": [HumanMessage("go")]}))
    outputs = [message.content for message in answer["messages"] if isinstance(message, ToolMessage)]
    assert outputs == ["Done", "1", "2", "3", "4", "5"]


def test_a_program_that_is_stopped_costs_the_session_nothing_else() -> None:
    with PythonKernelTool(timeout_s=2) as tool:
        asked(tool, "x = 41")
        assert "TimeoutError" in asked(tool, "while True: pass").content
        assert asked(tool, "x + 1").content == "42"


def test_a_cancelled_call_stops_its_program() -> None:
    async def cancelled(tool: PythonKernelTool) -> str:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(tool.ainvoke({"code": "import time\ntime.sleep(600)"}), 0.5)
        return str(await tool.ainvoke({"code": "6 * 7"}))

    with PythonKernelTool() as tool:
        assert asyncio.run(cancelled(tool)).startswith("42")


@pytest.mark.parametrize("how", ["idle", "too many"])
def test_a_session_that_ended_unasked_is_said_to_be_lost(how: str) -> None:
    settings: dict[str, Any] = {"idle_s": 0.1} if how == "idle" else {"max_sessions": 1}
    with PythonKernelTool(**settings) as tool:
        asked(tool, "x = 1", thread_id="a")
        if how == "too many":
            asked(tool, "x = 1", thread_id="b")
        assert comes_true(lambda: "thread 'a' " not in tool.sessions)
        message = asked(tool, "x", thread_id="a")
        assert "NameError" in message.content and message.text.endswith(STATE_LOST)
        assert STATE_LOST not in asked(tool, "1", thread_id="a").content


def test_an_agent_of_another_process_is_told_that_its_session_is_lost() -> None:
    model = ScriptedChatModel(turns=[calls("x = 1"), "set", calls("x"), "lost"])
    memory = InMemorySaver()
    thread: RunnableConfig = {"configurable": {"thread_id": "t"}}
    for _ in range(2):  # a new tool is what another process has
        with PythonKernelTool() as tool:
            state = create_agent(model, tools=[tool], checkpointer=memory).invoke(
                {"messages": [HumanMessage("go")]}, thread
            )
    assert STATE_LOST not in state["messages"][2].content
    assert state["messages"][-2].content.endswith(STATE_LOST)


def test_closing_ends_the_kernels_and_the_tool_can_be_used_again() -> None:
    tool = PythonKernelTool()
    asked(tool, "x = 1", thread_id="warm up")
    tool.close()
    before = kernels()
    for name in "abc":
        asked(tool, "x = 1", thread_id=name)
    assert kernels() > before
    tool.close()
    assert tool.sessions == () and comes_true(lambda: kernels() == before)
    with tool:
        assert asked(tool, "6 * 7").content == "42"


@pytest.mark.parametrize("shows_figures", [True, False])
def test_figures(shows_figures: bool) -> None:
    pytest.importorskip("matplotlib")
    with PythonKernelTool(shows_figures=shows_figures) as tool:
        message = asked(tool, "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    (figure,) = message.artifact["execution"]["artefacts"]
    if shows_figures:
        (block,) = (block for block in message.content_blocks if block["type"] == "image")
        assert f"data:{block['mime_type']};base64,{block['base64']}" == figure
    else:
        assert "can't see" in message.content


def test_what_a_program_prints_is_streamed_while_it_runs() -> None:
    program = calls("import time\nprint('early')\ntime.sleep(1)\nprint('late')")
    modes: Any = ["custom", "tools"]  # LangGraph streams "tools" and has it in none of its types
    with PythonKernelTool() as tool:
        agent = create_agent(ScriptedChatModel(turns=[program, "done"]), tools=[tool])
        parts: Iterator[Any] = agent.stream({"messages": [HumanMessage("go")]}, stream_mode=modes)
        told = [
            (mode, part) for mode, part in parts if mode == "custom" or part["event"] == "tool-output-delta"
        ]
    call_id = program.tool_calls[0]["id"]
    assert [part for mode, part in told if mode == "custom"] == [
        {"event": "stdout", "text": text, "tool_call_id": call_id} for text in ("early\n", "late\n")
    ]
    assert [part["delta"] for mode, part in told if mode == "tools"] == ["early\n", "late\n"]


@pytest.mark.parametrize("setting", [{"timeout_s": 0}, {"max_sessions": 0}, {"timeout": 3}, {"sandbox": 3}])
def test_a_setting_that_can_not_be_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(setting))):
        PythonKernelTool(**setting)


def test_no_kernel_is_a_message_with_status_error_and_the_next_call_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own_server = Sandbox(preload=("cmd",))
    with PythonKernelTool(sandbox=own_server) as tool:
        monkeypatch.setattr(sys, "executable", "no/such/python")
        message = asked(tool, "6 * 7")
        assert message.status == "error" and message.text.startswith("Python can't be run: ")
        monkeypatch.undo()
        assert asked(tool, "6 * 7").content == "42"


@pytest.mark.parametrize(
    "code",
    [
        "```python\nprint(6 * 7)\n```",
        "```\nprint(6 * 7)\n```\n",
        "\n~~~py\nprint(6 * 7)\n~~~",
        "```Python3 \nprint(6 * 7)",
        "````python\ns = '```'\nprint(6 * 7)\n````",
    ],
)
def test_a_program_in_a_fence_is_unwrapped(code: str) -> None:
    with PythonKernelTool() as tool:
        message = asked(tool, code)
    assert message.content == "42" and "print(6 * 7)" in message.artifact["code"]


def test_a_bare_string_is_the_program() -> None:
    with PythonKernelTool() as tool:
        assert tool.invoke("x = 42") == "Done"
        assert asyncio.run(tool.ainvoke("print(x)")) == "42"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda tool: pickle.loads(pickle.dumps(tool))])
def test_a_copy_has_the_settings_and_a_session_of_its_own(copied: Any) -> None:
    with PythonKernelTool(timeout_s=7, name="py") as tool:
        asked(tool, "x = 1")
        with copied(tool) as twin:
            assert (twin.timeout_s, twin.name, twin.sessions) == (7, "py", ())
            assert "NameError" in asked(twin, "x").content
        assert asked(tool, "x").content == "1"
    with MuMathTool(limits=Limits(max_turns=2)) as solver, copied(solver) as twin:
        assert twin.limits == Limits(max_turns=2) and twin.description == solver.description


def test_the_model_sees_the_program_and_nothing_else() -> None:
    sent = convert_to_openai_tool(PythonKernelTool())["function"]
    assert set(sent["parameters"]["properties"]) == {"code"}


def test_a_middleware_without_langchain_names_the_extra_and_tools_need_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == "langchain"]:
        monkeypatch.delitem(sys.modules, module)
    for module in ("middleware", "python", "tool"):
        monkeypatch.delitem(sys.modules, f"mumath_agent.langchain.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "langchain", None)
    assert mumath_agent.langchain.PythonKernelTool.__name__ == "PythonKernelTool"
    with pytest.raises(
        InputError, match=r"^MuMathMiddleware needs the extra langchain: pip.*'\.\[langchain\]'"
    ):
        _ = mumath_agent.langchain.MuMathMiddleware
