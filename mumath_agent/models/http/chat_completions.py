"""Answer conversations with an OpenAI-compatible `POST /v1/chat/completions`, including hosted models.

Apart from its prompts this works like `completions.py`: answers stream, cancelling ends the generation, transient
failures are retried. Calls of the tool `python` come back as fenced blocks after the text, because a completion is text
(`dialects/chat.py`).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mumath_agent.dialects.chat import fenced_call
from mumath_agent.errors import ModelRefused
from mumath_agent.models import as_conversation
from mumath_agent.models.context import within_context
from mumath_agent.models.http.connection import READ_TIMEOUT_S, Connection
from mumath_agent.models.http.retries import TransientError, with_retries
from mumath_agent.models.http.wire import SEE_LOG
from mumath_agent.models.stopping import TextUntilStop, new_text_only
from mumath_agent.protocols import CompletionRequest, Conversation, Message, OnText, Role
from mumath_agent.records import Completion, FinishReason

TOOL = {
    "type": "function",
    "function": {
        "name": "python",
        "description": "Run a Python program and get what it prints.",
        "parameters": {
            "type": "object",
            "properties": {"code": {"type": "string", "description": "The program."}},
            "required": ["code"],
        },
    },
}
"""The one tool that a chat model gets, as JSON schema."""

_FINISH = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "tool_calls": FinishReason.STOP,
    "function_call": FinishReason.STOP,
    "length": FinishReason.LENGTH,
}
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
            "messages": wire_messages(conversation),
            "stop": request.stop[:_MAX_STOP] or None,
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "seed": request.sampling.seed,
            "tools": [TOOL] if conversation.tool else None,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if begin:
            body["messages"] = [*wire_messages(conversation), {"role": "assistant", "content": begin}]
            body |= {
                "continue_final_message": True,
                "add_generation_prompt": False,
            }  # vLLM; llama.cpp does it unasked
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
        text, finish = TextUntilStop(stop), ""
        calls, usage = dict[int, str](), dict[str, int]()
        async with self._connection.stream("/chat/completions", body) as events:
            async for event in events:
                usage = event.get("usage") or usage
                for choice in event.get("choices") or ():
                    delta = choice.get("delta") or {}
                    text.add(delta.get("content") or "")
                    _add_calls(calls, delta.get("tool_calls") or ())
                    finish = choice.get("finish_reason") or finish
                tell(_begun(begin, text.settled))
                if text.stopped and not finish:  # the server ignored this stop string: end the request
                    break
        url = self._connection.url
        if finish == "content_filter":
            raise ModelRefused(f"{url} withheld the answer of {self.name} (finish_reason content_filter)")
        if not text.stopped and finish not in _FINISH:
            raise TransientError(f"{url} broke off its answer (finish_reason {finish or 'missing'})", SEE_LOG)
        cut = not text.stopped and _FINISH[finish] is FinishReason.LENGTH
        written = [] if text.stopped else [calls[number] for number in sorted(calls)]
        whole = with_calls(_begun(begin, text.text, whole=True), written, cut=cut)
        tell(whole)
        return Completion(
            text=whole,
            finish_reason=FinishReason.LENGTH if cut else FinishReason.STOP,
            prompt_tokens=usage.get("prompt_tokens") or 0,
            completion_tokens=usage.get("completion_tokens") or 0,
        )


def wire_messages(conversation: Conversation) -> list[dict[str, Any]]:
    """Return the messages as OpenAI's protocol writes them; LangChain reads them, too."""
    written, calls = list[dict[str, Any]](), 0
    for message in conversation.messages:
        if message.code is not None:
            calls += 1
        written.append(_wire_message(message, f"call{calls:05}"))
    return written


def with_calls(text: str, calls: list[str], *, cut: bool) -> str:
    """Return the text followed by the program of each call as a fenced block; `calls` are the calls' JSON arguments.

    If the token limit `cut` the last call short, its block is left open, so that it isn't run.
    """
    if not calls:
        return text
    lead = text if not text or text.endswith("\n") else f"{text}\n"
    blocks = [fenced_call(_program(arguments)) for arguments in calls]
    if cut:
        blocks[-1] = blocks[-1].removesuffix("```\n")
    return lead + "".join(blocks)


def _begun(begin: str, text: str, *, whole: bool = False) -> str:
    """Return what a server answered, with the beginning that it was given: some repeat that, others don't.

    While the answer isn't `whole`, nothing is returned until it is known which.
    """
    if text.startswith(begin):
        return text
    return "" if begin.startswith(text) and not whole else f"{begin}{text}"


def _wire_message(message: Message, call: str) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role.value, "content": message.text}
    if message.role is Role.TOOL:
        written["tool_call_id"] = call
    if message.code is not None:
        function = {"name": "python", "arguments": json.dumps({"code": message.code})}
        written["tool_calls"] = [{"id": call, "type": "function", "function": function}]
    return written


def _add_calls(calls: dict[int, str], pieces: Iterable[dict[str, Any]]) -> None:
    """Append the new pieces of the calls' arguments to those in `calls`."""
    for piece in pieces:
        number = int(piece.get("index") or 0)
        arguments = (piece.get("function") or {}).get("arguments") or ""
        calls[number] = calls.get(number, "") + arguments


def _program(arguments: str) -> str:
    """Return the program in a call's arguments; some models write it without JSON."""
    try:
        given = json.loads(arguments)
    except ValueError:
        return arguments
    code = given.get("code") if isinstance(given, dict) else given
    return code if isinstance(code, str) else arguments
