"""Ask a model of a running Ollama, by Ollama's own API: https://github.com/ollama/ollama/blob/main/docs/api.md.

Its OpenAI-compatible paths won't do: they put raw prompts into the model's template, take no `num_ctx`, and drop the
beginning of what doesn't fit without a word. Here raw prompts are sent as `raw`, every request says how long a context
it needs, and asks for an error instead of a shortened prompt.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from mumath_agent.errors import ModelMisconfigured, ModelUnreachable
from mumath_agent.models.answering import ArrivingAnswer
from mumath_agent.models.context import within_context
from mumath_agent.models.http.connection import READ_TIMEOUT_S, Connection
from mumath_agent.models.http.messages import TOOL, wire_messages
from mumath_agent.models.http.retries import TransientError, with_retries
from mumath_agent.models.http.wire import SEE_LOG, NotFound, checked, objects
from mumath_agent.models.logprobs import LogprobSum
from mumath_agent.models.stopping import new_text_only
from mumath_agent.protocols import CompletionRequest, Conversation, OnText, ToolCall
from mumath_agent.records import Completion, FinishReason

CONTEXT_TOKENS = 8192
"""What is asked for; a model that was trained for less gets less."""
_IS_IT_THERE = "is Ollama running there? `ollama serve` starts it, OLLAMA_HOST says where it is"
_THINKS_IN = "thinking"
_NATIVE = "/.."
"""From the OpenAI-compatible paths to Ollama's own."""


class OllamaModel:
    """A `CompletionModel` of Ollama, for raw text and for conversations; it can be used from several event loops."""

    def __init__(
        self, base_url: str, model: str, *, attempts: int = 5, read_timeout_s: float = READ_TIMEOUT_S
    ) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            base_url: Ollama's address.
            model: the model's name, as `ollama list` has it.
            attempts: how often a request is tried while it fails with a transient error.
            read_timeout_s: the longest silence; Ollama loads a model with its first request.

        Raises:
            InputError: the address can't be used.
        """
        self.name = model
        self._connection = Connection(base_url, read_timeout_s=read_timeout_s)
        self._url = self._connection.url.removesuffix("/v1")
        self._attempts = attempts
        self._context_tokens = 0
        """Known after `warm_up`."""

    def __repr__(self) -> str:
        """Show the address and the model's name."""
        return f"OllamaModel({self._url!r}, {self.name!r})"

    async def warm_up(self) -> None:
        """Find out how long a context the model can have.

        Raises:
            ModelUnreachable: Ollama doesn't answer.
            ModelMisconfigured: it doesn't have the model.
        """
        if self._context_tokens == 0:
            shown = await with_retries(self._attempts, self._show)
            facts = shown.get("model_info") or {}
            longest = facts.get(f"{facts.get('general.architecture')}.context_length")
            self._context_tokens = min(
                CONTEXT_TOKENS, longest if isinstance(longest, int) else CONTEXT_TOKENS
            )

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Continue the text or answer the conversation; see `CompletionModel.complete`."""
        await self.warm_up()
        if isinstance(request.prompt, str):
            path, prompt = "/api/generate", dict[str, object](prompt=request.prompt, raw=True)
        else:
            path, prompt = "/api/chat", _conversation(request.prompt)
        sampling = request.sampling
        options = {
            "num_ctx": self._context_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "repeat_penalty": 1.0,  # its default punishes digits and names that programs repeat
            "stop": list(request.stop) or None,
        }
        fixed = {"model": self.name, "stream": True, "truncate": False, "shift": False}
        fixed |= {"logprobs": True} if request.logprobs else {}
        tell = new_text_only(on_text)

        async def ask(tokens: int) -> Completion:
            given = {name: value for name, value in options.items() if value is not None}
            body = {name: value for name, value in prompt.items() if value is not None}
            body |= fixed | {"options": given | {"num_predict": tokens}}
            return await with_retries(self._attempts, self._attempt, path, body, request.stop, tell)

        return await within_context(request.max_tokens, ask)

    async def facts(self) -> dict[str, str]:
        """Return the server's address and version, the model and its context, for the record of a run."""
        found = {"url": self._url, "model": self.name, "num_ctx": str(self._context_tokens)}
        with suppress(TransientError, ModelUnreachable, ValueError):
            async with self._connection.answer("GET", f"{_NATIVE}/api/version") as response:
                await response.aread()
                found["version"] = f"Ollama {response.json().get('version')}"
        return found

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._connection.aclose()

    async def _show(self) -> dict[str, Any]:
        try:
            return await self._one_object("/api/show", {"model": self.name})
        except NotFound:
            raise ModelMisconfigured(
                f"Ollama at {self._url} has no model {self.name}; `ollama pull {self.name}` gets it, "
                "`ollama list` names those that are there"
            ) from None
        except TransientError as error:
            raise TransientError(str(error), _IS_IT_THERE) from error

    async def _one_object(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        async with self._connection.answer("POST", _NATIVE + path, body) as response:
            async for found in objects(await checked(response)):
                return found
        raise TransientError(f"{self._url}{path} sent nothing", SEE_LOG)

    async def _attempt(
        self, path: str, body: Mapping[str, object], stop: tuple[str, ...], tell: Callable[[str], None]
    ) -> Completion:
        answer, calls, last = ArrivingAnswer(stop), list[ToolCall](), dict[str, Any]()
        logprob = LogprobSum()
        async with self._connection.answer("POST", _NATIVE + path, body) as response:
            async for event in objects(await checked(response)):
                message = event.get("message") or {}
                answer.think(event.get("thinking") or message.get("thinking") or "")
                answer.say(event.get("response") or message.get("content") or "")
                calls += map(_call, message.get("tool_calls") or ())
                logprob.add(event)
                tell(answer.settled)
                last = event if event.get("done") else last
                if answer.said.stopped and not last:
                    break
        if not (answer.said.stopped or last):
            raise TransientError(f"{self._url} broke off its answer", SEE_LOG)
        cut = not answer.said.stopped and last.get("done_reason") == "length"
        whole = answer.whole(calls, cut=cut)
        tell(whole)
        return Completion(
            text=whole,
            finish_reason=FinishReason.LENGTH if cut else FinishReason.STOP,
            prompt_tokens=last.get("prompt_eval_count") or 0,
            completion_tokens=last.get("eval_count") or 0,
            logprob=logprob.value,
            tail_logprobs=logprob.tail,
        )


def _conversation(conversation: Conversation) -> dict[str, object]:
    """Return the fields of a conversation: arguments of calls are objects here, and an output names its tool."""
    messages, tools = wire_messages(conversation, _THINKS_IN), [TOOL] if conversation.tool else None
    for message in messages:
        for call in message.get("tool_calls") or ():
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        if message.pop("tool_call_id", None):
            message["tool_name"] = TOOL["function"]["name"]  # type: ignore[index]  # our own constant
    return {"messages": messages, "tools": tools}


def _call(call: Mapping[str, Any]) -> ToolCall:
    function = call.get("function") or {}
    arguments = function.get("arguments")
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCall(name=str(function.get("name") or ""), arguments=written)
