"""Any `CompletionModel` as a LangChain chat model, for chains and graphs of others.

Messages become the text a dialect's model was trained on: a system message (which ToRA's template has) comes
before everything, every earlier exchange follows, and a trailing AI message is a partly written answer that is
continued verbatim. The graph of this library does not come this way.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import SkipValidation

from mumath_agent.bridge import run_sync
from mumath_agent.dialects import Fenced, TextDialect
from mumath_agent.errors import InputError
from mumath_agent.models import CompletionModel
from mumath_agent.records import Completion, Sampling
from mumath_agent.transcript import Transcript

Messages = list[BaseMessage]


class CompletionsChatModel(BaseChatModel):
    """See the module. A call's `stop` replaces the dialect's stop strings; none is ever part of the text."""

    model: SkipValidation[CompletionModel]
    dialect: SkipValidation[TextDialect] = Fenced()
    max_tokens: int = 1024
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    @property
    def _llm_type(self) -> str:
        return "mumath-completions"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        """What tracers show of a call."""
        told = super()._get_ls_params(stop=stop, **kwargs)
        return LangSmithParams(**{**told, "ls_model_name": self.model.name})

    def _generate(
        self, messages: Messages, stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return run_sync(self._agenerate(messages, stop, **kwargs))

    async def _agenerate(
        self, messages: Messages, stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        completion = await self._complete(messages, stop, None, **kwargs)
        message = AIMessage(content=completion.text, **self._metadata(completion))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages: Messages, stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        chunks = self._astream(messages, stop, **kwargs)
        try:
            while (chunk := run_sync(_following(chunks))) is not None:
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        finally:
            run_sync(_close(chunks))

    async def _astream(
        self, messages: Messages, stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        running = asyncio.create_task(self._complete(messages, stop, pieces.put_nowait, **kwargs))
        running.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await pieces.get()) is not None:
                chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
                if run_manager:
                    await run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
            end = AIMessageChunk(content="", chunk_position="last", **self._metadata(await running))
            yield ChatGenerationChunk(message=end)
        finally:
            running.cancel()

    async def _complete(
        self,
        messages: Messages,
        stop: list[str] | None,
        on_text: Callable[[str], None] | None,
        **kwargs: Any,
    ) -> Completion:
        if unknown := kwargs.keys() - {"max_tokens", "temperature", "top_p", "seed"}:
            raise InputError(f"unknown setting {sorted(unknown)[0]!r} of a completion")
        now = self.model_copy(update=kwargs)
        return await self.model.complete(
            _prompt(messages, self.dialect),
            stop=self.dialect.stop if stop is None else tuple(stop),
            max_tokens=now.max_tokens,
            sampling=Sampling(temperature=now.temperature, top_p=now.top_p, seed=now.seed),
            on_text=on_text,
        )

    def _metadata(self, completion: Completion) -> dict[str, Any]:
        read, written = completion.prompt_tokens, completion.completion_tokens
        usage = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
        response = {"finish_reason": completion.finish_reason.value, "model_name": self.model.name}
        return {"response_metadata": response, "usage_metadata": usage}


def _prompt(messages: Messages, dialect: TextDialect) -> str:
    """The messages as one text that ends where the model goes on writing."""
    system = "".join(f"<|system|>\n{message.text}\n" for message in messages[:1] if message.type == "system")
    turns = messages[1:] if system else messages
    if not turns or any(turn.type != ("human", "ai")[n % 2] for n, turn in enumerate(turns)):
        raise InputError("messages must be: perhaps one system message, then human and ai ones in turn")
    if any(block["type"] != "text" for message in messages for block in message.content_blocks):
        raise InputError("messages may hold nothing but text")
    texts = [str(turn.text) for turn in turns] + [""] * (len(turns) % 2)  # an answer not yet begun
    asked = zip(texts[::2], texts[1::2], strict=True)
    return system + "\n".join(
        dialect.prompt(Transcript(question=question, segments=dialect.parse(answer)))
        for question, answer in asked
    )


async def _following(chunks: AsyncGenerator[ChatGenerationChunk, None]) -> ChatGenerationChunk | None:
    return await anext(chunks, None)


async def _close(chunks: AsyncGenerator[ChatGenerationChunk, None]) -> None:
    await chunks.aclose()
