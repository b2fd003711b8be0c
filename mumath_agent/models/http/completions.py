"""A model behind an OpenAI-compatible `POST /v1/completions`, vLLM first.

Prompts are raw text and answers always stream, so that cancelling aborts the generation on the server.
TransientError troubles (no connection, 429, 5xx, a stream that breaks off) are tried again with growing pauses; a
"no" (400, 401, 404) never is. Starting a server is not done here.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from mumath_agent.errors import ModelRefused, ModelUnreachable
from mumath_agent.models import as_text
from mumath_agent.models.context import within_context
from mumath_agent.models.http.connection import READ_TIMEOUT_S, Connection
from mumath_agent.models.http.retries import TransientError, with_retries
from mumath_agent.models.http.wire import SEE_LOG, NotThere, checked
from mumath_agent.models.stopping import TextUntilStop
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import Completion, FinishReason

_FINISH = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "length": FinishReason.LENGTH,
}
_MAX_STOP = 4
"""Servers refuse more stop strings; the others are found by us alone."""


class CompletionsModel:
    """See the module; implements `CompletionModel`, and may be used from several event loops.

    `base_url` may end in "/v1" or not. Without `model` the server is asked once and must serve exactly one.
    `read_timeout_s` is the longest silence allowed; there is no limit on a whole completion. `extra_body` is merged
    into every request, for what a kind of server or model wants besides; a value of None leaves a field out.

    When a stream breaks off and is tried again, `on_text` gets only what goes past the longest text it was
    given before. With temperature 0 the pieces still add up to the completion; in any case it is the returned
    one that counts. Token counts are the server's, and 0 where it gives none (so when it doesn't know a stop
    string and we cut ourselves). A text that doesn't fit the model's context is no error: it ends at the token
    limit, earlier than at `max_tokens`, and empty if there is no room at all.
    """

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        api_key: str | None = None,
        *,
        attempts: int = 5,
        read_timeout_s: float = READ_TIMEOUT_S,
        extra_body: Mapping[str, object] | None = None,
    ) -> None:
        self._connection = Connection(base_url, api_key, read_timeout_s=read_timeout_s)
        self._url = self._connection.url
        self._model = model
        self._attempts = attempts
        self._extra = dict(extra_body or {})
        self._context_tokens: int | None = None
        """Where the server told it together with its model's name."""
        self._naming: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
        """Held while the server is asked for its model."""

    def __repr__(self) -> str:
        return f"CompletionsModel({self._url!r}, model={self._model!r})"

    @property
    def name(self) -> str:
        """The model's name on the server; the server's address as long as the name is not known."""
        return self._model or self._url

    async def warm_up(self) -> None:
        """Find out the model's name where none was given, so that a missing server is noticed early.

        Raises:
            ModelUnreachable, ModelRefused: as `complete`.
        """
        async with self._naming.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if self._model is None:
                self._model = await with_retries(self._attempts, self._only_model)

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """See `CompletionModel.complete`."""
        await self.warm_up()
        body: dict[str, object] = {
            "model": self._model,
            "prompt": as_text(request.prompt, self.name),
            "stop": request.stop[:_MAX_STOP] or None,
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "seed": request.sampling.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        body = {name: value for name, value in (body | self._extra).items() if value is not None}
        tell = _told_once(on_text)

        async def ask(tokens: int) -> Completion:
            asked = body | {"max_tokens": tokens}
            return await with_retries(self._attempts, self._attempt, asked, request.stop, tell)

        max_tokens = request.max_tokens
        if self._context_tokens:  # servers refuse to be asked for as many
            max_tokens = min(max_tokens, self._context_tokens - 1)
        return await within_context(max_tokens, ask)

    async def facts(self) -> dict[str, str]:
        """What the server says of itself, for the record of a run: address, model, context length, engine's version."""
        found = {"url": self._url, "model": self.name}
        for entry in (await self._json("/models")).get("data") or ():
            if isinstance(entry, dict) and entry.get("id") == self.name:
                found |= {
                    key: str(entry[key]) for key in ("root", "max_model_len", "owned_by") if entry.get(key)
                }
        if said := (await self._json("/../version")).get("version"):  # vLLM's, beside "/v1"
            found["version"] = str(said)
        return found

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._connection.aclose()

    async def _attempt(
        self, body: dict[str, Any], stop: tuple[str, ...], tell: Callable[[str], None]
    ) -> Completion:
        text, finish, usage = TextUntilStop(stop), "", dict[str, int]()
        try:
            async with self._connection.stream("/completions", body) as events:
                async for event in events:
                    usage = event.get("usage") or usage
                    for choice in event.get("choices") or ():
                        text.add(choice.get("text") or "")
                        finish = choice.get("finish_reason") or finish
                    tell(text.settled)
                    if text.stopped and not finish:  # the server doesn't know this stop string: make it end
                        break
        except NotThere:
            raise await self._not_found() from None
        if not text.stopped and finish not in _FINISH:  # "abort", or none at all: the server was stopped
            raise TransientError(
                f"{self._url} broke off its answer (finish_reason {finish or 'missing'})", SEE_LOG
            )
        tell(text.text)
        return Completion(
            text=text.text,
            finish_reason=FinishReason.STOP if text.stopped else _FINISH[finish],
            prompt_tokens=usage.get("prompt_tokens") or 0,
            completion_tokens=usage.get("completion_tokens") or 0,
        )

    async def _only_model(self) -> str:
        served = await self._served()
        if len(served) != 1:
            names = ", ".join(map(repr, served)) or "none"
            raise ModelRefused(f"{self._url} serves several models or none ({names}); say which to use")
        ((name, self._context_tokens),) = served.items()
        return name

    async def _served(self) -> dict[str, int | None]:
        """The server's models, each with the length of its context where the server tells it, as vLLM and SGLang do."""
        async with self._connection.answer("GET", "/models") as response:
            await (await checked(response)).aread()
        try:
            return {str(model["id"]): model.get("max_model_len") for model in response.json()["data"]}
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ModelRefused(f"{self._url}/models lists no models; say which to use") from None

    async def _json(self, path: str) -> dict[str, Any]:
        """What the server has at `path`; empty where it has nothing of the kind."""
        try:
            async with self._connection.answer("GET", path) as response:
                await response.aread()
                value = response.json() if response.is_success else {}
        except (TransientError, ModelUnreachable, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    async def _not_found(self) -> ModelRefused:
        """What is wrong when there is no such path or no such model."""
        try:
            names = await self._served()
        except (TransientError, ModelRefused):
            return ModelRefused(f"{self._url} knows no /completions or no model {self._model!r}")
        if self._model in names:
            return ModelRefused(f"{self._url} has no /completions; a server for text completions is needed")
        served = ", ".join(map(repr, names))
        return ModelRefused(f"{self._url} serves no model {self._model!r}; it serves {served}")


def _told_once(on_text: Callable[[str], None] | None) -> Callable[[str], None]:
    """A function that takes the text so far and tells `on_text` what is beyond the longest so far."""
    told = 0

    def tell(so_far: str) -> None:
        nonlocal told
        if on_text and len(so_far) > told:
            news, told = so_far[told:], len(so_far)
            on_text(news)

    return tell
