"""A whole attempt behind one tool call: what the agent reads of it, and that it stays a tool call."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import ToolException
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.checkpoint.sqlite import SqliteSaver
from pydantic import ValidationError
from scripted_chat import ScriptedChatModel, Turn, calls

from mumath_agent.agent.solver import Solver
from mumath_agent.errors import InputError, KernelError, ModelRefused, ModelUnreachable
from mumath_agent.langchain import MuMathTool
from mumath_agent.langchain.solve_tool import DESCRIPTION
from mumath_agent.models.embedded import CAUTION
from mumath_agent.records import BROKEN, Completion, Limits, RunRecord, StopReason, from_json
from mumath_agent.runs.wording import STOP_IN_WORDS
from mumath_agent.solutions import Attempts, Solution
from mumath_agent.testing import ScriptedModel
from tests.toy import toy_as_default

PROGRAM = "We multiply.\n```python\nprint(17 * 23)\n```\n```output"
BOXED = "The answer is $\\boxed{391}$."
QUESTION = "What is 17 times 23?"


def solving(texts: Iterable[str | Completion | Exception], **settings: Any) -> MuMathTool:
    return MuMathTool(solver=Solver(model=ScriptedModel(texts=texts), limits=Limits(max_turns=3)), **settings)


def asked(tool: MuMathTool, question: str = QUESTION) -> ToolMessage:
    with tool:
        message: ToolMessage = tool.invoke(
            {"type": "tool_call", "id": "call", "name": tool.name, "args": {"question": question}}
        )
    return message


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("texts", "content"),
    [
        (
            [PROGRAM, BOXED],
            "Answer: 391\nThe solver stated it as its final answer. 1 program was run; it printed:\n391",
        ),
        (
            [PROGRAM, PROGRAM, "The answer is 391."],
            "Answer: 391\nIt is read from the solver's last sentences. 2 programs were run; the last one printed:\n391",
        ),
        ([BOXED], "Answer: 391\nThe solver stated it as its final answer. No program was run."),
        (
            ["I can't say."],
            "No answer: the model ended without an answer. No program was run.",
        ),
        (
            [PROGRAM] * 3,
            "No answer: the model reached the limit of turns without an answer. "
            "2 programs were run; the last one printed:\n391",
        ),
    ],
)
def test_what_the_agent_reads(texts: list[str], content: str) -> None:
    message = asked(solving(texts))
    assert (message.content, message.status) == (content, "success")
    record = from_json(RunRecord, message.artifact)
    assert record.problem.question == QUESTION and len(record.trajectory.completions) == len(texts)


@pytest.mark.kernel
@pytest.mark.worker
@pytest.mark.parametrize(
    ("answers", "begins", "holds"),
    [
        (["391"] * 2, "Answer: 391\nVotes: 391 (2); confidence 0.88.\n", "No program was run."),
        (
            ["391", "392"],
            "Answer: 391 (low confidence: 1 of 2 attempts voted for it)\nVotes: 391 (1), 392 (1); confidence 0.50.\n",
            "The solver stated it as its final answer.",
        ),
        (["", ""], "No answer: no attempt came to one. Votes: no vote (2); confidence 0.00.\n", "No program"),
    ],
)
def test_the_vote_of_several_attempts_is_what_the_agent_reads(
    answers: list[str], begins: str, holds: str
) -> None:
    texts = [f"It is $\\boxed{{{answer}}}$." if answer else "Hm." for answer in answers]
    how = Attempts(number=2, early_stop=False)
    message = asked(solving(texts, attempts=how))
    assert message.status == "success"
    assert message.text.startswith(begins) and holds in message.text
    assert from_json(Solution, message.artifact).how == how


@pytest.mark.kernel
@pytest.mark.worker
def test_several_broken_attempts_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUMATH_ATTEMPTS", "2")
    message = asked(solving([ModelRefused("no such model")] * 2))
    assert message.status == "error" and "no such model" in message.content
    monkeypatch.setenv("MUMATH_ATTEMPTS", "many")
    with pytest.raises(InputError, match="attempts is 'many'"):
        solving([])


def test_every_way_to_end_without_an_answer_has_words() -> None:
    assert set(STOP_IN_WORDS) == set(StopReason) - BROKEN - {StopReason.ANSWERED}


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModelUnreachable("nothing answers at http://host"), "nothing answers"),
        (ModelRefused("no such model"), "no such model"),
        (KernelError("no kernel could be started"), "no kernel"),
    ],
)
def test_machinery_that_broke_is_an_error_the_agent_reads_or_an_exception(
    error: Exception, said: str
) -> None:
    message = asked(solving([error]))
    assert message.status == "error" and said in message.content
    with pytest.raises(ToolException, match=said):
        asked(solving([error], handle_tool_error=False))


@pytest.mark.parametrize("question", ["", " \n", "1" * 30_000])
def test_what_is_no_question_is_an_error_the_agent_can_mend(question: str) -> None:
    message = asked(solving([BOXED]), question)
    assert message.status == "error" and message.text.startswith("This question can't be taken: ")


@pytest.mark.kernel
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_in_an_agent_with_a_checkpointer_of_one_colour(way: str, tmp_path: Path) -> None:
    """The attempt's own states are none of the agent's checkpoints; a saver without async methods shows it."""
    turns: list[Turn] = [calls(QUESTION, name="solve_math", argument="question"), "It is 391."]
    with (
        SqliteSaver.from_conn_string(str(tmp_path / "agent.sqlite")) as saver,
        solving([PROGRAM, BOXED]) as tool,
    ):
        agent = create_agent(
            ScriptedChatModel(turns=turns), tools=[tool], checkpointer=saver if way == "invoke" else None
        )
        config: RunnableConfig = {"configurable": {"thread_id": "t"}}
        if way == "invoke":
            state = agent.invoke({"messages": [HumanMessage("go")]}, config)
            spaces = {row[0] for row in saver.conn.execute("select distinct checkpoint_ns from checkpoints")}
            assert spaces == {""}
        else:
            state = asyncio.run(agent.ainvoke({"messages": [HumanMessage("go")]}, config))
    assert state["messages"][2].content.startswith("Answer: 391")


@pytest.mark.kernel
@pytest.mark.parametrize("in_async", [True, False])
def test_the_attempt_is_streamed_while_it_runs(in_async: bool) -> None:
    turns: list[Turn] = [calls(QUESTION, name="solve_math", argument="question"), "It is 391."]
    with solving([PROGRAM, BOXED]) as tool:
        agent = create_agent(ScriptedChatModel(turns=turns), tools=[tool])
        modes: Any = ["custom", "tools"]

        async def streamed() -> list[Any]:
            return [
                part async for part in agent.astream({"messages": [HumanMessage("go")]}, stream_mode=modes)
            ]

        parts: list[Any] = (
            asyncio.run(streamed())
            if in_async
            else list(agent.stream({"messages": [HumanMessage("go")]}, stream_mode=modes))
        )
    events = [part["event"] for mode, part in parts if mode == "custom"]
    assert events == ["text", "program", "stdout", "output", "text"]
    deltas = [part["delta"] for _, part in parts if part["event"] == "tool-output-delta"]
    record = next(part["output"].artifact for _, part in parts if part["event"] == "tool-finished")
    transcript = from_json(RunRecord, record).trajectory.transcript.text
    assert "".join(deltas).split() == transcript.split()


@pytest.mark.kernel
def test_a_tool_is_used_again_after_it_was_closed_and_from_any_loop() -> None:
    tool = MuMathTool()
    question = {"question": "Tom has 3 apples and buys 4 more. How many apples does Tom have?"}
    for _ in range(2):
        with toy_as_default(), tool:
            assert tool.invoke(question).startswith("Answer: 7\n")
            assert asyncio.run(tool.ainvoke(question)).startswith("Answer: 7\n")


@pytest.mark.kernel
@pytest.mark.parametrize("in_async", [True, False])
def test_the_attempt_is_traced_as_a_part_of_the_call(in_async: bool) -> None:
    collector = RunCollectorCallbackHandler()
    with solving([PROGRAM, BOXED]) as tool:
        arguments = {"question": QUESTION}
        config: RunnableConfig = {"callbacks": [collector]}
        if in_async:
            asyncio.run(tool.ainvoke(arguments, config))
        else:
            tool.invoke(arguments, config)
    (call,) = collector.traced_runs
    (attempt,) = call.child_runs
    assert call.name == "solve_math" and attempt.name == "mumath-agent"
    assert [run.name for run in attempt.child_runs if run.name == "execute"] == ["execute"]


@pytest.mark.kernel
@pytest.mark.shipped
def test_what_the_model_that_ships_says_of_itself_is_described_and_reported() -> None:
    with MuMathTool(limits=Limits(max_new_tokens=8)) as tool:
        assert CAUTION in tool.invoke("What is 3 + 4?")
        assert CAUTION in tool.description and "exactly" not in tool.description
    assert MuMathTool(description="Mine.").description == "Mine."
    for other in (MuMathTool(base_url="http://host"), solving([])):
        assert other.description == DESCRIPTION and CAUTION not in other.description


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"base_url": "foo"}, "base_url 'foo' isn't an http address"),
        ({"base_url": "http://a ftp://b"}, "base_url 'ftp://b' isn't an http address"),
        ({"base_url": "http://host", "api_key": "ä"}, "api_key can't be sent"),
        ({"dialect": "klingon"}, "unknown dialect 'klingon'"),
        ({"limits": {"max_turn": 3}}, "unknown key max_turn"),
        ({"limits": {"max_turns": 0}}, "limit max_turns is 0"),
        ({"limits": 3}, "limits is 3; it must be a Limits"),
    ],
)
def test_settings_are_checked_at_once_and_without_a_network(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        MuMathTool(**settings)


def test_limits_may_be_a_dict() -> None:
    assert MuMathTool(limits={"max_turns": 2}).limits == Limits(max_turns=2)  # type: ignore[arg-type]


@pytest.mark.kernel
def test_what_breaks_in_a_call_is_a_message_in_an_agent() -> None:
    turns: list[Turn] = [calls("", QUESTION, name="solve_math", argument="question"), "done"]
    unreachable = MuMathTool(base_url="http://127.0.0.1:9", model="m")
    with unreachable:
        agent = create_agent(ScriptedChatModel(turns=turns), tools=[unreachable])
        _, _, empty, down, last = agent.invoke({"messages": [HumanMessage("go")]})["messages"]
    assert (empty.status, down.status, last.text) == ("error", "error", "done")
    assert "the question is empty" in empty.text and "http://127.0.0.1:9" in down.text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "m"}, "needs base_url"),
        ({"solver": 3}, "solver is 3; it must be a Solver"),
        (
            {"base_url": "http://host", "solver": Solver(model=ScriptedModel(texts=[]))},
            "set base_url in it",
        ),
        ({"temperature": 1}, "temperature"),
    ],
)
def test_settings_that_can_not_be_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        MuMathTool(**settings)


def test_the_environment_counts_and_what_is_given_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LOCAL": "a.gguf", "DIALECT": "chat", "UNSAFE_LOCAL": "1"}.items():
        monkeypatch.setenv(f"MUMATH_{name}", value)
    tool = MuMathTool()
    options = tool._options()
    assert (options.local, options.dialect, options.unsafe_local) == ("a.gguf", "chat", True)
    served = MuMathTool(base_url="http://127.0.0.1:9/v1")._options()
    assert (served.local, served.base_urls) == (None, ("http://127.0.0.1:9/v1",))
    monkeypatch.setenv("MUMATH_BASE_URL", "http://127.0.0.1:9/v1")
    assert MuMathTool(local="b.gguf")._options().local == "b.gguf"
    assert MuMathTool(local="b.gguf")._options().base_urls == ()
