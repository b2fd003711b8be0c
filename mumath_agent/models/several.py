"""Several servers of one model, as one model.

Each completion goes to the server with the fewest in flight. One that doesn't answer is left alone for a while and its
completion is asked of another; only if none answers is that the caller's trouble. Which text is asked for is not
decided here, and nothing is executed twice: a completion asked again has not been seen by anybody.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mumath_agent.errors import InputError, ModelRefused, ModelUnreachable
from mumath_agent.models import CompletionModel
from mumath_agent.models.completions import CompletionsModel
from mumath_agent.records import Completion, Sampling

API_KEY = "MUMATH_API_KEY"
"""The environment variable that commands read a server's key from."""
REST_S = 30.0
"""How long a server that didn't answer is asked only if no other is left."""


def served_at(base_urls: Sequence[str], name: str | None) -> CompletionModel:
    """The model that these servers serve, for a command: the API key comes from the environment.

    Raises:
        InputError: no address is given, or one is none.
    """
    api_key = os.environ.get(API_KEY)
    models = [CompletionsModel(url, model=name, api_key=api_key) for url in base_urls]
    return models[0] if len(models) == 1 else SeveralServers(models)


@dataclass(slots=True)
class _Server:
    model: CompletionModel
    in_flight: int = 0
    rests_until: float = 0.0


class SeveralServers:
    """See the module; implements `CompletionModel`."""

    def __init__(self, models: Sequence[CompletionModel]) -> None:
        if not models:
            raise InputError("no server is named")
        self._servers = [_Server(model) for model in models]

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
        untried = list(self._servers)
        while True:
            server = min(untried, key=_load)
            untried.remove(server)
            server.in_flight += 1
            try:
                return await server.model.complete(
                    prompt, stop=stop, max_tokens=max_tokens, sampling=sampling, on_text=on_text
                )
            except ModelUnreachable:
                server.rests_until = time.monotonic() + REST_S
                if not untried:
                    raise
            finally:
                server.in_flight -= 1

    async def aclose(self) -> None:
        for model in self.models:
            await model.aclose()


def _load(server: _Server) -> tuple[bool, int]:
    return server.rests_until > time.monotonic(), server.in_flight
