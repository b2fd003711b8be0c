"""Connect to a server: one address, connections that are reused, no more requests at once than the server can take.

`completions.py` and `chat_completions.py` say what is requested, `wire.py` what the responses mean.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import httpx

from mumath_agent.models.http.congestion import CongestionLimit
from mumath_agent.models.http.retries import tell_waiting
from mumath_agent.models.http.wire import api_url, auth_header, broken, checked, events

READ_TIMEOUT_S = 300.0
"""The longest silence; shorter than an attempt may last, so that a server that hangs isn't waited for to the end."""
LIST_TIMEOUT_S = 3.0
"""The longest silence after a request that takes no thought, such as for the list of models, and for its connection:
with the start of a command no more than 5 s."""
_CONNECT_S = 5.0
_SILENT_S = 6.0
"""After so long a silence the user is told."""
_IDLE_S = 4.0
"""Shorter than the 5 s after which uvicorn (vLLM) closes idle connections: one that is closing must not be used."""


class _LoopClient(NamedTuple):
    """The HTTP client and the limit of one event loop."""

    http: httpx.AsyncClient
    congestion: CongestionLimit


class Connection:
    """A connection to a server; it can be used from several event loops."""

    def __init__(
        self, base_url: str, api_key: str | None = None, *, read_timeout_s: float = READ_TIMEOUT_S
    ) -> None:
        """Prepare the connection; nothing is sent yet.

        Raises:
            InputError: the address or the key can't be used.
        """
        self.url = api_url(base_url)
        """The address, ending in "/v1"."""
        self._headers = auth_header((api_key or "").strip())
        self._timeout = httpx.Timeout(None, connect=_CONNECT_S, read=read_timeout_s)
        self._list_timeout = httpx.Timeout(
            None, connect=LIST_TIMEOUT_S, read=min(read_timeout_s, LIST_TIMEOUT_S)
        )
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopClient] = WeakKeyDictionary()

    @asynccontextmanager
    async def stream(
        self, path: str, body: Mapping[str, object]
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Send `body` and yield the events of the response; leaving the block early ends the generation on the server.

        Raises:
            TransientError, ModelUnreachable, ModelRefused: as `wire.checked`, `wire.events` and `wire.broken` say.
        """
        async with self._client().congestion.slot(), self.answer("POST", path, body) as response:
            yield events(await checked(response))

    @asynccontextmanager
    async def answer(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """Send a request and yield the response, whatever its status.

        Raises:
            TransientError, ModelUnreachable: there was none, as `wire.broken` says.
        """
        timeout = self._list_timeout if body is None else self._timeout
        said = f"{self.url} hasn't answered for {_SILENT_S:g} s"
        silence = asyncio.get_running_loop().call_later(_SILENT_S, tell_waiting, said)
        try:
            sent = self._client().http.stream(method, self.url + path, json=body, timeout=timeout)
            async with sent as response:
                silence.cancel()
                yield response
        except httpx.RequestError as error:
            raise broken(error, self.url) from error
        finally:
            silence.cancel()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        if client := self._clients.pop(asyncio.get_running_loop(), None):
            await client.http.aclose()

    def _client(self) -> _LoopClient:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            http = httpx.AsyncClient(
                headers=self._headers,
                timeout=self._timeout,
                limits=httpx.Limits(max_connections=None, keepalive_expiry=_IDLE_S),
                verify=self.url.startswith("https:"),  # reading the certificates would take 50 ms
            )
            self._clients[loop] = _LoopClient(http, CongestionLimit())
        return self._clients[loop]
