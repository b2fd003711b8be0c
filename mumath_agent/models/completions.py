"""A model behind an OpenAI-compatible `POST /v1/completions`, vLLM first.

Prompts are raw text and answers always stream, so that cancelling aborts the generation on the server.
Passing troubles (no connection, 429, 5xx, a stream that breaks off) are tried again with growing pauses; a
"no" (400, 401, 404) never is. Starting a server is not done here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import httpx

from mumath_agent.errors import ModelRefused, ModelUnreachable
from mumath_agent.models.retries import Passing, with_retries
from mumath_agent.models.stopping import TextUntilStop
from mumath_agent.models.wire import SEE_LOG, api_url, auth_header, broken, checked, events
from mumath_agent.records import Completion, FinishReason, Sampling

_FINISH = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "length": FinishReason.LENGTH,
}
_CONNECT_S = 5.0
_MAX_STOP = 4
"""Servers refuse more stop strings; the others are found by us alone."""


class _Link(NamedTuple):
    """What belongs to one event loop."""

    http: httpx.AsyncClient
    naming: asyncio.Lock
    """Held while the server is asked for its model."""


class CompletionsModel:
    """See the module; implements `CompletionModel`, and may be used from several event loops.

    `base_url` may end in "/v1" or not. Without `model` the server is asked once and must serve exactly one.
    `read_timeout_s` is the longest silence allowed; there is no limit on a whole completion.

    When a stream breaks off and is tried again, `on_text` gets only what goes past the longest text it was
    given before. With temperature 0 the pieces still add up to the completion; in any case it is the returned
    one that counts. Token counts are the server's, and 0 where it gives none (so when it doesn't know a stop
    string and we cut ourselves).
    """

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        api_key: str | None = None,
        *,
        attempts: int = 5,
        read_timeout_s: float = 600.0,
    ) -> None:
        self._url = api_url(base_url)
        self._model = model
        self._headers = auth_header((api_key or "").strip())
        self._attempts = attempts
        self._timeout = httpx.Timeout(None, connect=_CONNECT_S, read=read_timeout_s)
        self._links: WeakKeyDictionary[asyncio.AbstractEventLoop, _Link] = WeakKeyDictionary()

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
        async with self._link().naming:
            if self._model is None:
                self._model = await with_retries(self._attempts, self._only_model)

    async def complete(
        self,
        prompt: str,
        *,
        stop: tuple[str, ...],
        max_tokens: int,
        sampling: Sampling,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        """See `CompletionModel.complete`."""
        await self.warm_up()
        body = {
            "model": self._model,
            "prompt": prompt,
            "max_tokens": max_tokens,
            "stop": stop[:_MAX_STOP] or None,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        tell = _told_once(on_text)
        return await with_retries(self._attempts, self._attempt, body, stop, tell)

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
        if link := self._links.pop(asyncio.get_running_loop(), None):
            await link.http.aclose()

    async def _attempt(
        self, body: dict[str, Any], stop: tuple[str, ...], tell: Callable[[str], None]
    ) -> Completion:
        text, finish, usage = TextUntilStop(stop), "", dict[str, int]()
        async with self._answer("POST", "/completions", body) as response:
            if response.status_code == 404:
                raise await self._not_found()
            async for event in events(await checked(response)):
                usage = event.get("usage") or usage
                for choice in event.get("choices") or ():
                    text.add(choice.get("text") or "")
                    finish = choice.get("finish_reason") or finish
                tell(text.settled)
                if text.stopped and not finish:  # the server doesn't know this stop string: make it end
                    break
        if not text.stopped and finish not in _FINISH:  # "abort", or none at all: the server was stopped
            raise Passing(f"{self._url} broke off its answer (finish_reason {finish or 'missing'})", SEE_LOG)
        tell(text.text)
        return Completion(
            text=text.text,
            finish_reason=FinishReason.STOP if text.stopped else _FINISH[finish],
            prompt_tokens=usage.get("prompt_tokens") or 0,
            completion_tokens=usage.get("completion_tokens") or 0,
        )

    async def _only_model(self) -> str:
        names = await self._served_models()
        if len(names) == 1:
            return names[0]
        served = ", ".join(map(repr, names)) or "none"
        raise ModelRefused(f"{self._url} serves several models or none ({served}); say which to use")

    async def _served_models(self) -> list[str]:
        async with self._answer("GET", "/models") as response:
            await (await checked(response)).aread()
            try:
                return [str(model["id"]) for model in response.json()["data"]]
            except (ValueError, LookupError, TypeError):
                raise ModelRefused(f"{self._url}/models lists no models; say which to use") from None

    async def _json(self, path: str) -> dict[str, Any]:
        """What the server has at `path`; empty where it has nothing of the kind."""
        try:
            async with self._answer("GET", path) as response:
                await response.aread()
                value = response.json() if response.is_success else {}
        except (Passing, ModelUnreachable, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    async def _not_found(self) -> ModelRefused:
        """What is wrong when there is no such path or no such model."""
        try:
            names = await self._served_models()
        except (Passing, ModelRefused):
            return ModelRefused(f"{self._url} knows no /completions or no model {self._model!r}")
        if self._model in names:
            return ModelRefused(f"{self._url} has no /completions; a server for text completions is needed")
        served = ", ".join(map(repr, names))
        return ModelRefused(f"{self._url} serves no model {self._model!r}; it serves {served}")

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> AsyncIterator[httpx.Response]:
        try:
            async with self._link().http.stream(method, self._url + path, json=body) as response:
                yield response
        except httpx.RequestError as error:
            raise broken(error, self._url) from error

    def _link(self) -> _Link:
        loop = asyncio.get_running_loop()
        if loop not in self._links:
            limits = httpx.Limits(max_connections=None)
            http = httpx.AsyncClient(headers=self._headers, timeout=self._timeout, limits=limits)
            self._links[loop] = _Link(http, asyncio.Lock())
        return self._links[loop]


def _told_once(on_text: Callable[[str], None] | None) -> Callable[[str], None]:
    """A function that takes the text so far and tells `on_text` what is beyond the longest so far."""
    told = 0

    def tell(so_far: str) -> None:
        nonlocal told
        if on_text and len(so_far) > told:
            news, told = so_far[told:], len(so_far)
            on_text(news)

    return tell
