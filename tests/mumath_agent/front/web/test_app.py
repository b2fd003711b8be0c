"""What the server of the page says without a browser: who gets in, what can be asked, history and downloads."""

import json
import re
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import nbformat
import pytest

from mumath_agent.agent.solver import SolverOptions
from mumath_agent.errors import InputError
from mumath_agent.front.security import Access
from mumath_agent.front.web import desk
from mumath_agent.front.web.choices import choices_of
from mumath_agent.front.web.files import FILES
from mumath_agent.front.web.history import History, Kept
from mumath_agent.front.web.views import new_view
from tests.page_server import ScriptedByQuestion, page_server
from tests.programs import mumath_agent
from tests.waiting import comes_true

pytestmark = pytest.mark.kernel  # a server has a kernel ready
GATE = Event()
PROGRAM = "Count.\n```python\n{}\n```\n"
MODEL = ScriptedByQuestion(
    turns={
        "plain": [r"It is \boxed{5}."],
        "gated": [["Well, ", GATE, r"\boxed{6}"]],
        "a session": [PROGRAM.format("kept = 40\nprint(kept)"), r"\boxed{40}"],
        "a draw": [PROGRAM.format("import os\nprint(os.urandom(8).hex())"), r"\boxed{1}"],
        "loops": [PROGRAM.format("print('on and on', flush=True)\nwhile True: pass"), r"\boxed{0}"],
        "goes on": [PROGRAM.format("print(kept + 2)"), r"\boxed{42}"],
        "half": ["half a character \ud800 and \\boxed{\ud800}"],
    }
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with page_server(MODEL, tmp_path_factory.mktemp("page") / "history.sqlite") as url:
        yield url


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


def ask(client: httpx.Client, question: str, **more: object) -> str:
    body = {"question": question, "model": "scripted", **more}
    response = client.post("/api/ask", json=body)
    assert response.status_code == 202, response.text
    name: str = response.json()["conversation"]
    return name


def told(client: httpx.Client, conversation: str) -> list[dict[str, Any]]:
    """Read the events of a conversation to their end as the page does; return its answers."""
    views: list[dict[str, Any]] = []
    with client.stream("GET", f"/api/c/{conversation}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for block in "".join(response.iter_text()).split("\n\n")[:-1]:
            name, data = re.fullmatch("event: (.+)\ndata: (.+)", block).groups()  # type: ignore[union-attr]
            if name == "conversation":
                views = json.loads(data)
    assert name == "end"
    return views


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "said"),
    [
        ("GET", "/", {}, 200, "Ask a question"),
        ("GET", "/c/nonsense", {}, 200, "Ask a question"),
        ("GET", "/api/c/nonsense/events", {}, 404, "no such conversation"),
        ("GET", "/static/../desk.py", {}, 404, ""),
        ("GET", "/static/%2e%2e/desk.py", {}, 404, "no such file"),
        ("GET", "/static/katex/fonts/KaTeX_Main-Regular.woff2", {}, 200, ""),
        ("GET", "/api/ask", {}, 405, ""),
        ("GET", "/a/nonsense.ipynb", {}, 404, "no such answer"),
        ("GET", "/a/nonsense.html", {}, 404, "no such answer"),
        (
            "POST",
            "/api/ask",
            {"content": '{"question": "plain"}'},
            400,
            "content-type must be application/json",
        ),
        ("POST", "/api/ask", {"json": []}, 400, "isn't a JSON object"),
        ("POST", "/api/ask", {"json": {"question": "plain", "model": "m", "more": 1}}, 400, "more"),
        ("POST", "/api/ask", {"json": {"question": "plain", "model": "m"}}, 400, "there is no model 'm'"),
        ("POST", "/api/ask", {"json": {"question": " ", "model": "scripted"}}, 400, "empty"),
        ("POST", "/api/ask", {"json": {"question": "plain", "model": "scripted", "attempts": 99}}, 400, "16"),
        (
            "POST",
            "/api/ask",
            {"json": {"question": "plain", "model": "scripted", "conversation": "x"}},
            400,
            "no such conversation",
        ),
        (
            "POST",
            "/api/c/x/decide",
            {"json": {"token": "t", "decision": {"type": "no"}}},
            400,
            "not a decision",
        ),
        (
            "POST",
            "/api/c/x/decide",
            {"json": {"token": "t", "decision": {"type": "approve"}}},
            400,
            "doesn't wait for a decision",
        ),
        ("POST", "/api/c/x/stop", {"json": {}}, 200, ""),
        (
            "POST",
            "/api/ask",
            {"content": b"[" * 100_000, "headers": {"content-type": "application/json"}},
            400,
            "JSON",
        ),
        ("POST", "/api/ask", {"content": b"x" * (2 << 20)}, 413, "larger"),
        ("GET", "/", {"headers": {"host": "evil.example"}}, 421, "isn't called"),
        ("POST", "/api/ask", {"json": {}, "headers": {"origin": "http://evil.example"}}, 403, "may not use"),
    ],
)
def test_what_is_asked_and_what_is_said(
    client: httpx.Client, method: str, path: str, more: dict[str, Any], status: int, said: str
) -> None:
    response = client.request(method, path, **more)
    assert response.status_code == status and (not said or said in response.text), response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"


def test_no_page_of_ours_has_a_script_or_a_style_in_it() -> None:
    pages = FILES["page.js"].parent.glob("*.html")
    for page in pages:
        text = page.read_text("utf-8")
        assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=|https?://", text), page.name


def test_an_address_of_others_needs_the_key(tmp_path: Path) -> None:
    access = Access(keys=("letmein",))
    with (
        page_server(MODEL, tmp_path / "h.sqlite", access=access) as url,
        httpx.Client(base_url=url) as client,
    ):
        for path in ("/", "/api/start", "/static/page.js", "/a/x.html"):
            response = client.get(path)
            assert response.status_code == 401 and "Key of this server" in response.text
        for path in ("/static/page.css", "/static/enter.js"):
            assert client.get(path).status_code == 200
        for key in ("", "wrong", "letmei"):
            assert client.post("/enter", json={"key": key}).status_code == 401, key
        assert client.post("/enter", content=b"\xff").status_code == 401
        given = client.post("/enter", json={"key": "letmein"})
        cookie = given.headers["set-cookie"]
        assert given.status_code == 200 and "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
        assert "letmein" not in cookie
        assert client.get("/api/start").status_code == 200
        assert told(client, ask(client, "plain"))[0]["result"]["answer"] == "5"
        client.cookies.clear()
        assert client.get("/api/start", headers={"cookie": "mumath_agent=guessed"}).status_code == 401


def test_so_many_questions_at_a_time_and_no_second_one_in_a_conversation(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MOST_ANSWERS", 2)
    names = [ask(client, "gated"), ask(client, "gated")]
    again = client.post("/api/ask", json={"question": "plain", "model": "scripted", "conversation": names[0]})
    assert again.status_code == 400 and "still being answered" in again.text
    busy = client.post("/api/ask", json={"question": "plain", "model": "scripted"})
    assert busy.status_code == 429 and busy.headers["retry-after"]
    assert client.post(f"/api/c/{names[0]}/remove", json={}).status_code == 400
    GATE.set()
    assert [told(client, name)[0]["result"]["answer"] for name in names] == ["6", "6"]
    assert client.post(f"/api/c/{names[0]}/remove", json={}).status_code == 200
    assert client.get(f"/api/c/{names[0]}/events").status_code == 404
    assert names[0] not in {each["id"] for each in client.get("/api/start").json()["history"]}


def test_an_answer_is_there_as_notebook_and_as_page(client: httpx.Client) -> None:
    (view,) = told(client, ask(client, "a session <b>bold</b>"))
    notebook = client.get(f"/a/{view['id']}.ipynb")
    assert "attachment" in notebook.headers["content-disposition"]
    nbformat.validate(nbformat.reads(notebook.text, as_version=4))
    page = client.get(f"/a/{view['id']}.html")
    assert "attachment" in page.headers["content-disposition"]
    assert "<b>bold" not in page.text and page.text.count("<script") == 3
    assert "kept = 40" in page.text and "src=" not in re.sub(
        r"<script>.*?</script>", "", page.text, flags=re.DOTALL
    )


def test_half_a_character_breaks_nothing(client: httpx.Client) -> None:
    (view,) = told(client, ask(client, "half"))
    assert view["state"] == "done"
    for kind in ("ipynb", "html"):
        assert client.get(f"/a/{view['id']}.{kind}").status_code == 200


def test_a_conversation_goes_on_after_the_server_was_started_again(tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite"
    with page_server(MODEL, path) as url, httpx.Client(base_url=url, timeout=60) as client:
        names = [ask(client, "a session"), ask(client, "a draw")]
        assert all(told(client, name)[0]["state"] == "done" for name in names)
    with page_server(MODEL, path) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert [each["question"] for each in client.get("/api/start").json()["history"]] == [
            "a draw",
            "a session",
        ]
        ask(client, "goes on", conversation=names[0])
        first, second = told(client, names[0])
        assert first["result"]["answer"] == "40" and second["result"]["answer"] == "42"
        assert "run again" in second["note"]
        ask(client, "plain", conversation=names[1])
        assert "couldn't be brought back" in told(client, names[1])[-1]["note"]


def test_attempts_that_had_ended_count_when_the_others_are_stopped(tmp_path: Path) -> None:
    model = ScriptedByQuestion(
        attempts={"some": [r"\boxed{1}", ["Still ", Event()], r"\boxed{1}", ["at it ", Event()]]}
    )
    with page_server(model, tmp_path / "h.sqlite") as url, httpx.Client(base_url=url, timeout=60) as client:
        name = ask(client, "some", attempts=4)
        with client.stream("GET", f"/api/c/{name}/events") as response:
            assert any('"votes": 2' in line for line in response.iter_lines())
        for _ in range(3):
            assert client.post(f"/api/c/{name}/stop", json={}).status_code == 200
        (view,) = told(client, name)
        assert view["state"] == "stopped" and view["result"]["answer"] == "1"
        assert [each["turns"][0]["parts"][0]["text"] for each in view["attempts"]] == [
            r"\boxed{1}",
            "Still ",
            r"\boxed{1}",
            "at it ",
        ]
        assert client.get("/api/start").json()["history"][0]["answer"] == "1"


def test_a_session_comes_back_after_a_program_in_it_was_stopped(client: httpx.Client) -> None:
    name = ask(client, "a session")
    told(client, name)
    ask(client, "loops", conversation=name)
    with client.stream("GET", f"/api/c/{name}/events") as response:
        assert any("on and on\\n" in line for line in response.iter_lines())
        client.post(f"/api/c/{name}/stop", json={})
    assert told(client, name)[1]["state"] == "stopped"
    ask(client, "goes on", conversation=name)
    last = told(client, name)[2]
    assert last["attempts"][0]["turns"][0]["parts"][-1]["text"] == "42" and "run again" in last["note"]


def test_what_was_under_way_when_the_server_ended_is_called_interrupted(tmp_path: Path) -> None:
    history = History(tmp_path / "h.sqlite")
    view = new_view(id="one", question="gone", model="m", number=1, asked_at="2026-01-01T00:00:00+00:00")
    history.keep("name", 0, Kept(view=view, solution=None))
    history.close()
    with page_server(MODEL, tmp_path / "h.sqlite") as url, httpx.Client(base_url=url) as client:
        assert told(client, "name")[0]["state"] == "interrupted"


def test_an_answer_under_way_is_stopped_and_kept_when_the_server_ends(tmp_path: Path) -> None:
    model = ScriptedByQuestion(turns={"endless": [["So far, ", Event()]]})
    with page_server(model, tmp_path / "h.sqlite") as url, httpx.Client(base_url=url, timeout=60) as client:
        name = ask(client, "endless")
        assert comes_true(lambda: bool(model.prompts))
        with client.stream("GET", f"/api/c/{name}/events") as response:
            assert any("So far, " in piece for piece in response.iter_text())
    (kept,) = History(tmp_path / "h.sqlite").conversation(name)
    assert kept.view.state == "stopped" and kept.view.attempts[0].turns[0].parts[0].text == "So far, "
    assert model.cancelled == ["endless"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"not a database at all", "not a database"), (None, "version 7"), ("folder", "unable to open")],
)
def test_a_history_that_can_t_be_used_is_named(
    tmp_path: Path, content: bytes | str | None, said: str
) -> None:
    path = tmp_path / "h.sqlite"
    if isinstance(content, bytes):
        path.write_bytes(content * 100)
    elif content:
        path.mkdir()
    else:
        with sqlite3.connect(path) as other:
            other.execute("PRAGMA user_version = 7")
        other.close()
    with pytest.raises(InputError, match=said) as caught:
        History(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "0.0.0.0"), "give a key"),
        (("--port", "BUSY"), "can't listen at 127.0.0.1:"),
        (("--history", "/dev/null/h"), "can't use the history"),
    ],
)
def test_a_page_that_can_t_be_served_says_why(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        given = [word.replace("BUSY", port) for word in words]
        done = mumath_agent("web", *given, XDG_DATA_HOME=str(tmp_path))
    assert done.code == 2 and said in done.stderr, done


def test_the_history_is_for_its_owner_alone(tmp_path: Path) -> None:
    History(tmp_path / "new" / "h.sqlite").close()
    assert (tmp_path / "new" / "h.sqlite").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ({}, ["embedded model"]),
        ({"base_urls": ("http://x:9/v1",), "model": "m"}, ["m at http://x:9/v1", "embedded model"]),
        ({"base_urls": ("http://x:9/v1",)}, ["the model at http://x:9/v1", "embedded model"]),
        ({"local": "/folder/some.gguf"}, ["some.gguf", "embedded model"]),
        ({"model": "ollama/m"}, ["ollama/m", "embedded model"]),
    ],
)
def test_models_can_be_chosen(options: dict[str, Any], labels: list[str]) -> None:
    found = choices_of(SolverOptions(**options))
    assert [each.label for each in found][: len(labels)] == labels
    assert len({each.name for each in found}) == len(found)
