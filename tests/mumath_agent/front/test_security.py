"""Who gets through to a server: by its name, the page, the key and the size of the request."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from mumath_agent.errors import InputError
from mumath_agent.front import listening, security
from mumath_agent.front.security import Access, Guard
from tests.mumath_agent.front.servers import served

pytestmark = pytest.mark.anyio

LOCAL, KEYED = Access(), Access(host="0.0.0.0", keys=("first", "second"))
CHAT = Access(origins=("https://chat.example.org",), hosts=("solver.lan",))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the owner and the size of the body."""
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{scope['state']['owner'][:4]}:{len(body)}".encode()})


async def asked(
    access: Access, headers: dict[str, str], method: str = "POST", content: bytes = b""
) -> httpx.Response:
    guarded = Guard(app, access, public=("/health",), max_body_bytes=1000)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(guarded), base_url="http://127.0.0.1:8000"
    ) as client:
        return await client.request(method, "/", headers=headers, content=content)


@pytest.mark.parametrize(
    ("access", "headers", "status"),
    [
        (LOCAL, {}, 200),
        (LOCAL, {"host": "localhost:9"}, 200),
        (LOCAL, {"host": "LOCALHOST"}, 200),
        (LOCAL, {"host": "[::1]:8000"}, 200),
        (LOCAL, {"host": "evil.example"}, 421),
        (LOCAL, {"host": "127.0.0.1.evil.example:8000"}, 421),
        (LOCAL, {"host": "localhost@evil.example"}, 421),
        (LOCAL, {"host": "localhost/evil"}, 421),
        (LOCAL, {"host": "localhost:99999"}, 421),
        (LOCAL, {"host": "[::1"}, 421),
        (LOCAL, {"host": ""}, 421),
        (LOCAL, {"host": "solver.lan"}, 421),
        (CHAT, {"host": "solver.lan:8000"}, 200),
        (LOCAL, {"origin": "http://127.0.0.1:8000"}, 200),
        (LOCAL, {"origin": "http://127.0.0.1:8001"}, 403),
        (LOCAL, {"origin": "https://evil.example"}, 403),
        (LOCAL, {"origin": "null"}, 403),
        (LOCAL, {"origin": ""}, 403),
        (LOCAL, {"host": "evil.example", "origin": "http://evil.example"}, 421),
        (CHAT, {"origin": "https://chat.example.org"}, 200),
        (CHAT, {"origin": "https://chat.example.org.evil.example"}, 403),
        (KEYED, {}, 401),
        (KEYED, {"authorization": "Bearer second"}, 200),
        (KEYED, {"authorization": "bearer first"}, 200),
        (KEYED, {"authorization": "Bearer third"}, 401),
        (KEYED, {"authorization": "Bearer "}, 401),
        (KEYED, {"authorization": "Bearer first second"}, 401),
        (KEYED, {"authorization": "Basic first"}, 401),
        (KEYED, {"authorization": "Bearer first", "host": "solver.lan"}, 200),
    ],
)
async def test_a_request_is_judged_by_its_head(access: Access, headers: dict[str, str], status: int) -> None:
    assert (await asked(access, headers)).status_code == status


async def test_each_key_is_an_owner_of_its_own() -> None:
    owners = [
        (await asked(KEYED, {"authorization": f"Bearer {key}"})).text for key in ("first", "second", "first")
    ]
    assert owners[0] == owners[2] != owners[1]
    assert "first" not in owners[0]


async def test_a_page_that_is_allowed_may_ask_first_and_read_the_answer() -> None:
    origin = {"origin": "https://chat.example.org"}
    preflight = await asked(CHAT, origin, method="OPTIONS")
    assert preflight.status_code == 204
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert (await asked(CHAT, origin)).headers["access-control-allow-origin"] == origin["origin"]
    assert "access-control-allow-origin" not in (await asked(CHAT, {})).headers


@pytest.mark.parametrize(("size", "status"), [(0, 200), (1000, 200), (1001, 413)])
async def test_a_body_has_a_limit_said_or_not(size: int, status: int) -> None:
    assert (await asked(LOCAL, {}, content=b"x" * size)).status_code == status
    pieces = [b"x" * 500, b"x" * (size - 500)] if size > 500 else [b"x" * size]
    sent = await raw(
        [{"type": "http.request", "body": piece, "more_body": piece is not pieces[-1]} for piece in pieces]
    )
    assert sent[0]["status"] == status


async def test_half_a_request_is_waited_for_no_longer_than_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "BODY_S", 0.01)
    assert (await raw([{"type": "http.request", "body": b"x", "more_body": True}]))[0]["status"] == 408


async def test_half_a_head_is_waited_for_no_longer_than_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HEAD_S", 0.01)
    async with served(Guard(app, LOCAL)) as url:
        host, port = url.removeprefix("http://").split(":")
        for said in (b"", b"POST / HTTP/1.1\r\nHost: local"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(said)
            assert await reader.read() == b""
            writer.close()
        async with httpx.AsyncClient() as client:  # whoever comes again on one connection isn't cut off
            assert [(await client.post(url)).status_code for _ in range(3)] == [200] * 3


async def test_a_client_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "SEND_S", 0.01)

    async def stuck(message: Message) -> None:
        await asyncio.sleep(1000)

    with pytest.raises(OSError, match="has read nothing"):
        await raw([{"type": "http.request", "body": b""}], stuck)


async def raw(messages: list[Message], send: Callable[[Message], object] | None = None) -> list[Message]:
    """Pass these messages to a guarded app and return what it sends; the client then stays silent."""
    coming, sent = iter(messages), list[Message]()

    async def receive() -> Message:
        if (message := next(coming, None)) is None:
            await asyncio.sleep(1000)
        assert message is not None
        return message

    async def keep(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}
    await Guard(app, LOCAL, max_body_bytes=1000)(scope, receive, send or keep)  # type: ignore[arg-type]
    return sent


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"host": "0.0.0.0"}, "--api-key"),
        ({"host": "::"}, "--api-key"),
        ({"host": "192.168.0.7"}, "--api-key"),
        ({"host": "example.org"}, "--api-key"),
        ({"keys": ("",)}, "visible ASCII"),
        ({"keys": ("with space",)}, "visible ASCII"),
        ({"keys": ("schlüssel",)}, "visible ASCII"),
        ({"origins": ("chat.example.org",)}, "https://host"),
        ({"origins": ("https://chat.example.org/",)}, "https://host"),
    ],
)
def test_an_address_that_anybody_could_reach_needs_a_key(given: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Access(**given)  # type: ignore[arg-type]
