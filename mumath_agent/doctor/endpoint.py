"""Talk to one OpenAI-compatible server plainly: each request is sent once, and the answer returned as it came.

The models of `mumath_agent.models` rightly hide a server's faults: they retry, and cut what the server should have cut.
The doctor has to see them. Paths are relative to "/v1"; "/../metrics" is vLLM's, beside it.
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


class Reply(NamedTuple):
    """A server's response, whatever its status."""

    status: int
    body: Any
    """The JSON value, or the text if it isn't JSON."""

    @property
    def is_missing(self) -> bool:
        """Tell whether the server lacks this endpoint."""
        return self.status in (404, 405, 501)

    @property
    def message(self) -> str:
        """The body on one short line."""
        return " ".join(str(self.body).split())[:_MESSAGE_CHARS]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCompletion:
    """A completion as the server sent it, not cut by us."""

    text: str
    prompt_tokens: int | None
    """None where the server doesn't say."""
    cached_tokens: int | None
    """The prompt's tokens that came from the prefix cache; None where the server doesn't say."""


class Endpoint:
    """A server and the connection to it; an async context manager."""

    def __init__(self, base_url: str, api_key: str | None = None) -> None:
        """Prepare the connection; nothing is sent yet."""
        self._connection = Connection(base_url, api_key)
        self.url = self._connection.url

    async def __aenter__(self) -> Self:
        """Return this endpoint."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        await self._connection.aclose()

    async def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Reply:
        """Send one request and return the reply.

        Raises:
            ModelUnreachable: nothing answered.
        """
        async with _once(), self._connection.answer(method, path, body) as response:
            await response.aread()
        try:
            return Reply(response.status_code, response.json())
        except ValueError:
            return Reply(response.status_code, response.text)

    async def stream(self, path: str, body: Mapping[str, object]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events of a text or chat completion; closing the generator closes the connection.

        Raises:
            ModelUnreachable: nothing answered, or the answer broke off.
            ModelRefused: the server refused the request.
        """
        streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
        async with _once(), self._connection.stream(path, streamed) as events:
            async for event in events:
                yield event

    async def write(self, path: str, body: Mapping[str, object]) -> RawCompletion:
        """Return a whole completion."""
        text, usage = "", dict[str, Any]()
        async with aclosing(self.stream(path, body)) as events:
            async for event in events:
                usage = event.get("usage") or usage
                for choice in event.get("choices") or ():
                    text += choice.get("text") or (choice.get("delta") or {}).get("content") or ""
        details = usage.get("prompt_tokens_details") or {}
        return RawCompletion(
            text=text, prompt_tokens=usage.get("prompt_tokens"), cached_tokens=details.get("cached_tokens")
        )

    async def metric(self, name: str) -> float | None:
        """Return the sum of a Prometheus metric over all engines, or None if the server doesn't have it."""
        reply = await self.ask("GET", "/../metrics")
        lines = str(reply.body).splitlines() if reply.status == 200 else []
        samples = (line for line in lines if line.startswith((f"{name} ", f"{name}{{")))
        values = [float(sample.rsplit(" ", 1)[1]) for sample in samples]
        return sum(values) if values else None


@asynccontextmanager
async def _once() -> AsyncIterator[None]:
    """Report a passing failure at once instead of trying again."""
    try:
        yield
    except TransientError as error:
        raise ModelUnreachable(f"{error}; {error.remedy}") from error
