"""Guard a server's address: who may reach it, from which page, with which key, and with how large a request.

A page that somebody opens in a browser can send requests to servers of this machine, and with a name of its own that
resolves to 127.0.0.1 (DNS rebinding) it could read the answers. So the Host must be a name of this server, and an
Origin, where a browser sends one, must be this server's or one that was allowed. An address that other machines can
reach needs a key.
"""

import asyncio
import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mumath_agent.errors import InputError

MAX_BODY_BYTES = 4 << 20
BODY_S = 30.0
"""Seconds in which a request must have arrived."""
SEND_S = 60.0
"""Seconds in which a client must take the next piece of an answer."""
_EVERYWHERE = ("", "0.0.0.0", "::")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PREFLIGHT = {
    "access-control-allow-methods": "GET, POST, DELETE, OPTIONS",
    "access-control-allow-headers": "*, authorization",
    "access-control-expose-headers": "*",
    "access-control-max-age": "600",
}

Refuse = Callable[[int, str, Mapping[str, str]], Response]
"""Makes the response of a refusal: status, message, headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may reach a server."""

    host: str = "127.0.0.1"
    """The address it listens at."""
    keys: tuple[str, ...] = ()
    """Of which a client must send one as `Authorization: Bearer KEY`."""
    hosts: tuple[str, ...] = ()
    """More names that clients call it by."""
    origins: tuple[str, ...] = ()
    """Other sites whose pages may use it, e.g. https://chat.example.org."""

    def __post_init__(self) -> None:
        """Refuse an address that anybody could reach.

        Raises:
            InputError: it isn't this machine's own, and there is no key; or a key can't be one.
        """
        if not self.is_local and not self.keys:
            raise InputError(
                f"{self.host} can be reached from other machines: give a key with --api-key, or listen at 127.0.0.1"
            )
        for key in self.keys:
            if not key or not key.isascii() or not key.isprintable() or " " in key:
                raise InputError("a key must have visible ASCII characters only, and at least one")
        for origin in self.origins:
            if urlsplit(origin).scheme not in ("http", "https") or _netloc(origin) != origin.split("//")[1]:
                raise InputError(f"origin {origin} isn't of the form https://host or https://host:port")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the address."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def owner(self, authorization: str) -> str | None:
        """Return a name for whoever sends this header; None if it has no key of ours."""
        if not self.keys:
            return ""
        scheme, _, given = authorization.partition(" ")
        given = given.strip()
        # All are compared, so that the time says nothing.
        fits = [hmac.compare_digest(given.encode(), key.encode()) for key in self.keys]
        if scheme.lower() != "bearer" or not any(fits):
            return None
        return hashlib.sha256(given.encode()).hexdigest()

    def knows_host(self, host: str) -> bool:
        """Tell whether a Host header names this server."""
        name = _name(host)
        if self.host in _EVERYWHERE and name:  # then there is a key, which no page knows
            return True
        return name in (*_LOOPBACK, self.host.lower(), *(one.lower() for one in self.hosts))

    def knows_origin(self, origin: str, host: str) -> bool:
        """Tell whether a page of that origin may use this server."""
        return origin in self.origins or (origin.startswith("http") and _netloc(origin) == host.lower())


class Guard:
    """An ASGI middleware that lets through what `Access` allows; the owner is in `scope["state"]["owner"]`."""

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        *,
        refuse: Refuse | None = None,
        public: tuple[str, ...] = (),
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        """Guard `app`.

        Args:
            app: what is guarded.
            access: who may reach it.
            refuse: makes the responses of refusals; plain text without it.
            public: paths that need no key.
            max_body_bytes: how large a request may be.
        """
        self._app, self._access, self._public = app, access, public
        self._refuse = refuse or _plainly
        self._most = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no WebSocket is served here; the server then closes it
        headers = Headers(scope=scope)
        if (origin := headers.get("origin", "")) in self._access.origins:
            send = _with_origin(send, origin)
        send = _impatient(send)
        refusal = self._refusal(scope, headers)
        if refusal is None:
            body = await self._body(headers, receive)
            if not isinstance(body, Response):
                await self._app(scope, _replayed(body, receive), send)
                return
            refusal = body
        await refusal(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return why a request isn't let through, judged by its head; None if it is."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._access.knows_host(host) or len(headers.getlist("host")) != 1:
            return self._refuse(421, f"this server isn't called {host[:80]!r}", {})
        if origin is not None and not self._access.knows_origin(origin, host):
            return self._refuse(403, f"pages of {origin[:80]!r} may not use this server", {})
        if scope["method"] == "OPTIONS" and origin in self._access.origins:
            return Response(status_code=204, headers=_PREFLIGHT)
        owner = "" if scope["path"] in self._public else self._access.owner(headers.get("authorization", ""))
        if owner is None:
            return self._refuse(401, "a valid key is needed", {"www-authenticate": "Bearer"})
        scope.setdefault("state", {})["owner"] = owner
        return None

    async def _body(self, headers: Headers, receive: Receive) -> "bytes | Response":
        """Return all of a request's body, or the refusal."""
        too_large = self._refuse(
            413, f"the request is larger than {self._most:,} bytes", {"connection": "close"}
        )
        if (
            headers.get("content-length", "0").isdecimal()
            and int(headers.get("content-length", "0")) > self._most
        ):
            return too_large
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                while (message := await receive())["type"] == "http.request":
                    body += message.get("body", b"")
                    if len(body) > self._most:
                        return too_large
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            pass
        return self._refuse(408, "the request didn't arrive in time", {"connection": "close"})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body first, and then what still comes: that the client has gone."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay


def _impatient(send: Send) -> Send:
    """Return a `send` that gives a client up that doesn't read."""

    async def sending(message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await send(message)
        except TimeoutError:
            raise OSError(f"the client has read nothing for {SEND_S:g} s") from None

    return sending


def _with_origin(send: Send, origin: str) -> Send:
    """Return a `send` that tells the browser that pages of this origin may read the answer."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["access-control-allow-origin"] = origin
            headers["vary"] = "Origin"
        await send(message)

    return sending


def _name(host: str) -> str:
    """Return the name in a Host header, without the port; empty if it isn't one."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    return (parts.hostname or "") if _netloc(f"http://{host}") == host.lower() else ""


def _netloc(url: str) -> str:
    """Return host and port of a URL that has nothing else; empty if it has."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    rest = parts.path or parts.query or parts.fragment or parts.username or parts.password
    return "" if rest else parts.netloc.lower()


def _plainly(status: int, message: str, headers: Mapping[str, str]) -> Response:
    return PlainTextResponse(message, status, dict(headers))
