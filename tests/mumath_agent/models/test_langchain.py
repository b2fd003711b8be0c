"""`LangChainModel` over LangChain's own fake chat models. Over a real client: test_models_chat_completions.py."""

from typing import Any

import pytest
from langchain_core.exceptions import ContextOverflowError, ModelConnectionError
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from mumath_agent.agent.graph import Handles, graph
from mumath_agent.dialects import Chat
from mumath_agent.errors import ModelRefused, ModelUnreachable
from mumath_agent.models.langchain import LangChainModel
from mumath_agent.protocols import CompletionRequest, Conversation, Message, Role
from mumath_agent.records import Completion, FinishReason
from mumath_agent.testing import ScriptedExecutor

pytestmark = pytest.mark.anyio

ASKED = Conversation(messages=(Message(role=Role.USER, text="q"),))


class Recorder(BaseChatModel):
    """Answers everything with one message or error, and keeps what it was sent and how it was set."""

    answer: Any
    temperature: float = 0.7
    num_predict: int = 5
    seen: list[Any] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "recorder"

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any
    ) -> ChatResult:
        self.seen.append((messages, stop, self.temperature, self.num_predict))
        if isinstance(self.answer, Exception):
            raise self.answer
        return ChatResult(generations=[ChatGeneration(message=self.answer)])


async def answered(chat: BaseChatModel, **options: Any) -> Completion:
    model = LangChainModel(chat, **options)
    return await model.complete(CompletionRequest(prompt=ASKED, stop=("```output",), max_tokens=9))


async def test_settings_go_to_the_fields_a_model_has() -> None:
    chat = Recorder(answer=AIMessage("4"))
    await answered(chat)
    await answered(chat, keep_sampling=True)
    assert [call[1:] for call in chat.seen] == [(["```output"], 0.0, 9), (["```output"], 0.7, 9)]
    assert (chat.temperature, chat.num_predict) == (0.7, 5)
    assert LangChainModel(chat).name == "Recorder" and LangChainModel(chat, name="x").name == "x"


class Telling(Recorder):
    """Can be asked for log-probabilities."""

    logprobs: bool | None = None

    def _generate(self, messages: list[BaseMessage], *args: Any, **more: Any) -> ChatResult:
        self.seen.append(self.logprobs)
        return ChatResult(generations=[ChatGeneration(message=self.answer)])


@pytest.mark.parametrize(
    "said", [{"content": [{"logprob": -0.5}, {"logprob": -1}]}, [{"logprob": -1.5}], None]
)
async def test_log_probabilities_are_asked_for_where_a_model_has_a_field_for_them(said: object) -> None:
    answer = AIMessage("4", response_metadata={"logprobs": said} if said else {})
    for chat in (Telling(answer=answer), Recorder(answer=answer)):
        request = CompletionRequest(prompt=ASKED, max_tokens=9, logprobs=True)
        assert (await LangChainModel(chat).complete(request)).logprob == (-1.5 if said else None)
        if isinstance(chat, Telling):
            await answered(chat)
            assert chat.seen == [True, None]


async def test_usage_and_pieces_of_a_model_that_streams() -> None:
    pieces: list[str] = []
    model = LangChainModel(GenericFakeChatModel(messages=iter([AIMessage("It is 4.")])))
    completion = await model.complete(CompletionRequest(prompt=ASKED, max_tokens=9), pieces.append)
    assert completion.text == "It is 4." == "".join(pieces) and len(pieces) > 1


@pytest.mark.parametrize(
    ("metadata", "finish"),
    [
        ({"finish_reason": "stop"}, FinishReason.STOP),
        ({"finish_reason": "length"}, FinishReason.LENGTH),
        ({"finish_reason": "MAX_TOKENS"}, FinishReason.LENGTH),
        ({"stop_reason": "max_tokens"}, FinishReason.LENGTH),
        ({"stop_reason": "end_turn"}, FinishReason.STOP),
        ({"done_reason": "length"}, FinishReason.LENGTH),
        ({}, FinishReason.STOP),
    ],
)
async def test_what_makers_say_of_the_end(metadata: dict[str, str], finish: FinishReason) -> None:
    usage: Any = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    answer = AIMessage("4", response_metadata=metadata, usage_metadata=usage)
    assert await answered(Recorder(answer=answer)) == Completion(
        text="4", finish_reason=finish, prompt_tokens=5, completion_tokens=2
    )


@pytest.mark.parametrize(
    ("error", "meaning", "words"),
    [
        (ModelConnectionError("no route"), ModelUnreachable, "no route"),
        (TimeoutError(), ModelUnreachable, "TimeoutError"),
        (ValueError("no\nsuch model"), ModelRefused, "no such model"),
    ],
)
async def test_errors_are_told_apart(error: Exception, meaning: type[Exception], words: str) -> None:
    with pytest.raises(meaning, match=words):
        await answered(Recorder(answer=error))


async def test_a_text_that_does_not_fit_is_no_error() -> None:
    completion = await answered(Recorder(answer=ContextOverflowError("too long")))
    assert (completion.text, completion.finish_reason) == ("", FinishReason.LENGTH)


async def test_an_answer_that_was_withheld_is_refused() -> None:
    with pytest.raises(ModelRefused, match="refusal"):
        await answered(Recorder(answer=AIMessage("", response_metadata={"stop_reason": "refusal"})))


async def test_a_stop_string_the_model_ignores_is_found_all_the_same() -> None:
    assert (await answered(Recorder(answer=AIMessage("a\n```output\n5")))).text == "a\n"


async def test_an_attempt_in_fences() -> None:
    chat = FakeMessagesListChatModel(
        responses=[
            AIMessage("Add.\n```python\nprint(3 + 4)\n```\nIt prints 8, so \\boxed{8}."),
            AIMessage("It is \\boxed{7}."),
        ]
    )
    kernel = ScriptedExecutor(executions=["7\n"])
    handles = Handles(model=LangChainModel(chat), kernel=kernel, dialect=Chat())
    state = await graph.ainvoke({"question": "q"}, context=handles)
    assert state["answer"]["text"] == "7" and kernel.programs == ["print(3 + 4)\n"]


async def test_its_text_streams_through_the_graph_once() -> None:
    model = LangChainModel(GenericFakeChatModel(messages=iter([AIMessage("It is \\boxed{4}.")])))
    handles = Handles(model=model, kernel=ScriptedExecutor(executions=[]), dialect=Chat())
    stream = graph.astream({"question": "q"}, context=handles, stream_mode="messages")
    pieces: list[Any] = [part async for part in stream]
    assert "".join(message.text for message, _ in pieces) == "It is \\boxed{4}."
