"""Let a person in who has the key, with a cookie, and put the security headers on every response.

A browser can't be told to send `Authorization`. So whoever gives the key once, in a form, gets a cookie, and a request
with that cookie goes on as if it had the key.
"""

import secrets
from collections import OrderedDict
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mumath_agent.front.security import Access
from mumath_agent.front.web.files import HEADERS, html

COOKIE = "mumath_agent"
ENTER = "/enter"
_MOST = 1000
"""Cookies that are known at a time; the oldest are forgotten."""


class Entrance:
    """The cookies of a server."""

    public = (ENTER, "/static/enter.js", "/static/page.css", "/static/transcript.css")
    """What is seen without a key."""

    def __init__(self, access: Access) -> None:
        """Begin without cookies."""
        self._access = access
        self._keys: OrderedDict[str, str] = OrderedDict()

    def refuse(self, status: int, message: str, headers: Mapping[str, str]) -> Response:
        """Return the response of a refusal: the form where the key is missing."""
        if status == 401:
            return html("enter.html", 401)
        return JSONResponse({"error": message}, status, dict(headers))

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return `app` with this entrance in front of it."""

        async def entered(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            await app(self._with_key(scope), receive, _with_headers(send))

        return entered

    async def enter(self, request: Request) -> Response:
        """Give a cookie to whoever sends the key."""
        try:
            key = str((await request.json())["key"])
        except (ValueError, LookupError, TypeError, RecursionError):
            key = ""
        if self._access.owner(f"Bearer {key}") is None:
            return JSONResponse({"error": "this isn't the key"}, 401)
        token = secrets.token_urlsafe(24)
        self._keys[token] = key
        while len(self._keys) > _MOST:
            self._keys.popitem(last=False)
        response = JSONResponse({})
        response.set_cookie(COOKIE, token, max_age=30 * 86400, httponly=True, samesite="strict", path="/")
        return response

    def _with_key(self, scope: Scope) -> Scope:
        key = self._keys.get(HTTPConnection(scope).cookies.get(COOKIE, ""))
        if key is None:
            return scope
        return {**scope, "headers": [*scope["headers"], (b"authorization", f"Bearer {key}".encode())]}


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
