"""A hostile program finds nothing of the server that runs it, through whichever front it came."""

import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from mcp.client.client import Client

from mumath_agent.agent.solver import Solver
from mumath_agent.front.api.app import Api
from mumath_agent.front.mcp.server import PATH, Tools
from mumath_agent.front.security import Access
from mumath_agent.front.service import Service
from mumath_agent.testing import ScriptedModel
from tests.mumath_agent.front.servers import served
from tests.page_server import ScriptedByQuestion, Turn, page_server
from tests.waiting import HANG_S

pytestmark = [pytest.mark.anyio, pytest.mark.kernel]
SECRET = "top" + "secret"
SPYING = """
import glob, os, socket
found = []
def look(name, see):
    try:
        if b"top" + b"secret" in see():
            found.append(name)
    except OSError:
        pass
def reached():
    socket.create_connection(("127.0.0.1", {port}), 5).close()
    return b"top" + b"secret"
look("variables", lambda: repr(dict(os.environ)).encode())
look("file", lambda: open({file!r}, "rb").read())
look("folder", lambda: repr(os.listdir({folder!r})).encode())
look("server", reached)
for path in glob.glob("/proc/[0-9]*/environ"):
    look("processes", lambda: open(path, "rb").read())
print("spy" + "ing:" + " ".join(sorted(set(found))) + ";")
"""
QUESTION = "What is there?"
MODEL = "Look.\n```python\n{}```\n"


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Plant a secret in the server's variables and files; return what makes the program for a server's address."""
    monkeypatch.setenv("MUMATH_API_KEY", SECRET)
    (tmp_path / SECRET).write_text(SECRET)

    def program(url: str) -> str:
        return SPYING.format(port=urlsplit(url).port, file=str(tmp_path / SECRET), folder=str(tmp_path))

    return program


async def through_api(spying: Callable[[str], str], folder: Path) -> str:
    texts = list[str]()
    async with Service(Solver(model=ScriptedModel(texts=texts))).running() as service:
        app = Api(service, name="agent").app(Access())
        async with served(app) as url, httpx.AsyncClient(timeout=HANG_S) as client:
            texts += [MODEL.format(spying(url)), r"\boxed{1}"]
            body = {"messages": [{"role": "user", "content": QUESTION}]}
            return (await client.post(f"{url}/v1/chat/completions", json=body)).text


async def through_mcp(spying: Callable[[str], str], folder: Path) -> str:
    service = Service(Solver(model=ScriptedModel(texts=[])))
    tools = Tools(service)
    async with (
        service.running(),
        tools.running(),
        served(tools.http_app(Access())) as url,
        Client(url + PATH) as client,
    ):
        return str(await client.call_tool("python", {"code": spying(url)}))


async def through_web(spying: Callable[[str], str], folder: Path) -> str:
    turns = dict[str, Sequence[Turn]]()
    with page_server(ScriptedByQuestion(turns=turns), folder / "history.sqlite") as url:
        turns[QUESTION] = [MODEL.format(spying(url)), r"\boxed{1}"]
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
            asked = await client.post("/api/ask", json={"question": QUESTION, "model": "scripted"})
            return (await client.get(f"/api/c/{asked.json()['conversation']}/events")).text


@pytest.mark.parametrize("through", [through_api, through_mcp, through_web])
async def test_a_hostile_program_finds_nothing(
    through: Callable[[Callable[[str], str], Path], Awaitable[str]],
    planted: Callable[[str], str],
    tmp_path: Path,
) -> None:
    assert "spying:;" in await through(planted, tmp_path)


def test_the_program_would_find_all_of_it_where_nothing_keeps_it(planted: Callable[[str], str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = planted(f"http://127.0.0.1:{server.getsockname()[1]}")
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "spying:file folder processes server variables;\n"
