"""The LangChain face, over the embedded model."""

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.graph import START, MessagesState, StateGraph

from mumath_agent.errors import InputError
from mumath_agent.models.chat import CompletionsChatModel
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.testing import ScriptedModel

QUESTION = "Tom has 3 apples and buys 4 more. How many apples does Tom have?"


@pytest.fixture
def chat() -> Iterator[CompletionsChatModel]:
    model = EmbeddedModel()
    yield CompletionsChatModel(model=model, max_tokens=30)
    anyio.run(model.aclose)


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        ([HumanMessage("q")], "<|user|>\nq\n<|assistant|>\n"),
        ([SystemMessage("s"), HumanMessage("q")], "<|system|>\ns\n<|user|>\nq\n<|assistant|>\n"),
        (
            [HumanMessage("q"), AIMessage("```python\n1\n```\n```output\n1\n```\n")],
            "<|user|>\nq\n<|assistant|>\n```python\n1\n```\n```output\n1\n```\n",
        ),
        (
            [HumanMessage("q"), AIMessage("a"), HumanMessage("r"), AIMessage("b ")],
            "<|user|>\nq\n<|assistant|>\na\n<|user|>\nr\n<|assistant|>\nb ",
        ),
    ],
)
def test_prompt(messages: list[BaseMessage], prompt: str) -> None:
    model = ScriptedModel(texts=["It is 4.```output"])
    assert CompletionsChatModel(model=model).invoke(messages).text == "It is 4."
    assert model.prompts == [prompt]


@pytest.mark.parametrize(
    "messages",
    [
        [AIMessage("a")],
        [HumanMessage("q"), HumanMessage("r")],
        [HumanMessage("q"), SystemMessage("s")],
        [SystemMessage("s")],
        [HumanMessage([{"type": "image", "url": "http://host/cat.png"}])],
    ],
)
def test_messages_that_make_no_prompt(messages: list[BaseMessage]) -> None:
    with pytest.raises(InputError, match="messages"):
        CompletionsChatModel(model=ScriptedModel(texts=[])).invoke(messages)


def test_every_way_gives_the_same(chat: CompletionsChatModel) -> None:
    answer = chat.invoke(QUESTION)
    chunks = list(chat.stream(QUESTION))
    assert len(chunks) > 2 and "".join(chunk.text for chunk in chunks) == answer.text
    whole = sum(chunks[1:], chunks[0])
    assert whole.usage_metadata == answer.usage_metadata
    assert whole.response_metadata == answer.response_metadata

    async def awaited() -> tuple[str, str]:
        pieces = [chunk.text async for chunk in chat.astream(QUESTION)]
        return "".join(pieces), (await chat.ainvoke(QUESTION)).text

    assert anyio.run(awaited) == (answer.text, answer.text)


def test_what_a_message_tells(chat: CompletionsChatModel) -> None:
    answer = chat.invoke(QUESTION, max_tokens=3)
    assert answer.response_metadata == {"finish_reason": "length", "model_name": "embedded"}
    usage: Any = answer.usage_metadata
    assert usage["output_tokens"] == 3 and usage["total_tokens"] == usage["input_tokens"] + 3
    stopped = chat.invoke(QUESTION, stop=[answer.text[-2:]])
    assert stopped.response_metadata["finish_reason"] == "stop"
    assert answer.text.startswith(stopped.text)


def test_unknown_settings_are_errors(chat: CompletionsChatModel) -> None:
    with pytest.raises(InputError, match="unknown setting 'top_k'"):
        chat.invoke(QUESTION, top_k=3)


def test_a_stream_that_is_left_ends(chat: CompletionsChatModel) -> None:
    stream = chat.stream(QUESTION)
    next(stream)
    stream.close()
    assert chat.invoke(QUESTION).text


def test_streams_through_langgraph(chat: CompletionsChatModel) -> None:
    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [chat.invoke(state["messages"])]}

    async def aanswer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await chat.ainvoke(state["messages"])]}

    question: Any = {"messages": [("human", QUESTION)]}
    expected = chat.invoke(QUESTION).text
    chunks = list(_graph(answer).stream(question, stream_mode="messages"))
    assert len(chunks) > 2 and "".join(chunk.text for chunk, _ in chunks) == expected

    async def stream() -> list[Any]:
        return [part async for part in _graph(aanswer).astream(question, stream_mode="messages")]

    assert "".join(chunk.text for chunk, _ in anyio.run(stream)) == expected


def _graph(node: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("answer", node)
    builder.add_edge(START, "answer")
    return builder.compile()
