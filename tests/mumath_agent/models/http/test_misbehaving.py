"""Servers that misbehave, over real sockets: the command ends with one true line and the right exit code."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mumath_agent.models.http import connection, retries
from tests.programs import Ended, mumath_agent
from tests.waiting import HANG_S

Answer = bytes | None
"""What a server sends before it closes the connection; None: it never answers."""

NEVER: Answer = None
PAGE = b"<!doctype html>\n<html><title>Welcome</title>\n" + b"<p>hello</p>\n" * 99
KEY = "sk-secret-123"


def answer(status: int, body: bytes, kind: str = "application/json", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status} x", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "Connection: close", "", ""]).encode() + body


def models(*names: str) -> bytes:
    entries = ", ".join(f'{{"id": "{name}"}}' for name in names)
    return answer(200, f'{{"data": [{entries}]}}'.encode())


@contextmanager
def serving(listed: Answer, written: Answer = NEVER) -> Iterator[str]:
    """Answer every GET with `listed` and every POST with `written`, until the block ends."""
    listener, ended = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def answer_one(client: socket.socket) -> None:
        with client:
            sent = client.recv(1 << 20)
            said = listed if sent.startswith(b"GET") else written
            if said is None:
                ended.wait(HANG_S)
            else:
                client.sendall(said)
                while said.endswith(b"cut") and client.recv(1 << 20):
                    """Wait until the client leaves, which is sure to have read it all."""

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer_one, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LIST_TIMEOUT_S", 0.3)
    monkeypatch.setattr(connection, "_SILENT_S", 0.1)
    monkeypatch.setattr(retries, "_GROWING", lambda _: 0.01)
    monkeypatch.setattr(retries, "_BUSY_S", 1.0)
    monkeypatch.setattr(retries, "_TELL_AFTER_S", 0.0)
    monkeypatch.setattr(retries, "_TELL_EVERY_S", 0.0)


def solve(url: str, *more: str, **environment: str) -> Ended:
    return mumath_agent("solve", "q", "--base-url", url, *more, **environment)


BUSY = answer(429, b'{"error": "slow down"}', "application/json", "Retry-After: 0")
NAMED = ("--model", "m")
ASKED = (*NAMED, "--dialect", "fenced")
CHAT = (*NAMED, "--dialect", "chat")


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("listed", "options", "code", "said"),
    [
        (NEVER, (), 3, "took the request, but sent nothing for 0.3 s"),
        (NEVER, NAMED, 3, "took the request, but sent nothing for 0.3 s"),
        (NEVER, ("--wall", "0.1"), 3, "didn't say what it serves within 0.1 s (--wall)"),
        (BUSY, (), 3, "answered 429: slow down, tried"),
        (BUSY, ("--wall", "0.2"), 3, "didn't say what it serves within 0.2 s (--wall)"),
        (answer(200, PAGE, "text/html"), (), 3, 'it answered GET with a web page, "Welcome"; check the server\'s'),
        (answer(200, b"<html><p>hi"), (), 3, "it answered GET with a web page; check the server's address"),
        (answer(404, PAGE, "text/html"), (), 3, 'answered 404 with a web page, "Welcome"; check the server\'s address'),
        (answer(400, PAGE), (), 3, 'answered 400 with a web page, "Welcome"; check the server\'s address (--base-url)'),
        (answer(401, PAGE), (), 3, "Welcome\"; check the server's address (--base-url) and MUMATH_API_KEY"),
        (answer(429, PAGE), (), 3, 'answered 429 with a web page, "Welcome", tried'),
        (answer(502, PAGE), (), 3, 'page, "Welcome", tried 5 times; see the server\'s log, and check the server\'s'),
        (answer(404, b"<html><title>" + b"&lt;\n x" * 99), (), 3, "answered 404 with a web page; check"),
        (answer(404, b"<html><title>a &lt;\n" + b"x" * 99 + b"</title>"), (), 3, 'page, "a < ' + "x" * 55 + '…"'),
        (answer(200, b'{"data": ['), (), 3, 'isn\'t an OpenAI-compatible API: it answered GET with {"data": [;'),
        (answer(200, b'{"hello": 1}'), (), 3, "isn't an OpenAI-compatible API"),
        (answer(200, b""), (), 3, "isn't an OpenAI-compatible API: it answered GET with no message"),
        (models(), (), 2, "lists no model; name the one to use with --model"),
        (models("a", "b"), (), 2, "serves 2 models (a, b); choose one with --model"),
        (answer(401, b'{"error": "no"}'), (), 2, "answered 401: no; set MUMATH_API_KEY to the server's key"),
        (answer(403, f"not {KEY}".encode()), NAMED, 2, "answered 403: not ***; set MUMATH_API_KEY"),
        (answer(404, b""), (), 2, "answered 404: no message; check --base-url and --model"),
        (answer(500, b"oh"), (), 3, "answered 500: oh, tried 5 times; see the server's log"),
        (b"SSH-2.0-OpenSSH\r\n", (), 3, "broke off its answer"),
    ],
)  # fmt: skip
def test_a_server_that_does_not_say_what_it_serves(
    listed: Answer, options: tuple[str, ...], code: int, said: str
) -> None:
    with serving(listed) as url:
        ended = solve(url, *options, MUMATH_API_KEY=KEY)
    assert (ended.code, len(ended.errors), ended.stdout) == (code, 1, ""), ended.stderr
    assert said in ended.errors[0] and url in ended.errors[0]
    assert KEY not in ended.stderr and "Traceback" not in ended.stderr


def stream(*texts: str, end: bytes = b"") -> bytes:
    data = b"".join(b'data: {"choices": [{"text": "%s"}]}\n\n' % text.encode() for text in texts)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99999\r\n\r\n"
    return head + data + end


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("written", "options", "code", "said"),
    [
        (answer(200, PAGE, "text/html"), ASKED, 3, 'it answered POST with a web page, "Welcome"; check'),
        (answer(404, PAGE), ASKED, 2, "doesn't serve 'm', but a, b; choose with --model"),
        (answer(404, PAGE), CHAT, 3, 'answered 404 with a web page, "Welcome"; check the server\'s address'),
        (answer(403, PAGE), CHAT, 3, 'answered 403 with a web page, "Welcome"; check'),
        (answer(200, PAGE, "text/html"), CHAT, 3, "isn't an OpenAI-compatible API"),
        (answer(200, b'{"choices": ['), ASKED, 3, "isn't an OpenAI-compatible API"),
        (answer(401, b"no"), ASKED, 2, "answered 401: no; set MUMATH_API_KEY"),
        (answer(403, b"no"), CHAT, 2, "answered 403: no; set MUMATH_API_KEY"),
        (answer(404, b"no"), ASKED, 2, "doesn't serve 'm', but a, b; choose with --model"),
        (answer(404, b"no model m"), CHAT, 2, "answered 404: no model m; check --base-url and --model"),
        (answer(400, b"no"), ASKED, 3, "answered 400: no"),
        (BUSY, ASKED, 3, "answered 429: slow down, tried"),
    ],
)  # fmt: skip
def test_a_server_that_does_not_write(
    written: Answer, options: tuple[str, ...], code: int, said: str
) -> None:
    with serving(models("a", "b"), written) as url:
        ended = solve(url, *options)
    assert (ended.code, len(ended.errors)) == (code, 1), ended.stderr
    assert said in ended.errors[0] and "Traceback" not in ended.stderr


@pytest.mark.kernel
@pytest.mark.parametrize("status", [401, 404])
def test_what_only_the_user_can_change_is_said_once_for_all_problems(tmp_path: Path, status: int) -> None:
    file, output = tmp_path / "p.txt", tmp_path / "r.jsonl"
    file.write_text("q\nq\n")
    with serving(models("a", "b"), answer(status, b"no")) as url:
        asked = ["--file", str(file), "--output", str(output), "--base-url", url, *ASKED]
        ended = mumath_agent("solve", *asked)
    assert (ended.code, len(ended.errors), ended.stdout) == (2, 1, "")
    assert not output.exists()


@pytest.mark.kernel
def test_a_silent_server_is_told_of_and_wall_holds() -> None:
    with serving(models("m"), NEVER) as url:
        ended = solve(url, *ASKED, "--wall", "0.5")
    assert ended.code == 1 and not ended.errors


@pytest.mark.kernel
@pytest.mark.parametrize("turn", ["I think", "I think\\n```python\\nprint(1)"])
def test_what_was_written_before_a_server_went_away_is_in_the_record(turn: str) -> None:
    with serving(models("m"), stream("First, ", turn)) as url:
        ended = solve(url, *ASKED, "--json")
    (record,) = ended.records()
    text = turn.replace("\\n", "\n")
    assert record.trajectory.transcript.text.endswith(f"First, {text}")
    assert record.trajectory.stop_reason == "model_unreachable" and not record.trajectory.completions
    assert ended.code == 3 and len(ended.errors) == 1 and "broke off its answer" in ended.errors[0]


def test_who_waits_is_told_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "_told_at", -1000.0)
    monkeypatch.setattr(retries, "_TELL_EVERY_S", 1000.0)
    for why in ("http://a answered 429", "http://b hasn't answered for 6 s"):
        retries.tell_waiting(why)
    assert caplog.messages == ["http://a answered 429; waiting"]


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("listed", "said"),
    [(BUSY, "the server is busy, 0 s so far; waiting"), (NEVER, "hasn't answered for 0.1 s")],
)
def test_waiting_is_said_on_stderr(listed: Answer, said: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving(listed) as url:
        solve(url)
    assert any(said in message and url in message for message in caplog.messages)
