"""Interpret the responses of an OpenAI-compatible server.

HTTP responses and broken connections become events, a `TransientError` (to be retried) or a `ModelRefused` (not to be
retried). The API key never appears in a message.
"""

import html
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from mumath_agent.errors import InputError, ModelMisconfigured, ModelRefused, ModelUnreachable
from mumath_agent.models.context import too_long
from mumath_agent.models.http.retries import Overloaded, TransientError

API_KEY = "MUMATH_API_KEY"
"""The environment variable that commands read a server's key from."""
_MESSAGE_CHARS = 300
_SNIPPET_CHARS = 80
SEE_LOG = "see the server's log"
_FIELD = re.compile(rb"(data|event|id|retry)?:")
"""The beginning of a line of an event stream; one that begins with a colon is a comment."""
_NO_STREAM_BYTES = 1000
_NO_TOOLS = {
    r"tool choice requires|--tool-call-parser": "start the server with --enable-auto-tool-choice and the "
    "--tool-call-parser of its model, as `mumath-agent serve` does for the models it knows",
    r"tools? param requires --jinja|requires? --jinja": "start llama.cpp's server with --jinja",
    r"does(?:n't| not) support (?:tools|tool|function)": "choose a model that was trained on tool calls",
}
"""How servers say that they take no tools, and what helps."""
_HTML = re.compile(r"<(?:!doctype\s+html|html|head|title|body|h1|p)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title\b[^>]*>([^<]*)</title", re.IGNORECASE)
_TITLE_CHARS = 60
_CHECK_ADDRESS = "check the server's address (--base-url)"
_NO_SERVER = "is a server running there? `mumath-agent serve MODEL` starts one"


class NotFound(ModelMisconfigured):
    """The path or the model doesn't exist; servers answer both with 404."""


class KeyRefused(ModelMisconfigured):
    """The server wants an API key, or another one."""


class NoToolCalls(ModelMisconfigured):
    """The server, or its model, takes no tools."""


class NotAnApi(ModelRefused):
    """What answered doesn't speak OpenAI's protocol: a website, say."""


class NoSuchPage(NotAnApi):
    """A website answered that has nothing at this path; a server's own 404 may look like that, too."""


def api_url(base_url: str) -> str:
    """Return `base_url` ending in "/v1", without a slash after it.

    Raises:
        InputError: it isn't an http address, or has a password in it.
    """
    base_url = base_url.strip()
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise InputError(f"base_url {base_url!r} isn't an address: {error}") from None
    if url.userinfo:  # messages and records show the address
        raise InputError("base_url contains a user name or password; pass the API key as api_key instead")
    if url.scheme not in ("http", "https") or not url.host:
        raise InputError(f"base_url {base_url!r} isn't an http address; write e.g. http://127.0.0.1:8000/v1")
    return base_url.rstrip("/").removesuffix("/v1") + "/v1"


def auth_header(api_key: str) -> dict[str, str]:
    """Return the header with the key; no header for an empty key.

    Raises:
        InputError: the key can't be sent.
    """
    if not (api_key.isascii() and api_key.isprintable()):
        raise InputError(
            "api_key can't be sent: it contains a character that isn't allowed in an HTTP header"
        )
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


async def checked(response: httpx.Response) -> httpx.Response:
    """Return the response if it was successful.

    Raises:
        TransientError: the server is busy (`Overloaded`) or failed.
        ModelRefused: the server refused the request; `TooLong` if the text doesn't fit, `NotFound` for a 404,
            `KeyRefused` for a 401 or 403, `NoToolCalls` if it takes no tools, `NotAnApi` if a web page says so.
    """
    if response.is_success:
        return response
    await response.aread()
    error, page = _error(response), _web_page(response.text, response.request)
    message = f"{response.request.url} answered {response.status_code}"
    message += f" with {page}" if page else f": {_one_line(error, response.request)}"
    see = f"{SEE_LOG}, and {_CHECK_ADDRESS}" if page else SEE_LOG
    retry_after = response.headers.get("retry-after")
    if response.status_code == 429 or (response.status_code == 503 and retry_after):
        raise Overloaded(message, "send fewer requests at once or wait", _seconds(retry_after or ""))
    if no_tools := without_tools(error, message):
        raise no_tools
    if response.status_code == 408 or response.status_code >= 500:
        raise TransientError(message, see)
    if page:
        key = f" and {API_KEY}" if response.status_code in (401, 403) else ""
        raise (NoSuchPage if response.status_code == 404 else NotAnApi)(f"{message}; {_CHECK_ADDRESS}{key}")
    if response.status_code in (400, 413, 422) and (refused := too_long(error, message)):
        raise refused
    if response.status_code == 404:
        raise NotFound(f"{message}; check --base-url and --model")
    if response.status_code in (401, 403):
        raise KeyRefused(f"{message}; set {API_KEY} to the server's key")
    raise ModelRefused(message)


def without_tools(error: object, message: str) -> NoToolCalls | None:
    """Return the error that names the remedy, if a server refused a request because it has tools."""
    text = str(error)
    remedy = next(
        (remedy for sign, remedy in _NO_TOOLS.items() if re.search(sign, text, re.IGNORECASE)), None
    )
    return NoToolCalls(f"{message}; {remedy}, or use --dialect chat") if remedy else None


def not_an_api(response: httpx.Response, content: bytes) -> NotAnApi:
    """Return the error that a successful response means which isn't what OpenAI's protocol says."""
    request = response.request
    text = content.decode("utf-8", "replace")
    sent = _web_page(text, request) or _one_line(text, request, _SNIPPET_CHARS)
    return NotAnApi(
        f"{request.url} isn't an OpenAI-compatible API: it answered {request.method} with {sent}; {_CHECK_ADDRESS}"
    )


def _web_page(text: str, request: httpx.Request) -> str:
    """Return "a web page" and its title, if a response's text is one; else nothing."""
    begins = text[:_NO_STREAM_BYTES].lstrip()
    if not (begins.startswith("<") and _HTML.search(begins)):
        return ""
    title = _TITLE.search(text)
    named = html.unescape(title[1]).strip() if title else ""
    return f'a web page, "{_one_line(named, request, _TITLE_CHARS)}"' if named else "a web page"


async def events(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the JSON objects of an event stream, up to its "[DONE]" or its end.

    Raises:
        TransientError: the server reported an error within the stream, or sent something that isn't a JSON object.
        TooLong: the reported error is that the text doesn't fit.
        NotAnApi: what was sent isn't an event stream.
    """
    other, is_stream = b"", False
    async for line in _lines(response):
        is_stream = is_stream or _FIELD.match(line) is not None
        if not is_stream:
            other += line + b"\n"
            if len(other) > _NO_STREAM_BYTES:
                break
        if not line.startswith(b"data:"):
            continue
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return
        yield _object(data, response)
    if other.strip() and not is_stream:
        raise not_an_api(response, other)


async def objects(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the JSON objects of a stream that has one on each line, as Ollama's own API does.

    Raises:
        TransientError, TooLong: as `events`.
    """
    async for line in _lines(response):
        if line.strip():
            yield _object(line, response)


def _object(data: bytes, response: httpx.Response) -> dict[str, Any]:
    url = response.request.url
    try:
        event = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise TransientError(f"{url} sent a broken stream", SEE_LOG)
    if error := event.get("error"):
        message = f"{url} failed while answering: {_one_line(error, response.request)}"
        raise too_long(error, message) or TransientError(message, SEE_LOG)
    return event


def broken(error: httpx.RequestError, base_url: str) -> TransientError | ModelUnreachable:
    """Return the error that a failed connection means."""
    limits = error.request.extensions.get("timeout", {})
    if isinstance(error, httpx.ReadTimeout):  # a retry would wait as long again
        waited = f"{base_url} took the request, but sent nothing for {limits.get('read', 0):g} s; {SEE_LOG}"
        named = "; with --model and --dialect it isn't asked what it serves"
        return ModelUnreachable(waited + (named if error.request.method == "GET" else ""))
    if isinstance(error, httpx.ConnectTimeout) and error.request.method == "GET":
        return ModelUnreachable(
            f"nothing answers at {base_url} within {limits.get('connect', 0):g} s; {_NO_SERVER}"
        )
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return TransientError(f"nothing answers at {base_url} ({_reason(error)})", _NO_SERVER)
    return TransientError(f"{base_url} broke off its answer ({_reason(error)})", SEE_LOG)


def _reason(error: httpx.RequestError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "timed out"
    system_errors = (e for e in _causes(error) if isinstance(e, OSError) and e.strerror)
    first = next(system_errors, None)
    if isinstance(first, ConnectionRefusedError):  # asyncio's own text repeats the address
        return "connection refused"
    return str((first and first.strerror) or error or type(error).__name__)


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    # httpx's own aiter_lines also splits at U+2028 and the like, which servers send unescaped inside JSON.
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
    yield rest


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):  # one per address of a host name
            yield from error.exceptions
        error = error.__cause__ or error.__context__


def _seconds(retry_after: str) -> float:
    """Return the seconds until the time that a `Retry-After` header gives, as seconds or as a date."""
    if retry_after.isdecimal():
        return float(retry_after)
    with suppress(ValueError):
        return (parsedate_to_datetime(retry_after).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    return 0.0


def _error(response: httpx.Response) -> Any:
    """Return the server's error: the JSON object that describes it, or whatever else it sent."""
    try:
        body = response.json()
    except ValueError:
        return response.text
    return body.get("error", body) if isinstance(body, dict) else body


def _one_line(body: Any, request: httpx.Request, most_chars: int = _MESSAGE_CHARS) -> str:
    """Return the server's message on one short line."""
    for key in ("error", "message", "detail"):
        body = body.get(key, body) if isinstance(body, dict) else body
    line = " ".join(str(body).split()) or "no message"
    if api_key := request.headers.get("authorization", "").removeprefix("Bearer "):
        line = line.replace(api_key, "***")
    return line if len(line) <= most_chars else f"{line[: most_chars - 1]}…"
