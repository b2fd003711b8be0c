"""Answer conversations with an OpenAI-compatible `POST /v1/chat/completions`, including hosted models.

Apart from its prompts this works like `completions.py`: answers stream, cancelling ends the generation, transient
failures are retried. A completion is text, so calls of tools come back as blocks after what the model said, and what it
thought in tags before it (`dialects/chat.py`).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mumath_agent.errors import ModelRefused
from mumath_agent.models import as_conversation
from mumath_agent.models.answering import ArrivingAnswer
from mumath_agent.models.context import within_context
from mumath_agent.models.http.connection import READ_TIMEOUT_S, Connection
from mumath_agent.models.http.messages import TOOL, wire_messages
from mumath_agent.models.http.retries import TransientError, with_retries
from mumath_agent.models.http.wire import SEE_LOG
from mumath_agent.models.logprobs import LogprobSum
from mumath_agent.models.stopping import new_text_only
from mumath_agent.protocols import CompletionRequest, OnText, ToolCall
from mumath_agent.records import Completion, FinishReason

_FINISH = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "tool_calls": FinishReason.STOP,
    "function_call": FinishReason.STOP,
    "length": FinishReason.LENGTH,
}
_REASONING = ("reasoning_content", "reasoning")
"""The fields that servers put a model's thoughts into; each expects them back in its own."""
_MAX_STOP = 4
"""Servers refuse more stop strings; `TextUntilStop` finds the others."""


class ChatCompletionsModel:
    """A `CompletionModel` behind `/v1/chat/completions`; it can be used from several event loops."""

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        attempts: int = 5,
        read_timeout_s: float = READ_TIMEOUT_S,
        extra_body: Mapping[str, object] | None = None,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            base_url: the server's address, with or without "/v1".
            model: the model's name on the server.
            api_key: sent with every request, if there is one.
            attempts: how often a request is tried while it fails with a transient error.
            read_timeout_s: the longest silence; a whole completion may take any time.
            extra_body: fields that a server needs besides, or under another name; a value of None leaves a field out.

        Raises:
            InputError: the address or the key can't be used.
        """
        self.name = model
        self._connection = Connection(base_url, api_key, read_timeout_s=read_timeout_s)
        self._attempts = attempts
        self._extra = dict(extra_body or {})
        self._thinks_in: str | None = None  # the server's field for thoughts, once it has used one

    def __repr__(self) -> str:
        """Show the address and the model's name."""
        return f"ChatCompletionsModel({self._connection.url!r}, {self.name!r})"

    async def warm_up(self) -> None:
        """Do nothing: there is nothing to load, and no request that every server accepts."""

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Answer the conversation; see `CompletionModel.complete`."""
        conversation = as_conversation(request.prompt, self.name)
        begin = conversation.begin
        body: dict[str, object] = {
            "model": self.name,
            "messages": wire_messages(conversation, self._thinks_in),
            "stop": request.stop[:_MAX_STOP] or None,
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "seed": request.sampling.seed,
            "logprobs": True if request.logprobs else None,
            "tools": [TOOL] if conversation.tool else None,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if begin:
            begun = {"role": "assistant", "content": begin}
            body["messages"] = [*wire_messages(conversation, self._thinks_in), begun]
            # vLLM must be told to continue it; llama.cpp does so unasked.
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        tell = new_text_only(on_text)

        async def ask(tokens: int) -> Completion:
            fields = body | {"max_tokens": tokens} | self._extra
            asked = {name: value for name, value in fields.items() if value is not None}
            return await with_retries(self._attempts, self._attempt, asked, request.stop, begin, tell)

        return await within_context(request.max_tokens, ask)

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._connection.aclose()

    async def _attempt(
        self, body: Mapping[str, object], stop: tuple[str, ...], begin: str, tell: Callable[[str], None]
    ) -> Completion:
        answer = _Answer(stop, begin)
        async with self._connection.stream("/chat/completions", body) as events:
            async for event in events:
                answer.usage = event.get("usage") or answer.usage
                for choice in event.get("choices") or ():
                    answer.add(choice)
                    answer.logprob.add(choice)
                tell(answer.settled)
                if answer.said.stopped and not answer.finish:  # the server ignored this stop string
                    break
        url, finish, stopped = self._connection.url, answer.finish, answer.said.stopped
        self._thinks_in = answer.thinks_in or self._thinks_in
        if finish == "content_filter":
            raise ModelRefused(f"{url} withheld the answer of {self.name} (finish_reason content_filter)")
        if not stopped and finish not in _FINISH:
            raise TransientError(f"{url} broke off its answer (finish_reason {finish or 'missing'})", SEE_LOG)
        cut = not stopped and _FINISH[finish] is FinishReason.LENGTH
        whole = answer.whole(answer.calls, cut=cut)
        tell(whole)
        return Completion(
            text=whole,
            finish_reason=FinishReason.LENGTH if cut else FinishReason.STOP,
            prompt_tokens=answer.usage.get("prompt_tokens") or 0,
            completion_tokens=answer.usage.get("completion_tokens") or 0,
            logprob=answer.logprob.value if body.get("logprobs") else None,
            tail_logprobs=answer.logprob.tail if body.get("logprobs") else None,
        )


class _Answer(ArrivingAnswer):
    """An answer as a server streams it."""

    def __init__(self, stop: tuple[str, ...], begin: str) -> None:
        """Start with nothing; `begin` is what the answer begins with. Some servers repeat it, others don't."""
        super().__init__(stop)
        self._begin, self._early = begin, ""
        self.thinks_in: str | None = None
        """The field that the model's thoughts came in."""
        self.usage = dict[str, int]()
        self.logprob = LogprobSum()
        self.finish = ""
        self._pieces = list[_Call]()

    def add(self, choice: Mapping[str, Any]) -> None:
        """Append the next pieces."""
        delta = choice.get("delta") or {}
        thinks_in = next(
            (name for name in _REASONING if isinstance(delta.get(name), str) and delta[name]), None
        )
        if thinks_in is not None:
            self.thinks_in = thinks_in
            self.think(delta[thinks_in])
        self._begun(delta.get("content") or "")
        for piece in delta.get("tool_calls") or ():
            self._call(piece)
        self.finish = choice.get("finish_reason") or self.finish

    @property
    def calls(self) -> list[ToolCall]:
        """The calls so far."""
        return [ToolCall(name=call.name, arguments=call.arguments) for call in self._pieces]

    def whole(self, calls: Sequence[ToolCall], *, cut: bool) -> str:
        """See `ArrivingAnswer.whole`."""
        self._begun("", ended=True)
        return super().whole(calls, cut=cut)

    def _begun(self, piece: str, *, ended: bool = False) -> None:
        """Append to what the model says, after its beginning, once it is known whether the server repeats that."""
        self._early += piece
        if (
            self._begin
            and not ended
            and len(self._early) < len(self._begin)
            and self._begin.startswith(self._early)
        ):
            return
        repeated = self._early.startswith(self._begin)
        self.say(self._early if repeated else self._begin + self._early)
        self._begin = self._early = ""

    def _call(self, piece: Mapping[str, Any]) -> None:
        """Append a piece of a call. It belongs to the call of its number, unless it has another id.

        Some servers number every call 0.
        """
        number, name = piece.get("index"), str(piece.get("id") or "")
        fitting = [
            call
            for call in self._pieces
            if number in (None, call.number) and (not name or not call.id or name == call.id)
        ]
        if not fitting:
            fitting = [_Call(number=number)]
            self._pieces += fitting
        call, function = fitting[-1], piece.get("function") or {}
        call.id, call.name = call.id or name, call.name or str(function.get("name") or "")
        arguments = function.get("arguments") or ""
        call.arguments += arguments if isinstance(arguments, str) else json.dumps(arguments)


@dataclass(slots=True, kw_only=True)
class _Call:
    """A call as it arrives."""

    number: Any
    id: str = ""
    name: str = ""
    arguments: str = ""
