"""The way to a server: one address, connections that are used again, no more requests at once than it bears.

Requests are made here and failed ones named; what is asked and what the answers mean is said by `completions.py`,
`chat_completions.py` and `wire.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import httpx

from mumath_agent.models.http.congestion import Pressure
from mumath_agent.models.http.wire import api_url, auth_header, broken, checked, events

READ_TIMEOUT_S = 300.0
"""The longest silence. Less than an attempt may last, so that a server that hangs is not taken for a slow thinker."""
_CONNECT_S = 5.0
_IDLE_S = 4.0
"""Servers (uvicorn, so vLLM) close idle connections after 5 s; one that is just being closed must not be used."""


class _Link(NamedTuple):
    """What belongs to one event loop."""

    http: httpx.AsyncClient
    pressure: Pressure


class Connection:
    """See the module; may be used from several event loops. `base_url` may end in "/v1" or not."""

    def __init__(
        self, base_url: str, api_key: str | None = None, *, read_timeout_s: float = READ_TIMEOUT_S
    ) -> None:
        self.url = api_url(base_url)
        """Ends in "/v1"."""
        self._headers = auth_header((api_key or "").strip())
        self._timeout = httpx.Timeout(None, connect=_CONNECT_S, read=read_timeout_s)
        self._links: WeakKeyDictionary[asyncio.AbstractEventLoop, _Link] = WeakKeyDictionary()

    @asynccontextmanager
    async def stream(
        self, path: str, body: Mapping[str, object]
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The events that answer `body`; leaving the block early closes the connection, which ends the generation.

        Raises:
            TransientError, ModelUnreachable, ModelRefused: as `wire.checked`, `wire.events` and `wire.broken` say.
        """
        async with self._link().pressure.place(), self.answer("POST", path, body) as response:
            yield events(await checked(response))

    @asynccontextmanager
    async def answer(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """The response, whatever its status.

        Raises:
            TransientError, ModelUnreachable: there is none, as `wire.broken` says.
        """
        try:
            async with self._link().http.stream(method, self.url + path, json=body) as response:
                yield response
        except httpx.RequestError as error:
            raise broken(error, self.url) from error

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        if link := self._links.pop(asyncio.get_running_loop(), None):
            await link.http.aclose()

    def _link(self) -> _Link:
        loop = asyncio.get_running_loop()
        if loop not in self._links:
            http = httpx.AsyncClient(
                headers=self._headers,
                timeout=self._timeout,
                limits=httpx.Limits(max_connections=None, keepalive_expiry=_IDLE_S),
                verify=self.url.startswith("https:"),  # reading the certificates takes 50 ms
            )
            self._links[loop] = _Link(http, Pressure())
        return self._links[loop]
