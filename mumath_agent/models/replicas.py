"""Several servers of one model, as one model.

A completion goes to the server that wrote the beginning of its prompt, which need not read it again (prefix caching),
unless another has far less to do; what is new goes to the server with the fewest in flight. One that doesn't answer is
left alone for a while and its completion is asked of another; only if none answers is that the caller's trouble. Which
text is asked for is not decided here, and nothing is executed twice: a completion asked again has not been seen by
anybody.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mumath_agent.errors import InputError, ModelRefused, ModelUnreachable
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.protocols import CompletionModel, CompletionRequest, OnText
from mumath_agent.records import Completion, Prompt

API_KEY = "MUMATH_API_KEY"
"""The environment variable that commands read a server's key from."""
REST_S = 30.0
"""How long a server that didn't answer is asked only if no other is left."""
_REMEMBERED = 4096
"""Texts whose server is known; an attempt has one at a time."""
_AHEAD = 2
"""How many more in flight than the least busy a server may have, and twice as many, and still be gone back to."""


def served_at(
    base_urls: Sequence[str],
    name: str | None,
    *,
    api_key: str | None = None,
    extra_body: Mapping[str, object] | None = None,
) -> CompletionModel:
    """The model that these servers serve; without `api_key` the environment's is used.

    Raises:
        InputError: no address is given, or one is none.
    """
    key = api_key or os.environ.get(API_KEY)
    models = [CompletionsModel(url, model=name, api_key=key, extra_body=extra_body) for url in base_urls]
    return models[0] if len(models) == 1 else ReplicatedModel(models)


@dataclass(slots=True)
class _Server:
    model: CompletionModel
    in_flight: int = 0
    rests_until: float = 0.0


class ReplicatedModel:
    """See the module; implements `CompletionModel`."""

    def __init__(self, models: Sequence[CompletionModel]) -> None:
        if not models:
            raise InputError("no server is named")
        self._servers = [_Server(model) for model in models]
        self._wrote: dict[str, _Server] = {}
        """Who wrote a text, the newest last."""

    @property
    def name(self) -> str:
        return self._servers[0].model.name

    @property
    def models(self) -> tuple[CompletionModel, ...]:
        """One a server."""
        return tuple(server.model for server in self._servers)

    async def warm_up(self) -> None:
        """Reach every server, so that a wrong address is noticed early.

        Raises:
            ModelUnreachable, ModelRefused: as `complete`; also when two of them serve models of different names.
        """
        for model in self.models:
            await model.warm_up()
        names = sorted({model.name for model in self.models})
        if len(names) > 1:
            raise ModelRefused(
                f"the servers serve different models ({', '.join(names)}); name the one you mean"
            )

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """See `CompletionModel.complete`."""
        untried = list(self._servers)
        home = self._home(request.prompt)
        while True:
            server = _choice(untried, home)
            untried.remove(server)
            server.in_flight += 1
            try:
                completion = await server.model.complete(request, on_text)
            except ModelUnreachable:
                server.rests_until = time.monotonic() + REST_S
                if not untried:
                    raise
            else:
                self._remember(request.prompt, completion, server)
                return completion
            finally:
                server.in_flight -= 1

    async def aclose(self) -> None:
        for model in self.models:
            await model.aclose()

    def _home(self, prompt: Prompt) -> "_Server | None":
        """The server that wrote the longest beginning of `prompt`."""
        if not isinstance(prompt, str):
            return None
        known = max(filter(prompt.startswith, self._wrote), key=len, default=None)
        return None if known is None else self._wrote.pop(known)  # it goes on: nobody will ask for it again

    def _remember(self, prompt: Prompt, completion: Completion, server: "_Server") -> None:
        if isinstance(prompt, str):
            self._wrote[prompt + completion.text.rstrip()] = server  # white space at the end is the dialect's
        if len(self._wrote) > _REMEMBERED:
            del self._wrote[next(iter(self._wrote))]


def _choice(servers: Sequence[_Server], home: _Server | None) -> _Server:
    """Where to ask: at home, unless it rests or has far more to do than others."""
    least = min(servers, key=_load)
    if home is None or home not in servers:
        return least
    return home if _load(home) <= (_load(least)[0], _AHEAD + 2 * least.in_flight) else least


def _load(server: _Server) -> tuple[bool, int]:
    return server.rests_until > time.monotonic(), server.in_flight
