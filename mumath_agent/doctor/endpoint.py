"""One OpenAI-compatible server, asked plainly: each request once, and the answer as it came.

The models of `mumath_agent.models` hide what a server does wrong, as they should: they try again, and cut what a server
didn't. The doctor has to see it. Paths are below "/v1"; "/../metrics" is one of vLLM's beside it.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from mumath_agent.errors import ModelUnreachable
from mumath_agent.models.http.connection import Connection
from mumath_agent.models.http.retries import TransientError

_MESSAGE_CHARS = 300


class Answer(NamedTuple):
    """What a server said, whatever its status."""

    status: int
    body: Any
    """The JSON value; text where it is none."""

    @property
    def is_missing(self) -> bool:
        """Whether the server has no such endpoint."""
        return self.status in (404, 405, 501)

    @property
    def message(self) -> str:
        """On one short line."""
        return " ".join(str(self.body).split())[:_MESSAGE_CHARS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A completion as the server gave it, not cut by us."""

    text: str
    prompt_tokens: int | None
    """None where the server doesn't say."""
    cached_tokens: int | None
    """Those of the prompt that it had read before; None where it doesn't say."""


class Endpoint:
    """A server and the connection to it; an async context manager."""

    def __init__(self, base_url: str, api_key: str | None = None) -> None:
        self._connection = Connection(base_url, api_key)
        self.url = self._connection.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._connection.aclose()

    async def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer:
        """One request.

        Raises:
            ModelUnreachable: nothing answers.
        """
        async with _once(), self._connection.answer(method, path, body) as response:
            await response.aread()
        try:
            return Answer(response.status_code, response.json())
        except ValueError:
            return Answer(response.status_code, response.text)

    async def stream(self, path: str, body: Mapping[str, object]) -> AsyncGenerator[dict[str, Any], None]:
        """The events of a completion, of text or chat; whoever stops listening closes the connection.

        Raises:
            ModelUnreachable: nothing answers, or not to the end.
            ModelRefused: it says no.
        """
        streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
        async with _once(), self._connection.stream(path, streamed) as events:
            async for event in events:
                yield event

    async def write(self, path: str, body: Mapping[str, object]) -> Written:
        """A whole completion."""
        text, usage = "", dict[str, Any]()
        async with aclosing(self.stream(path, body)) as events:
            async for event in events:
                usage = event.get("usage") or usage
                for choice in event.get("choices") or ():
                    text += choice.get("text") or (choice.get("delta") or {}).get("content") or ""
        details = usage.get("prompt_tokens_details") or {}
        return Written(
            text=text, prompt_tokens=usage.get("prompt_tokens"), cached_tokens=details.get("cached_tokens")
        )

    async def metric(self, name: str) -> float | None:
        """The sum of a Prometheus metric over all engines; None where the server has none of this name."""
        answer = await self.ask("GET", "/../metrics")
        lines = str(answer.body).splitlines() if answer.status == 200 else []
        samples = (line for line in lines if line.startswith((f"{name} ", f"{name}{{")))
        values = [float(sample.rsplit(" ", 1)[1]) for sample in samples]
        return sum(values) if values else None


@asynccontextmanager
async def _once() -> AsyncIterator[None]:
    """No second try: a trouble that may pass is one all the same."""
    try:
        yield
    except TransientError as trouble:
        raise ModelUnreachable(f"{trouble}; {trouble.next_move}") from trouble
