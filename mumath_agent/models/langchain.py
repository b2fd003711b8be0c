"""Use any chat model of LangChain as a `CompletionModel`, for the dialects `chat` and `tools`.

    LangChainModel(init_chat_model("anthropic:claude-sonnet-4-5"))

Providers differ in what can be set: settings that the chat model has a field for are set, others stay as they are. The
chat model does its own retries.
"""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, get_args

import httpx
from langchain_core.exceptions import ContextOverflowError, ModelError
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableConfig

from mumath_agent.errors import ModelRefused, ModelUnreachable, MuMathError
from mumath_agent.models import as_conversation
from mumath_agent.models.answering import ArrivingAnswer
from mumath_agent.models.context import TooLong, too_long, within_context
from mumath_agent.models.http.messages import TOOL, wire_messages
from mumath_agent.models.http.wire import without_tools
from mumath_agent.models.logprobs import LogprobSum
from mumath_agent.models.stopping import new_text_only
from mumath_agent.protocols import CompletionRequest, Conversation, OnText, ToolCall
from mumath_agent.records import Completion, FinishReason

_MAX_TOKENS = ("max_tokens", "max_output_tokens", "num_predict", "max_new_tokens")
"""The names that providers give the token limit."""
_REASONS = ("finish_reason", "stop_reason", "done_reason")
_CUT = {"length", "max_tokens", "model_length"}
_WITHHELD = {"content_filter", "refusal", "safety", "recitation"}
_BUSY = (408, 409, 429)
_MESSAGE_CHARS = 300
_THINKS_IN = "reasoning_content"
"""The field for thoughts that providers know; those that don't leave it out."""
_QUIET: RunnableConfig = {"tags": ["nostream"]}
"""Keeps LangGraph from streaming the text a second time; our graph does it."""


class LangChainModel:
    """A `CompletionModel` that asks a chat model of LangChain."""

    def __init__(self, chat: BaseChatModel, *, name: str | None = None, keep_sampling: bool = False) -> None:
        """Wrap a chat model.

        Args:
            chat: the chat model.
            name: the name for records; by default the one that the provider uses.
            keep_sampling: leave temperature, top_p and seed as they are, for models that refuse to have them set. The
                `Sampling` of records then says nothing about them.
        """
        self.name = name or _name(chat)
        self._chat = chat
        self._keep_sampling = keep_sampling
        self._thinks_in: str | None = None

    async def warm_up(self) -> None:
        """Do nothing: there is nothing to load, and no request that every model accepts."""

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Answer the conversation; see `CompletionModel.complete`."""
        conversation = as_conversation(request.prompt, self.name)
        tell = new_text_only(on_text)

        async def ask(tokens: int) -> Completion:
            return await self._ask(self._configured(tokens, request), conversation, request.stop, tell)

        return await within_context(request.max_tokens, ask)

    async def aclose(self) -> None:
        """Do nothing: the chat model manages its own connections."""

    async def _ask(
        self,
        chat: BaseChatModel,
        conversation: Conversation,
        stop: tuple[str, ...],
        tell: Callable[[str], None],
    ) -> Completion:
        answer, message, logprob = ArrivingAnswer(stop), AIMessageChunk(content=""), LogprobSum()
        async with aclosing(self._answer(chat, conversation, stop)) as chunks:
            async for chunk in chunks:
                message = message + chunk
                if thought := _thought(chunk):
                    self._thinks_in = _THINKS_IN
                    answer.think(thought)
                answer.say(str(chunk.text))
                logprob.add(chunk.response_metadata)
                tell(answer.settled)
                if answer.said.stopped:
                    break
        completion = self._completion(answer, message)
        tell(completion.text)
        return replace(completion, logprob=logprob.value, tail_logprobs=logprob.tail)

    def _configured(self, max_tokens: int, request: CompletionRequest) -> BaseChatModel:
        """Return the chat model with these settings, as far as it has fields for them."""
        sampling = request.sampling
        fields = type(self._chat).model_fields
        limit = next((name for name in _MAX_TOKENS if name in fields), None)
        update: dict[str, object] = {limit: max_tokens} if limit else {}
        if not self._keep_sampling:
            update |= {"temperature": sampling.temperature}
            update |= {"top_p": sampling.top_p} if sampling.top_p != 1.0 else {}  # some refuse both
            update |= {"seed": sampling.seed} if sampling.seed is not None else {}
        if (
            request.logprobs
            and (field := fields.get("logprobs"))
            and bool in (field.annotation, *get_args(field.annotation))
        ):
            update |= {"logprobs": True}
        known = {name: value for name, value in update.items() if name in fields}
        return self._chat.model_copy(update=known) if known else self._chat

    async def _answer(
        self, chat: BaseChatModel, conversation: Conversation, stop: tuple[str, ...]
    ) -> AsyncGenerator[AIMessageChunk, None]:
        """Yield the answer in pieces; translate whatever the provider's client raises.

        Raises:
            ModelUnreachable, ModelRefused: see `_meaning`.
        """
        messages: Any = wire_messages(conversation, self._thinks_in)
        try:
            model = chat.bind_tools([TOOL]) if conversation.tool else chat
            async for chunk in model.astream(messages, _QUIET, stop=list(stop)):
                yield _as_chunk(chunk)
        except MuMathError:
            raise
        except Exception as error:  # every provider has its own error classes
            raise _meaning(error, self.name) from error

    def _completion(self, answer: ArrivingAnswer, message: AIMessageChunk) -> Completion:
        reason = _finish_reason(message)
        if reason in _WITHHELD:
            raise ModelRefused(f"{self.name} withheld its answer ({reason})")
        cut = reason in _CUT and not answer.said.stopped
        calls = [
            ToolCall(name=call["name"], arguments=json.dumps(call["args"])) for call in message.tool_calls
        ]
        calls += [
            ToolCall(name=call["name"] or "", arguments=call["args"] or "")
            for call in message.invalid_tool_calls
        ]
        usage = message.usage_metadata
        return Completion(
            text=answer.whole(calls, cut=cut),
            finish_reason=FinishReason.LENGTH if cut else FinishReason.STOP,
            prompt_tokens=usage["input_tokens"] if usage else 0,
            completion_tokens=usage["output_tokens"] if usage else 0,
        )


def _name(chat: BaseChatModel) -> str:
    """Return the provider's name for the model."""
    names = (getattr(chat, field, None) for field in ("model_name", "model", "model_id"))
    return next((name for name in names if isinstance(name, str) and name), chat.get_name())


def _as_chunk(message: AIMessage) -> AIMessageChunk:
    """Return the message as a chunk; a model that doesn't stream answers with one whole message."""
    if isinstance(message, AIMessageChunk):
        return message
    return AIMessageChunk(**message.model_dump(exclude={"type"}))


def _thought(chunk: AIMessageChunk) -> str:
    blocks = (block for block in chunk.content_blocks if block["type"] == "reasoning")
    return "".join(block.get("reasoning", "") for block in blocks)


def _finish_reason(message: AIMessageChunk) -> str:
    reasons = (message.response_metadata.get(key) for key in _REASONS)
    return str(next(filter(None, reasons), "")).lower()


def _meaning(error: Exception, model: str) -> ModelUnreachable | ModelRefused:
    """Return the error as ours: text too long, unreachable (no connection, busy, broken), or else refused."""
    message = f"{model} refused: {_one_line(error)}"
    if refused := too_long(str(error), message):
        return refused
    if no_tools := without_tools(error, message):
        return no_tools
    if isinstance(error, ContextOverflowError):
        return TooLong(message, context_tokens=None, prompt_tokens=None)
    status = getattr(error, "status_code", None)
    may_pass = isinstance(error, ConnectionError | TimeoutError | httpx.TransportError)
    may_pass = may_pass or (isinstance(error, ModelError) and error.is_retryable)
    may_pass = may_pass or (isinstance(status, int) and (status >= 500 or status in _BUSY))
    if may_pass:
        return ModelUnreachable(
            f"{model} doesn't answer ({_one_line(error)}); check the network and its address"
        )
    return ModelRefused(message)


def _one_line(error: Exception) -> str:
    line = " ".join(str(error).split()) or type(error).__name__
    return line if len(line) <= _MESSAGE_CHARS else f"{line[: _MESSAGE_CHARS - 1]}…"
