"""Continue raw text with an OpenAI-compatible `POST /v1/completions`, vLLM first.

Answers always stream, so that cancelling a request ends the generation on the server. Transient failures (no
connection, 429, 5xx, a stream that breaks off) are retried with growing pauses; refusals (400, 401, 404) are not.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

from mumath_agent.errors import ModelMisconfigured, ModelRefused, ModelUnreachable
from mumath_agent.models import as_text
from mumath_agent.models.context import within_context
from mumath_agent.models.http.connection import READ_TIMEOUT_S, Connection
from mumath_agent.models.http.retries import TransientError, with_retries
from mumath_agent.models.http.wire import SEE_LOG, KeyRefused, NoSuchPage, NotFound, checked, not_an_api
from mumath_agent.models.logprobs import LogprobSum, TokenList
from mumath_agent.models.stopping import TextUntilStop, new_text_only
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import Completion, FinishReason

_FINISH = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "length": FinishReason.LENGTH,
}
_NAMED = 10
_MAX_STOP = 4
"""Servers refuse more stop strings; `TextUntilStop` finds the others."""


class CompletionsModel:
    """A `CompletionModel` behind `/v1/completions`; it can be used from several event loops.

    When a stream breaks off and is retried, `on_text` gets only what goes beyond the longest text it was given before.
    With temperature 0 the pieces still add up to the completion; in any case the returned completion counts. Token
    counts are the server's, and 0 where it gives none (as when it ignores a stop string and we stop reading). A text
    that doesn't fit the model's context isn't an error: it ends at the token limit, before `max_tokens`, and is empty
    if there is no room at all.
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
        """Prepare a client; nothing is sent yet.

        Args:
            base_url: the server's address, with or without "/v1".
            model: the model's name on the server; None asks the server, which must then serve exactly one.
            api_key: sent with every request, if there is one.
            attempts: how often a request is tried while it fails with a transient error.
            read_timeout_s: the longest silence; a whole completion may take any time.
            extra_body: fields that a server or model needs besides; a value of None leaves a field out.

        Raises:
            InputError: the address or the key can't be used.
        """
        self._connection = Connection(base_url, api_key, read_timeout_s=read_timeout_s)
        self._url = self._connection.url
        self._model = model
        self._attempts = attempts
        self._extra = dict(extra_body or {})
        self._context_tokens: int | None = None
        """Known if the server listed it together with the model's name."""
        self._naming: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
        """One lock per event loop, held while the server is asked for its model."""

    def __repr__(self) -> str:
        """Show the address and the model's name."""
        return f"CompletionsModel({self._url!r}, model={self._model!r})"

    @property
    def name(self) -> str:
        """The model's name on the server; the server's address until the name is known."""
        return self._model or self._url

    async def warm_up(self) -> None:
        """Ask the server for its model's name if none was given, so that a missing server is noticed early.

        Raises:
            ModelUnreachable, ModelRefused: as `complete`.
        """
        async with self._naming.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if self._model is None:
                self._model = await with_retries(self._attempts, self._only_model)

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Continue the prompt; see `CompletionModel.complete`."""
        await self.warm_up()
        body: dict[str, object] = {
            "model": self._model,
            "prompt": request.prompt_ids or as_text(request.prompt, self.name),
            "stop": request.stop[:_MAX_STOP] or None,
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "seed": request.sampling.seed,
            "logprobs": 1 if request.logprobs or request.tokens else None,
            "return_token_ids": True if request.tokens else None,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        body = {name: value for name, value in (body | self._extra).items() if value is not None}
        tell = new_text_only(on_text)

        async def ask(tokens: int) -> Completion:
            asked = body | {"max_tokens": tokens}
            return await with_retries(self._attempts, self._attempt, asked, request.stop, tell)

        max_tokens = request.max_tokens
        if self._context_tokens:  # servers refuse a larger number
            max_tokens = min(max_tokens, self._context_tokens - 1)
        return await within_context(max_tokens, ask)

    async def facts(self) -> dict[str, str]:
        """Return the server's address, model, context and version, for the record of a run."""
        found = {"url": self._url, "model": self.name}
        with suppress(ModelRefused, ModelUnreachable):
            entry = await self.entry()
            found |= {key: str(entry[key]) for key in ("root", "max_model_len", "owned_by") if entry.get(key)}
        if version := (await self._json("/../version")).get("version"):  # vLLM's, beside "/v1"
            found["version"] = str(version)
        return found

    async def entry(self) -> dict[str, Any]:
        """Return what the server lists about the model, empty where it doesn't list it.

        Raises:
            ModelUnreachable, ModelRefused: nothing answers, or the key is refused.
        """
        try:
            return (await with_retries(self._attempts, self._served)).get(self.name, {})
        except KeyRefused:
            raise
        except ModelRefused:  # some servers don't list models
            return {}

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._connection.aclose()

    async def _attempt(
        self, body: dict[str, Any], stop: tuple[str, ...], tell: Callable[[str], None]
    ) -> Completion:
        text, finish, usage, logprob, tokens = (
            TextUntilStop(stop),
            "",
            dict[str, int](),
            LogprobSum(),
            TokenList(),
        )
        try:
            async with self._connection.stream("/completions", body) as events:
                async for event in events:
                    usage = event.get("usage") or usage
                    for choice in event.get("choices") or ():
                        text.add(choice.get("text") or "")
                        logprob.add(choice)
                        tokens.add(choice)
                        finish = choice.get("finish_reason") or finish
                    tell(text.settled)
                    if text.stopped and not finish:  # the server ignored this stop string: end the request
                        break
        except (NotFound, NoSuchPage) as error:
            raise await self._not_found(error) from None
        if not text.stopped and finish not in _FINISH:  # "abort" or nothing: the server was stopped
            raise TransientError(
                f"{self._url} broke off its answer (finish_reason {finish or 'missing'})", SEE_LOG
            )
        tell(text.text)
        return Completion(
            text=text.text,
            finish_reason=FinishReason.STOP if text.stopped else _FINISH[finish],
            prompt_tokens=usage.get("prompt_tokens") or 0,
            completion_tokens=usage.get("completion_tokens") or 0,
            logprob=logprob.value if body.get("logprobs") else None,
            tail_logprobs=logprob.tail if body.get("logprobs") else None,
            token_ids=tokens.ids if body.get("return_token_ids") else None,
            token_logprobs=tokens.logprobs if body.get("return_token_ids") else None,
        )

    async def _only_model(self) -> str:
        served = await self._served()
        if not served:
            raise ModelMisconfigured(f"{self._url} lists no model; name the one to use with --model")
        if len(served) > 1:
            raise ModelMisconfigured(
                f"{self._url} serves {len(served)} models ({_names(served)}); choose one with --model"
            )
        ((name, entry),) = served.items()
        self._context_tokens = entry.get("max_model_len")
        return name

    async def _served(self) -> dict[str, dict[str, Any]]:
        """Return what the server lists about its models, by their names."""
        async with self._connection.answer("GET", "/models") as response:
            content = await (await checked(response)).aread()
        try:
            return {str(model["id"]): dict(model) for model in response.json()["data"]}
        except (ValueError, LookupError, TypeError):
            raise not_an_api(response, content) from None

    async def _json(self, path: str) -> dict[str, Any]:
        """Return the JSON object at `path`, empty if the server doesn't have one."""
        try:
            async with self._connection.answer("GET", path) as response:
                await response.aread()
                value = response.json() if response.is_success else {}
        except (TransientError, ModelUnreachable, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    async def _not_found(self, error: NotFound | NoSuchPage) -> ModelRefused:
        """Find out whether the path or the model is missing, and return the error that says so."""
        try:
            names = await self._served()
        except (TransientError, ModelUnreachable, ModelRefused):
            if isinstance(error, NoSuchPage):
                return error
            return ModelMisconfigured(
                f"{self._url} has no /completions or doesn't serve {self._model!r}; check --base-url and --model"
            )
        if self._model in names:
            return ModelMisconfigured(
                f"{self._url} has no /completions; use a server for raw text, or --dialect chat"
            )
        return ModelMisconfigured(
            f"{self._url} doesn't serve {self._model!r}, but {_names(names)}; choose with --model"
        )


def _names(served: Collection[str]) -> str:
    """Return the models' names in one short line; some servers have hundreds."""
    more = len(served) - _NAMED
    return ", ".join(islice(served, _NAMED)) + (f" and {more} more" if more > 0 else "")
