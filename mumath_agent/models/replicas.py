"""Make several servers of one model look like one model.

A request goes to the server that wrote the beginning of its prompt and has it in its prefix cache, unless another is
far less busy; a new prompt goes to the server with the fewest requests in flight. A server that doesn't answer is left
alone for a while, and its request goes to another one; only if no server answers does the caller get the error. No
program runs twice because of that: nothing has used a completion that is requested again.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mumath_agent.errors import InputError, ModelMisconfigured, ModelUnreachable
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.models.http.wire import API_KEY
from mumath_agent.protocols import CompletionModel, CompletionRequest, OnText, Prompt
from mumath_agent.records import Completion

REST_S = 30.0
"""How long a server that didn't answer is only a last resort."""
_REMEMBERED = 4096
"""How many texts are remembered with their server; an attempt has one at a time."""
_AHEAD = 2
"""A prompt goes back to its server while that has at most twice the least busy server's requests, plus these."""


def completions_model_at(
    base_urls: Sequence[str],
    name: str | None,
    *,
    api_key: str | None = None,
    extra_body: Mapping[str, object] | None = None,
) -> CompletionModel:
    """Return the raw-text model that these servers serve; `api_key` defaults to the environment's.

    Raises:
        InputError: no address is given, or one can't be used.
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
    """A `CompletionModel` that spreads requests over several servers of the same model."""

    def __init__(self, models: Sequence[CompletionModel]) -> None:
        """Take one client per server.

        Raises:
            InputError: there are none.
        """
        if not models:
            raise InputError("no server address is given")
        self._servers = [_Server(model) for model in models]
        self._wrote: dict[str, _Server] = {}
        """The server that wrote each text, the newest last."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self._servers[0].model.name

    @property
    def models(self) -> tuple[CompletionModel, ...]:
        """The clients, one per server."""
        return tuple(server.model for server in self._servers)

    async def warm_up(self) -> None:
        """Reach every server, so that a wrong address is noticed early.

        Raises:
            ModelUnreachable, ModelRefused: as `complete`; also if the servers serve models of different names.
        """
        for model in self.models:
            await model.warm_up()
        names = sorted({model.name for model in self.models})
        if len(names) > 1:
            raise ModelMisconfigured(
                f"the servers serve different models ({', '.join(names)}); choose one with --model"
            )

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Continue the prompt on one of the servers; see `CompletionModel.complete`."""
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
        """Close all clients."""
        for model in self.models:
            await model.aclose()

    def _home(self, prompt: Prompt) -> "_Server | None":
        """Return the server that wrote the longest beginning of `prompt`, if any did."""
        if not isinstance(prompt, str):
            return None
        known = max(filter(prompt.startswith, self._wrote), key=len, default=None)
        return None if known is None else self._wrote.pop(known)  # its longer continuation takes its place

    def _remember(self, prompt: Prompt, completion: Completion, server: "_Server") -> None:
        if isinstance(prompt, str):
            self._wrote[prompt + completion.text.rstrip()] = (
                server  # the dialect decides about white space at the end
            )
        if len(self._wrote) > _REMEMBERED:
            del self._wrote[next(iter(self._wrote))]


def _choice(servers: Sequence[_Server], home: _Server | None) -> _Server:
    """Return the server to ask: home, unless it rests or is far busier than the least busy one."""
    least = min(servers, key=_load)
    if home is None or home not in servers:
        return least
    return home if _load(home) <= (_load(least)[0], _AHEAD + 2 * least.in_flight) else least


def _load(server: _Server) -> tuple[bool, int]:
    return server.rests_until > time.monotonic(), server.in_flight
