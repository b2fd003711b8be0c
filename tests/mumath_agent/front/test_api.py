"""The agent behind the OpenAI API, asked by the real `openai` client, LangChain's, and clients that misbehave."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import openai
import psutil
import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI
from pydantic import ValidationError

from mumath_agent.agent.solver import AttemptOptions, Solver
from mumath_agent.dialects import Chat, Fenced
from mumath_agent.errors import InputError, KernelError, ModelUnreachable
from mumath_agent.front import security
from mumath_agent.front.api.answers import BOXED
from mumath_agent.front.api.app import Api
from mumath_agent.front.api.conversations import Conversations
from mumath_agent.front.api.requests import ChatMessage, ChatRequest
from mumath_agent.front.places import Places
from mumath_agent.front.security import Access
from mumath_agent.front.service import Service
from mumath_agent.front.sessions import SessionLimits, Sessions
from mumath_agent.protocols import CompletionModel, Dialect
from mumath_agent.records import Limits
from mumath_agent.testing import ScriptedModel
from tests.mumath_agent.front.servers import Adding, Stuck, served
from tests.waiting import HANG_S, eventually

pytestmark = [pytest.mark.anyio, pytest.mark.kernel]

QUESTION = "What is 17 + 23?"
LOOP = "```python\nprint('begun', flush=True)\nwhile True: pass\n```\n"


@dataclass
class Running:
    """A server, and what is behind it."""

    url: str
    service: Service
    errors: list[str]
    clients: dict[str, AsyncOpenAI] = field(default_factory=dict)

    def client(self, key: str = "any", retries: int = 0) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=retries, timeout=HANG_S)

    async def ask(self, *said: str, key: str = "any", **wishes: Any) -> Any:
        client = self.clients.setdefault(key, self.client(key))
        return await client.chat.completions.create(model="agent", messages=turns(*said), **wishes)

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with httpx.AsyncClient(timeout=HANG_S) as client:
            return await client.post(f"{self.url}/v1/chat/completions", content=content, headers=headers)

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(self.url + path)


@asynccontextmanager
async def running(
    model: CompletionModel | list[str] | list[Exception],
    places: Places | None = None,
    keys: tuple[str, ...] = (),
    dialect: Dialect | None = None,
    answer_line: str = BOXED,
) -> AsyncIterator[Running]:
    words = ScriptedModel(texts=model) if isinstance(model, list) else model
    solver = Solver(
        model=words, dialect=dialect or Fenced(), limits=Limits(max_turns=3, cell_timeout_s=HANG_S)
    )
    service = Service(solver, places=places, sessions=SessionLimits(most=64))
    async with service.running():
        await service.solver()
        errors = list[str]()
        api = Api(service, name="agent", answer_line=answer_line, on_error=errors.append)
        async with served(api.app(Access(keys=keys))) as url:
            server = Running(url, service, errors)
            try:
                yield server
            finally:
                for client in server.clients.values():
                    await client.close()


def turns(*said: str) -> Any:
    """Return messages of the user and the assistant in turn."""
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]


async def test_an_answer_in_one_piece() -> None:
    async with running(Adding()) as server:
        answer = await server.ask(QUESTION)
    (choice,) = answer.choices
    assert choice.message.content == "The answer is \\(\\boxed{40}\\)."
    assert choice.finish_reason == "stop"
    assert "```output\n40\n```" in choice.message.reasoning_content
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (14, 10)  # of both turns


async def test_an_answer_as_it_is_written() -> None:
    async with running(Adding()) as server:
        whole = (await server.ask(QUESTION)).choices[0].message
        stream = await server.ask(QUESTION, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    thoughts = [delta.reasoning_content for delta in deltas if getattr(delta, "reasoning_content", None)]
    assert len(thoughts) > 5
    assert "".join(thoughts).split() == whole.reasoning_content.split()
    assert [delta.content for delta in deltas if delta.content] == [whole.content]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.total_tokens == 24
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_conversation_keeps_its_python_session_and_no_other_gets_it() -> None:
    program = "```python\n{}\n```\n"
    first = [program.format("x = 41; print(x)"), "\\boxed{41}"]
    again = [program.format("print(globals().get('x'))"), "\\boxed{1}"]
    lost = [program.format("import os; os._exit(3)"), *again]
    model = ScriptedModel(texts=[*first, *again * 5, *lost, *again])
    async with running(model, keys=("hers", "his")) as server:

        async def found(*said: str, key: str = "hers") -> tuple[str, str]:
            message = (await server.ask(*said, key=key)).choices[0].message
            return message.reasoning_content.split("```output\n")[1].split("\n")[0], message.content

        reply = "The answer is \\(\\boxed{41}\\)."
        assert await found("Set x.") == ("41", reply)
        assert (await found("Set x.", reply, "And x?", key="his"))[0] == "None"
        assert (await found("Set y.", reply, "And x?"))[0] == "None"
        seen, second = await found("Set x.", reply, "And x?")
        assert seen == "41"
        assert (await found("Set x.", reply, "And x?", second, "Still x?"))[0] == "41"
        assert (await found("Set x.", reply, "And x?"))[0] == "None"  # its session has gone on
        assert "holds what these programs defined:\n\n    x = 41; print(x)\n" in str(model.prompts[-4])
        assert "holds" not in str(model.prompts[-2])


async def test_a_question_carries_the_turns_before_it() -> None:
    model = ScriptedModel(texts=["\\boxed{2}"])
    async with running(model) as server:
        await server.ask("What is 1 + 1?", "It is 2.", "And twice that?")
    assert "Question: What is 1 + 1?\nAnswer: It is 2.\n\nNow answer this question: And twice that?" in str(
        model.prompts[0]
    )


async def test_n_are_choices_and_attempts_are_votes() -> None:
    async with running([f"\\boxed{{{n}}}" for n in (3, 4, 4, 7, 7, 7, 8, 8, 8)]) as server:
        answer = await server.ask(QUESTION, n=3, seed=1)
        assert sorted(choice.message.content[-6:-3] for choice in answer.choices) == ["{3}", "{4}", "{4}"]
        assert answer.usage.completion_tokens == 3
        voted = await server.ask(QUESTION, extra_body={"attempts": 3})
        chunks = [
            chunk async for chunk in await server.ask(QUESTION, stream=True, extra_body={"attempts": 3})
        ]
    deltas = [chunk.choices[0].delta for chunk in chunks]
    told = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert "ended: Answer: 8\n" in told
    assert "votes: 8\n" in told
    assert "".join(delta.content or "" for delta in deltas).endswith("The answer is \\(\\boxed{8}\\).")
    assert "Votes: 7 (" in voted.choices[0].message.content
    assert voted.choices[0].message.content.endswith("The answer is \\(\\boxed{7}\\).")


async def test_choices_are_streamed_by_their_index() -> None:
    async with running(Adding(programs=False)) as server:
        chunks = [chunk async for chunk in await server.ask(QUESTION, n=2, stream=True)]
    contents = {
        choice.index: choice.delta.content
        for chunk in chunks
        for choice in chunk.choices
        if choice.delta.content
    }
    assert contents == dict.fromkeys((0, 1), "The answer is \\(\\boxed{40}\\).")


WISHES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"stop": ["\\)"]}, "The answer is \\(\\boxed{40}"),
    ({"stop": "The"}, ""),
    ({"temperature": 0.7, "top_p": 0.9, "seed": -1, "max_tokens": 5}, "The answer is \\(\\boxed{40}\\)."),
    ({"tools": [], "logprobs": False}, "The answer is \\(\\boxed{40}\\)."),
)


async def test_wishes_of_a_client() -> None:
    async with running(Adding(programs=False)) as server:
        for wishes, content in WISHES:
            choice = (await server.ask(QUESTION, **wishes)).choices[0]
            assert (choice.message.content, choice.finish_reason) == (content, "stop"), wishes


async def test_a_harness_can_have_the_answer_in_a_line_of_its_own() -> None:
    """Inspect's gsm8k wants ANSWER, lm-evaluation-harness's strict match four hashes."""
    async with running(Adding(programs=False), answer_line="ANSWER: {}") as server:
        assert (await server.ask(QUESTION)).choices[0].message.content == "ANSWER: 40"
        chunks = [chunk async for chunk in await server.ask(QUESTION, stream=True)]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "ANSWER: 40"
        for line in ("ANSWER", "", "two\nlines {}"):
            with pytest.raises(InputError, match="one line with"):
                Api(server.service, name="agent", answer_line=line)


async def test_no_answer_says_why() -> None:
    async with running(["I can't say."]) as server:
        said = (await server.ask(QUESTION)).choices[0]
    assert said.message.content == "No answer: the model ended without an answer"


GOOD = {"messages": [{"role": "user", "content": QUESTION}]}


def message(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": QUESTION, **fields}]}


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"\xff\xfe", 400, None),
        (b"[" * 100_000, 400, None),
        (b'{"messages":' + b"[" * 5000 + b"]" * 5000 + b"}", 400, None),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', 400, None),
        (b'{"messages": [{"role": "user", "content": "a\\u0000b"}]}', 400, "messages"),
        ([], 400, None),
        ("text", 400, None),
        ({}, 400, "messages"),
        ({"messages": []}, 400, "messages"),
        ({"messages": "hello"}, 400, "messages"),
        ({"messages": [1]}, 400, "messages.0"),
        (message(role="robot"), 400, "messages.0.role"),
        (message(role="tool"), 400, "messages.0.role"),
        (message(role="assistant"), 400, "messages.0.role"),
        (message(content=None), 400, "messages"),
        (message(content=" "), 400, "messages"),
        (message(content="x" * 20_001), 400, "messages"),
        (message(content=[{}] * 3000), 400, "messages"),
        (message(content=[{"type": "image_url", "image_url": {"url": "x"}}]), 400, "messages"),
        ({**GOOD, "model": "gpt-5"}, 404, "model"),
        ({**GOOD, "model": 3}, 400, "model"),
        ({**GOOD, "stream": "yes"}, 400, "stream"),
        ({**GOOD, "n": 0}, 400, "n"),
        ({**GOOD, "n": 17}, 400, "n"),
        ({**GOOD, "n": 1.5}, 400, "n"),
        ({**GOOD, "n": 2, "attempts": 2}, 400, "attempts"),
        ({**GOOD, "attempts": True}, 400, "attempts"),
        ({**GOOD, "temperature": -1}, 400, "temperature"),
        ({**GOOD, "temperature": "hot"}, 400, "temperature"),
        (b'{"temperature": NaN, ' + json.dumps(GOOD).encode()[1:], 400, "temperature"),
        ({**GOOD, "top_p": 0}, 400, "top_p"),
        ({**GOOD, "seed": 10**400}, 400, "seed"),
        ({**GOOD, "max_tokens": 0}, 400, "max_tokens"),
        ({**GOOD, "max_completion_tokens": "9"}, 400, "max_completion_tokens"),
        ({**GOOD, "stop": 5}, 400, "stop.str"),
        ({**GOOD, "stop": ["x"] * 65}, 400, "stop.str"),
        ({**GOOD, "stream_options": 1}, 400, "stream_options"),
        ({**GOOD, "tools": [{"type": "function"}]}, 400, "tools"),
        ({**GOOD, "functions": [{}]}, 400, "functions"),
        ({**GOOD, "response_format": {"type": "json_object"}}, 400, "response_format"),
        ({**GOOD, "logprobs": True}, 400, "logprobs"),
        (b" " * (5 << 20), 413, None),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_what_can_not_be_answered_is_refused_in_the_apis_own_form(
    refusing: Running, body: Any, status: int, param: str | None
) -> None:
    response = await refusing.post(body)
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (
        status,
        "not_found_error" if status == 404 else "invalid_request_error",
    )
    if param is not None:
        assert str(error["param"]).startswith(param)
    assert len(error["message"]) < 300


def test_of_a_million_faults_one_is_looked_at() -> None:
    many = [message(content=[{}] * 3000)["messages"][0]] * 2
    with pytest.raises(ValidationError) as caught:
        ChatRequest.model_validate({"messages": many})
    assert caught.value.error_count() == 2  # neither a text nor parts


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def refusing() -> AsyncIterator[Running]:
    async with running(ScriptedModel(texts=[])) as server:
        yield server


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("GET", "/", 404),
        ("GET", "/v1/models/other", 404),
        ("PUT", "/health", 405),
    ],
)
async def test_other_paths(refusing: Running, method: str, path: str, status: int) -> None:
    async with httpx.AsyncClient() as client:
        response = await client.request(method, refusing.url + path)
    assert (response.status_code, set(response.json())) == (status, {"error"})


async def test_models_health_and_metrics() -> None:
    async with running(Adding(programs=False), keys=("secret",)) as server:
        async with server.client("secret") as client:
            assert [model.id async for model in client.models.list()] == ["agent"]
            assert (await client.models.retrieve("agent")).owned_by == "mumath-agent"
        await server.ask(QUESTION, key="secret")
        with pytest.raises(openai.AuthenticationError, match="a valid key is needed"):
            await server.ask(QUESTION, key="other")
        assert (await server.get("/health")).json() == {"status": "ok"}
        assert (await server.get("/metrics")).status_code == 401
        async with httpx.AsyncClient(headers={"authorization": "Bearer secret"}) as client:
            lines = (await client.get(f"{server.url}/metrics")).text.splitlines()
    assert 'mumath_requests_total{path="/v1/chat/completions",status="401"} 1' in lines
    assert 'mumath_attempts_total{ended="answered"} 1' in lines
    assert 'mumath_tokens_total{kind="completion"} 5' in lines
    assert "mumath_answering 0" in lines


async def test_langchains_chat_model() -> None:
    async with running(Adding()) as server:
        chat = ChatOpenAI(model="agent", base_url=f"{server.url}/v1", api_key="any", temperature=0)  # type: ignore[arg-type]
        message = await chat.ainvoke([HumanMessage(QUESTION)])
        pieces = [piece.content async for piece in chat.astream([HumanMessage(QUESTION)])]
    assert message.content == "".join(map(str, pieces)) == "The answer is \\(\\boxed{40}\\)."
    assert message.usage_metadata
    assert message.usage_metadata["total_tokens"] == 24


async def test_too_many_are_told_when_to_come_again() -> None:
    model = Stuck()
    async with running(model, Places(at_once=1, waiting=1)) as server:
        asked = [asyncio.create_task(server.ask(QUESTION)) for _ in range(2)]
        assert await eventually(lambda: model.begun == 1 and server.service.places.waiting == 1)
        for wish in ({}, {"stream": True}):
            refused = await server.post({**GOOD, **wish})
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.json()["error"]["type"] == "rate_limit_error"
        async with server.client(retries=2) as client:  # it waits as long as it is told
            patient = asyncio.create_task(
                client.chat.completions.create(model="agent", messages=turns(QUESTION))
            )
            await asyncio.sleep(0.05)
            model.released.set()
            assert (await patient).choices[0].message.content == "The answer is \\(\\boxed{1}\\)."
        for answer in asked:
            assert (await answer).choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_ends_its_attempt(stream: bool) -> None:
    model = Stuck()
    async with running(model) as server:
        async with httpx.AsyncClient(timeout=HANG_S) as client:
            body = {**GOOD, "stream": stream}
            asking = asyncio.create_task(client.post(f"{server.url}/v1/chat/completions", json=body))
            assert await eventually(lambda: model.begun == 1)
            asking.cancel()
        assert await eventually(lambda: model.cancelled == 1 and len(server.service.sessions) == 0)
        assert await eventually(lambda: server.service.places.taken == 0)


async def test_a_client_that_goes_away_ends_its_program() -> None:
    async with running([LOOP, *["\\boxed{1}"] * 2]) as server:
        stream = await server.ask(QUESTION, stream=True)
        async for chunk in stream:
            if "while True" in (getattr(chunk.choices[0].delta, "reasoning_content", None) or ""):
                break
        await stream.close()
        assert await eventually(lambda: len(server.service.sessions) == 0)
        assert (await server.ask(QUESTION)).choices[0].finish_reason == "stop"


@pytest.mark.parametrize(("kind", "status"), [(ModelUnreachable, 502), (KernelError, 503), (ValueError, 500)])
async def test_what_broke_is_told_to_the_servers_owner_only(kind: type[Exception], status: int) -> None:
    secret = "http://10.0.0.7:8000/v1 doesn't answer"
    broken: list[Exception] = [kind(secret)] * 2
    async with running(broken) as server:
        with pytest.raises(openai.InternalServerError) as whole:
            await server.ask(QUESTION)
        assert whole.value.status_code == status
        with pytest.raises(openai.APIError) as streamed:
            async for _ in await server.ask(QUESTION, stream=True):
                pass
        assert "10.0.0.7" not in str(whole.value) + str(streamed.value)
        assert len([error for error in server.errors if secret in error]) == 2


async def test_half_a_request_and_a_reader_who_does_not_read_disturb_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(security, "SEND_S", 0.2)
    flood = "x" * 12_000_000
    async with running([flood, *["\\boxed{1}"] * 2]) as server:
        host, port = server.url.removeprefix("http://").split(":")
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: "
        half, unread = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        half[1].write(f"{head}100\r\n\r\n{{".encode())
        body = json.dumps({**GOOD, "stream": True})
        unread[1].write(f"{head}{len(body)}\r\n\r\n{body}".encode())
        assert await eventually(lambda: server.service.places.taken == 1)
        assert (await server.ask(QUESTION)).choices[0].message.content.endswith("{1}\\).")
        half[1].close()
        assert await eventually(lambda: server.service.places.taken == 0)
        assert (await server.ask(QUESTION)).choices[0].message.content.endswith("{1}\\).")
        unread[1].close()


async def chat(server: Running, number: int, turns_each: int = 2) -> None:
    """Go on with a conversation of its own, streamed, and check that all of it is its own."""
    said: list[str] = []
    for turn in range(turns_each):
        said.append(f"What is {number}000 + {turn}?")
        content, thoughts = "", ""
        async for chunk in await server.ask(*said, stream=True):
            delta = chunk.choices[0].delta
            content += delta.content or ""
            thoughts += getattr(delta, "reasoning_content", None) or ""
        assert content == f"The answer is \\(\\boxed{{{number * 1000 + turn}}}\\)."
        assert f"We add {number}000 and {turn}." in " ".join(thoughts.split())
        said.append(content)


@pytest.mark.parametrize("chats", [12, pytest.param(50, marks=pytest.mark.slow)])
async def test_many_chats_at_once_lose_and_cross_nothing(chats: int) -> None:
    async with running(Adding(), Places(at_once=8, waiting=64)) as server:
        await asyncio.gather(*(chat(server, number) for number in range(1, chats + 1)))
        assert server.service.places.taken == server.service.places.waiting == 0


@pytest.mark.slow  # a thousand requests take a minute
async def test_a_thousand_requests_leave_nothing_in_memory() -> None:
    async with running(Adding(programs=False)) as server:

        async def ask_many(first: int) -> int:
            for number in range(first, first + 20):
                await asyncio.gather(*(chat(server, number * 25 + n + 1, 1) for n in range(25)))
            return psutil.Process().memory_info().rss

        before = await ask_many(0)
        after = await ask_many(20)
    assert after - before < 10 << 20


@pytest.mark.parametrize(("dialect", "is_told"), [(Chat(), True), (Fenced(), False)])
async def test_a_system_message_is_for_models_that_chat(dialect: Dialect, is_told: bool) -> None:
    model = ScriptedModel(texts=["\\boxed{40}"])
    async with running(model, dialect=dialect) as server:
        messages = [{"role": "system", "content": "Be brief."}, *turns(QUESTION)]
        assert (await server.post({"messages": messages})).status_code == 200
    assert ("Be brief." in str(model.prompts[0])) is is_told


def said(*messages: tuple[str, str]) -> ChatRequest:
    return ChatRequest(messages=[ChatMessage(role=role, content=text) for role, text in messages])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("messages", "earlier", "question"),
    [
        ([("user", "q")], [], "q"),
        ([("user", "Let x be 5."), ("user", "And x + 1?")], [], "Let x be 5.\n\nAnd x + 1?"),
        ([("assistant", "Hello."), ("user", "q")], [("", "Hello.")], "q"),
        (
            [("user", "p"), ("system", "s"), ("user", "q"), ("assistant", "a"), ("user", "r")],
            [("p\n\nq", "a")],
            "r",
        ),
        ([("user", "p"), ("assistant", "<think>Hm.</think>\n\na"), ("user", "q")], [("p", "a")], "q"),
    ],
)
def test_turns_of_a_conversation(
    messages: list[tuple[str, str]], earlier: list[tuple[str, str]], question: str
) -> None:
    request = said(*messages)
    assert [(turn.question, turn.answer) for turn in request.earlier] == earlier
    assert request.question == question


ASKED, ANSWERED = ("user", "p"), ("assistant", "a")


@pytest.mark.parametrize(
    ("messages", "is_the_same"),
    [
        ([ASKED, ANSWERED, ("user", "q")], True),
        ([("system", "It is noon."), ASKED, ANSWERED, ("user", "q"), ("user", "r")], True),
        ([ASKED, ("assistant", "<think>Hm.</think>\n\na "), ("user", "q")], True),
        ([ASKED, ("assistant", "b"), ("user", "q")], False),
        ([("user", "o"), ANSWERED, ("user", "q")], False),
        ([ASKED], False),
        ([ANSWERED, ("user", "q")], False),
    ],
)
async def test_a_conversation_is_known_by_what_was_said(
    messages: list[tuple[str, str]], is_the_same: bool
) -> None:
    async with Sessions(AttemptOptions()) as sessions:
        conversations = Conversations(sessions)
        kept = await conversations.take("she", said(ASKED).said)
        conversations.keep(kept, said(ASKED).said, "a")
        assert (await conversations.take("he", said(*messages).said)).handle != kept.handle
        assert ((await conversations.take("she", said(*messages).said)) == kept) is is_the_same
