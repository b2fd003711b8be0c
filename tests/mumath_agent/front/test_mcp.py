"""The agent as MCP tools, called by the official client: over HTTP and stdio, in both eras of the protocol."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import psutil
import pytest
from mcp.client.client import Client
from mcp.client.session import ClientRequestContext
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult

from mumath_agent.agent.solver import Solver, SolverOptions
from mumath_agent.commands.mcp import caution_of
from mumath_agent.errors import ModelUnreachable
from mumath_agent.front.mcp import progress as telling
from mumath_agent.front.mcp.server import PATH, Tools
from mumath_agent.front.places import Places
from mumath_agent.front.security import Access
from mumath_agent.front.service import Service
from mumath_agent.front.sessions import SessionLimits
from mumath_agent.models.embedded import CAUTION
from mumath_agent.protocols import CompletionModel
from mumath_agent.records import Limits
from mumath_agent.testing import ScriptedModel
from tests.mumath_agent.front.servers import Adding, Stuck, served
from tests.toy import TOY, WITH_TOY
from tests.waiting import HANG_S, eventually

pytestmark = [pytest.mark.anyio, pytest.mark.kernel]

ERAS = pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
QUESTION = {"question": "What is 17 + 23?"}
LOOP = "print('begun', flush=True)\nwhile True: pass"
PROGRAM = "We try.\n```python\nprint(6 * 7)\n```\n"


@asynccontextmanager
async def serving(
    model: CompletionModel | list[str] | list[Exception],
    keys: tuple[str, ...] = (),
    sessions: int = 3,
    **how: Any,
) -> AsyncIterator[tuple[str, Service, list[str]]]:
    """Serve the tools over HTTP; yield the address, the service, and what its owner is told of errors."""
    words = ScriptedModel(texts=model) if isinstance(model, list) else model
    solver = Solver(model=words, limits=Limits(cell_timeout_s=HANG_S))
    service = Service(solver, places=Places(4, 4), sessions=SessionLimits(most=sessions))
    errors = list[str]()
    tools = Tools(service, on_error=errors.append, **how)
    async with service.running(), tools.running(), served(tools.http_app(Access(keys=keys))) as url:
        yield url + PATH, service, errors


@asynccontextmanager
async def client_of(url: str, era: str, key: str = "", **how: Any) -> AsyncIterator[Client]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=HANG_S) as http,
        Client(streamable_http_client(url, http_client=http), mode=era, **how) as client,
    ):
        yield client


def text_of(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if part.type == "text")


def session_of(result: CallToolResult) -> str:
    return text_of(result).rpartition("session: ")[2]


@ERAS
async def test_a_question_its_answer_its_transcript_and_its_progress(
    era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "PROGRESS_S", 0.01)
    told: list[tuple[float, float | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total))

    async with serving(Adding()) as (url, _, _), client_of(url, era) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {"solve", "python", "end_session"}
        result = await client.call_tool("solve", QUESTION, progress_callback=hear)
        assert not result.is_error
        assert text_of(result) == (
            "Answer: 40\nThe solver stated it as its final answer. 1 program was run; it printed:\n40"
        )
        (link,) = [part for part in result.content if part.type == "resource_link"]
        (page,) = (await client.read_resource(link.uri)).contents
        assert "print(17 + 23)" in page.text  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="no such transcript"):
            await client.read_resource("mumath://transcripts/other")
    assert told
    assert told == sorted(told, key=lambda each: each[0])
    assert len({done for done, _ in told}) == len(told)
    assert {total for _, total in told} == {None}


async def test_several_attempts_vote() -> None:
    texts = [f"\\boxed{{{n}}}" for n in (4, 7, 7)]
    async with serving(texts) as (url, _, _), client_of(url, "legacy") as client:
        result = await client.call_tool("solve", {**QUESTION, "attempts": 3})
    assert text_of(result).startswith("Answer: 7")


@ERAS
async def test_python_goes_on_by_its_handle_and_shows_figures(era: str) -> None:
    draw = "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()"
    async with (
        serving([f"```python\n{draw}\n```\n", "\\boxed{1}"]) as (url, service, _),
        client_of(url, era) as client,
    ):
        first = await client.call_tool("python", {"code": "x = 41"})
        handle = session_of(first)
        assert text_of(first) == f"Done\nsession: {handle}"
        again = await client.call_tool("python", {"code": "```python\nx + 1\n```", "session": handle})
        assert text_of(again) == f"42\nsession: {handle}"
        failed = await client.call_tool("python", {"code": "x / 0", "session": handle})
        assert "ZeroDivisionError" in text_of(failed)
        if era == "legacy":  # importing matplotlib takes seconds
            drawn = await client.call_tool("python", {"code": draw, "session": handle})
            (image,) = [part for part in drawn.content if part.type == "image"]
            assert (image.mime_type, image.data[:8]) == ("image/png", "iVBORw0K")
            solved = await client.call_tool("solve", QUESTION)
            assert [part.type for part in solved.content] == ["text", "image", "resource_link"]
        assert not (await client.call_tool("end_session", {"session": handle})).is_error
        assert len(service.sessions) == 0
        for tool, more in (("python", {"code": "x"}), ("end_session", {})):
            gone = await client.call_tool(tool, {**more, "session": handle})
            assert gone.is_error
            assert "begin a new one" in text_of(gone)


@ERAS
async def test_two_clients_at_once_see_nothing_of_each_other(era: str) -> None:
    async with (
        serving(Adding(), keys=("hers", "his")) as (url, _, _),
        client_of(url, era, "hers") as she,
        client_of(url, era, "his") as he,
    ):
        mine = session_of(await she.call_tool("python", {"code": "secret = 41"}))
        results = await asyncio.gather(
            he.call_tool("python", {"code": "print('secret' in globals())"}),
            he.call_tool("python", {"code": "secret", "session": mine}),
            he.call_tool("end_session", {"session": mine}),
            she.call_tool("python", {"code": "secret", "session": mine}),
        )
        assert [result.is_error for result in results] == [False, True, True, False]
        assert text_of(results[0]).startswith("False")
        assert text_of(results[3]).startswith("41")
        link = (await she.call_tool("solve", QUESTION)).content[-1]
        with pytest.raises(MCPError, match="no such transcript"):
            await he.read_resource(link.uri)  # type: ignore[union-attr]
        assert (await she.read_resource(link.uri)).contents  # type: ignore[union-attr]
        async with httpx.AsyncClient() as nobody:
            for headers, status in (
                ({}, 401),
                ({"host": "evil.example"}, 421),
                ({"origin": "http://evil.example"}, 403),
            ):
                assert (await nobody.post(url, json={}, headers=headers)).status_code == status


async def test_sessions_are_few() -> None:
    async with serving([], sessions=2) as (url, service, _), client_of(url, "legacy") as client:
        handles = [session_of(await client.call_tool("python", {"code": "1"})) for _ in range(3)]
        assert len(service.sessions) == 2
        assert (await client.call_tool("python", {"code": "1", "session": handles[0]})).is_error
        assert not (await client.call_tool("python", {"code": "1", "session": handles[2]})).is_error


@ERAS
async def test_a_call_that_is_cancelled_ends_the_attempt(era: str) -> None:
    model = Stuck()
    async with serving(model) as (url, service, _), client_of(url, era) as client:
        call = asyncio.create_task(client.call_tool("solve", QUESTION))
        assert await eventually(lambda: model.begun == 1)
        call.cancel()
        assert await eventually(lambda: model.cancelled == 1 and service.places.taken == 0)


@ERAS
async def test_a_call_that_is_cancelled_ends_its_program_and_the_session_says_so(era: str) -> None:
    begun = asyncio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        begun.set()

    async with serving([]) as (url, service, _), client_of(url, era) as client:
        handle = session_of(await client.call_tool("python", {"code": "x = 1"}))
        call = asyncio.create_task(
            client.call_tool("python", {"code": LOOP, "session": handle}, progress_callback=hear)
        )
        await begun.wait()
        assert await eventually(lambda: service.places.taken == 1)
        call.cancel()
        assert await eventually(lambda: service.places.taken == 0)
        new = asyncio.create_task(client.call_tool("python", {"code": LOOP}))
        assert await eventually(lambda: service.places.taken == 1)
        new.cancel()
        assert await eventually(lambda: len(service.sessions) == 1)  # nobody knows the handle of the new one
        after = text_of(await client.call_tool("python", {"code": "x", "session": handle}))
        assert "NameError" in after
        assert "restarted" in after


async def test_a_client_that_vanishes_ends_its_attempt() -> None:
    model = Stuck()
    async with serving(model) as (url, service, _):
        async with client_of(url, "2026-07-28") as client:
            call = asyncio.create_task(client.call_tool("solve", QUESTION))
            assert await eventually(lambda: model.begun == 1)
            call.cancel()
        assert await eventually(lambda: model.cancelled == 1 and service.places.taken == 0)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("solve", {}),
        ("solve", {"question": 3}),
        ("solve", {"question": " "}),
        ("solve", {"question": "x" * 20_001}),
        ("solve", {"question": "a\x00b"}),
        ("solve", {**QUESTION, "attempts": 0}),
        ("solve", {**QUESTION, "attempts": 17}),
        ("solve", {**QUESTION, "attempts": "many"}),
        ("python", {"code": ["x"]}),
        ("python", {"code": "x", "session": 5}),
        ("python", {"code": "x", "session": "../../etc"}),
        ("nothing", {}),
    ],
)
async def test_wrong_arguments_are_errors_that_a_model_can_read(
    hard_to_please: str, tool: str, arguments: dict[str, Any]
) -> None:
    async with client_of(hard_to_please, "legacy") as client:
        try:
            result = await client.call_tool(tool, arguments)
        except MCPError:
            return
    assert result.is_error
    assert "Traceback" not in text_of(result)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def hard_to_please() -> AsyncIterator[str]:
    async with serving([]) as (url, _, _):
        yield url


async def test_what_broke_is_told_to_the_servers_owner_only() -> None:
    broken: list[Exception] = [ModelUnreachable("http://10.0.0.7 doesn't answer")]
    async with serving(broken) as (url, _, errors), client_of(url, "2026-07-28") as client:
        result = await client.call_tool("solve", QUESTION)
    assert result.is_error
    assert "10.0.0.7" not in text_of(result)
    assert "10.0.0.7" in errors[0]


DECISIONS = (
    (ElicitResult(action="accept", content={"program": ""}), "42"),
    (ElicitResult(action="accept", content={"program": "print(43)"}), "43"),
    (ElicitResult(action="decline"), "not run"),
    (ElicitResult(action="cancel"), "not run"),
)


@ERAS
async def test_a_person_decides_on_each_program(era: str) -> None:
    asked: list[str] = []

    async def ask(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return DECISIONS[(len(asked) - 1) // 2][0]

    async with (
        serving([PROGRAM, "\\boxed{1}"] * len(DECISIONS), approve=True) as (url, _, _),
        client_of(url, era, elicitation_callback=ask) as client,
    ):
        for _, printed in DECISIONS:
            solved = text_of(await client.call_tool("solve", QUESTION))
            assert solved.startswith("Answer: 1") and printed in solved
            assert printed in text_of(await client.call_tool("python", {"code": "print(6 * 7)"}))
    assert asked == ["Run this program?\n\n```python\nprint(6 * 7)\n```"] * 2 * len(DECISIONS)


async def test_a_person_who_never_decides_holds_few_places_and_not_for_a_client_that_has_gone() -> None:
    asked: list[str] = []

    async def never(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        await asyncio.sleep(1000)
        raise AssertionError

    async with serving([PROGRAM] * 4, approve=True) as (url, service, _):
        async with client_of(url, "legacy", elicitation_callback=never) as client:
            call = asyncio.create_task(client.call_tool("solve", QUESTION))
            assert await eventually(lambda: len(asked) == 1)
            call.cancel()
            assert await eventually(lambda: service.places.taken == 0)
        async with client_of(url, "2026-07-28", elicitation_callback=never) as client:
            calls = [asyncio.create_task(client.call_tool("solve", QUESTION)) for _ in range(3)]
            assert await eventually(lambda: len(asked) == 4)
            assert await eventually(lambda: service.places.taken == 2)  # of four, half
            for call in calls:
                call.cancel()
    assert service.places.taken == 0


@ERAS
async def test_nothing_runs_unasked_where_nobody_can_be_asked(era: str) -> None:
    async with serving([PROGRAM], approve=True) as (url, _, _), client_of(url, era) as client:
        for tool, arguments in (("solve", QUESTION), ("python", {"code": "1"})):
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            assert "--approve" in text_of(result)


SPYING = """
import glob, os, sys
print("x is", x, file=sys.stderr)
print(dict(os.environ))
for path in ["%s/file", *glob.glob("/proc/*/environ")]:
    try:
        print(open(path).read())
    except OSError as error:
        print(error)
"""


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


async def test_what_the_model_that_ships_says_of_itself_is_described() -> None:
    async with (
        serving([], caution=caution_of(SolverOptions())) as (url, _, _),
        client_of(url, "legacy") as she,
    ):
        assert CAUTION in str((await she.list_tools()).tools[0].description)
    assert caution_of(SolverOptions(weights=TOY)) == caution_of(SolverOptions(local="auto")) == ""


@pytest.mark.model
@pytest.mark.parametrize("era", ["legacy", pytest.param("2026-07-28", marks=pytest.mark.slow)])
async def test_over_stdio(era: str, tmp_path: Path) -> None:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "mumath_agent", "mcp", *WITH_TOY],
        cwd=tmp_path,
        env={"MUMATH_LOCAL": "", "MUMATH_SERVER_KEYS": "topsecret"},
    )
    me = psutil.Process()
    async with Client(parameters, mode=era) as client:
        (server,) = [one for one in me.children() if "mcp" in one.cmdline()]
        solved = await client.call_tool("solve", {"question": "What is 17 times 23?"})
        assert text_of(solved).startswith("Answer: 391")
        handle = session_of(await client.call_tool("python", {"code": "x = 41"}))
        (tmp_path / "file").write_text("topsecret")
        printed = text_of(await client.call_tool("python", {"code": SPYING % tmp_path, "session": handle}))
        assert "x is 41" in printed
        assert "topsecret" not in printed
        family = [server, *server.children(recursive=True)]
        assert len(family) > 1
    assert await eventually(lambda: not any(map(is_alive, family)))
