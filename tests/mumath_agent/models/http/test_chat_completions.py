"""`ChatCompletionsModel` against a small server that speaks the protocol and follows a script.

The same scripts are read by `LangChainModel` over langchain-openai: two clients, one meaning.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import anyio
import pytest

from mumath_agent.agent.attempts import solve_problem
from mumath_agent.agent.graph import Handles, graph
from mumath_agent.agent.solver import Solver
from mumath_agent.dialects import Chat
from mumath_agent.errors import ModelMisconfigured, ModelRefused, ModelUnreachable
from mumath_agent.models.http.chat_completions import ChatCompletionsModel
from mumath_agent.protocols import CompletionModel, CompletionRequest, Conversation, Message, Role
from mumath_agent.records import Completion, FinishReason, Problem, Sampling
from mumath_agent.solutions import Attempts, Ending
from mumath_agent.testing import ScriptedExecutor
from tests.waiting import HANG_S, eventually

pytestmark = pytest.mark.anyio

USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}
QUESTION = Message(role=Role.USER, text="q")


class Server:
    """Answers each request with the next of `answers`; the last one is repeated."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.requests: list[Any] = []
        self.left = asyncio.Event()
        """A client closed its connection while its answer was going on."""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(int(line.split(":")[1]) for line in head.split("\r\n") if "content-length" in line)
        self.requests.append(json.loads(await reader.readexactly(length)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        writer.write(answer)
        if not answer.endswith(b"0\r\n\r\n") and b"Content-Length" not in answer:
            with suppress(ConnectionResetError):  # whoever leaves with an answer unread resets the connection
                await reader.read()
            self.left.set()
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(params=["own", "langchain"])
async def model(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[CompletionModel]:
    model = chat_model(server, request.param)
    yield model
    await model.aclose()


def chat_model(server: Server, kind: str) -> CompletionModel:
    if kind == "own":
        return ChatCompletionsModel(server.url, "m", "sk-1", attempts=2)
    openai = pytest.importorskip("langchain_openai")
    from mumath_agent.models.langchain import LangChainModel

    chat = openai.ChatOpenAI(
        base_url=f"{server.url}/v1", model="m", api_key="key", max_retries=1, stream_usage=True
    )
    return LangChainModel(chat)


def said(text: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    content = {"role": "assistant", "content": text} | delta
    return {"id": "c1", "choices": [{"index": 0, "delta": content, "finish_reason": finish}]}


def called(arguments: str, *, index: int = 0, name: str | None = None, finish: str | None = None) -> Any:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    call = {"index": index, "function": function} | ({"id": f"c{index}", "type": "function"} if name else {})
    return said(finish=finish, tool_calls=[call])


def stream(*events: Any, whole: bool = True) -> bytes:
    data = [f"data: {json.dumps(event)}\n\n".encode() for event in events]
    data += [b"data: [DONE]\n\n"] * whole
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(d), d) for d in data)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n" * whole


def refusal(status: int, message: str) -> bytes:
    body = json.dumps({"error": {"message": message}}).encode()
    head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def answered(
    model: CompletionModel, *, tool: bool = False, stop: tuple[str, ...] = (), pieces: list[str] | None = None
) -> Completion:
    return await model.complete(
        CompletionRequest(
            prompt=Conversation(messages=(QUESTION,), tool=tool),
            stop=stop,
            max_tokens=50,
            sampling=Sampling(temperature=0.5, seed=3),
        ),
        None if pieces is None else pieces.append,
    )


async def test_what_is_sent_and_what_comes_back(server: Server, model: CompletionModel) -> None:
    server.answers = [stream(said("It is "), said("4."), said("", "stop"), USAGE)]
    pieces: list[str] = []
    completion = await answered(model, stop=("```output",), pieces=pieces)
    assert completion == Completion(
        text="It is 4.", finish_reason=FinishReason.STOP, prompt_tokens=7, completion_tokens=3
    )
    assert pieces == ["It is ", "4."]
    sent = server.requests[0]
    assert sent["messages"] == [{"role": "user", "content": "q"}]
    assert (sent["temperature"], sent["seed"], sent["stop"]) == (0.5, 3, ["```output"])
    assert (sent.get("max_tokens") or sent["max_completion_tokens"]) == 50
    assert "tools" not in sent


async def test_calls_of_the_tool_become_fenced_blocks(server: Server, model: CompletionModel) -> None:
    server.answers = [
        stream(
            said("Add."),
            called('{"code": "x', name="python"),
            called(' = 1"}'),
            called('{"code": "print(x)\\n"}', index=1, name="python"),
            said(None, "tool_calls"),
        )
    ]
    pieces: list[str] = []
    completion = await answered(model, tool=True, pieces=pieces)
    assert completion.text == "Add.\n```python\nx = 1\n```\n```python\nprint(x)\n```\n"
    assert completion.finish_reason is FinishReason.STOP and "".join(pieces) == completion.text
    assert server.requests[0]["tools"][0]["function"]["name"] == "python"


async def test_calls_that_all_have_the_number_0_are_told_apart_by_their_ids(server: Server) -> None:
    first, second = (called(f'{{"code": "print({n})"}}', name="python") for n in (1, 2))
    second["choices"][0]["delta"]["tool_calls"][0]["id"] = "other"
    server.answers = [stream(first, second, said(None, "tool_calls"))]
    model = ChatCompletionsModel(server.url, "m")
    completion = await answered(model, tool=True)
    assert completion.text == "```python\nprint(1)\n```\n```python\nprint(2)\n```\n"
    await model.aclose()


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_thoughts_are_shown_and_sent_back_in_the_field_they_came_in(server: Server, name: str) -> None:
    model = ChatCompletionsModel(server.url, "m")
    server.answers = [
        stream(
            said(**{name: "I add.\nWhich "}),
            said(**{name: "is \\boxed{5}?"}),
            called('{"code": "print(3 + 4)"}', name="python"),
            said(None, "tool_calls"),
        ),
        stream(said(**{name: "Done."}), said("It is \\boxed{7}."), said("", "stop")),
    ]
    handles = Handles(model=model, kernel=ScriptedExecutor(executions=["7\n"]), dialect=Chat(tool=True))
    parts: list[Any] = [
        part
        async for part in graph.astream({"question": "q"}, context=handles, stream_mode=["custom", "values"])
    ]
    events: list[Any] = [part for mode, part in parts if mode == "custom"]
    state: Any = parts[-1][1]
    assert "".join(event["text"] for event in events if event["event"] in ("text", "output")) == (
        "<think>\nI add.\nWhich is \\boxed{5}?\n</think>\n```python\nprint(3 + 4)\n```\n\n```output\n7\n```\n"
        "<think>\nDone.\n</think>\nIt is \\boxed{7}."
    )
    assert state["answer"]["text"] == "7"
    call = server.requests[1]["messages"][2]
    assert (call[name], call["content"]) == ("I add.\nWhich is \\boxed{5}?", "")
    await model.aclose()


async def test_an_unknown_tool_and_unreadable_arguments_are_answered(
    server: Server, model: CompletionModel
) -> None:
    server.answers = [
        stream(
            called('{"query": "6*7"}', name="search"),
            called('{"code": [1', index=1, name="python"),
            called('{"code": "print(6*7)",}', index=2, name="python"),
            said(None, "tool_calls"),
        ),
        stream(said("It is \\boxed{42}."), said("", "stop")),
    ]
    kernel = ScriptedExecutor(executions=["42\n"])
    state = await graph.ainvoke(
        {"question": "q"}, context=Handles(model=model, kernel=kernel, dialect=Chat(tool=True))
    )
    assert state["answer"]["text"] == "42" and kernel.programs == ["print(6*7)\n"]
    _, _, spoken, *replies = server.requests[1]["messages"]
    names = [call["function"]["name"] for call in spoken["tool_calls"]]
    assert sorted(names) == ["python", "python", "search"] and names[-1] == "python"
    assert [reply["tool_call_id"] for reply in replies] == [call["id"] for call in spoken["tool_calls"]]
    assert "unknown tool `search`" in replies[names.index("search")]["content"]
    assert replies[-1]["content"] == "42"


async def test_a_call_that_the_token_limit_cut_is_left_open(server: Server, model: CompletionModel) -> None:
    server.answers = [stream(called('{"code": "print(1)\\nprint(', name="python"), said(None, "length"))]
    completion = await answered(model, tool=True)
    assert completion.finish_reason is FinishReason.LENGTH
    begun = Chat(tool=True).parse(completion.text)
    assert [segment.closed for segment in begun] == [False]


async def test_an_answer_ends_at_the_stop_string_if_the_server_goes_on(
    server: Server, model: CompletionModel
) -> None:
    server.answers = [stream(said("a\n``"), said("`output\n5"), whole=False)]
    completion = await answered(model, stop=("```output",))
    assert (completion.text, completion.finish_reason) == ("a\n", FinishReason.STOP)
    with anyio.fail_after(HANG_S):
        await server.left.wait()


async def test_the_token_limit_is_told(server: Server, model: CompletionModel) -> None:
    server.answers = [stream(said("a"), said("", "length"))]
    assert (await answered(model)).finish_reason is FinishReason.LENGTH


async def test_log_probabilities_are_asked_for_and_summed(server: Server) -> None:
    pieces = [said("a"), said("b", "stop")]
    for piece in pieces:
        piece["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -0.25}]}
    server.answers, model = [stream(*pieces, USAGE)], chat_model(server, "own")
    prompt = Conversation(messages=(QUESTION,))
    answers = [
        await model.complete(CompletionRequest(prompt=prompt, max_tokens=9, logprobs=asked))
        for asked in (True, False)
    ]
    assert [answer.logprob for answer in answers] == [-0.5, None]
    assert [answer.tail_logprobs for answer in answers] == [(-0.25, -0.25), None]
    assert [each.get("logprobs") for each in server.requests] == [True, None]
    await model.aclose()


async def test_cancelling_ends_the_generation(server: Server, model: CompletionModel) -> None:
    server.answers = [stream(said("a"), whole=False)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answered, model)
        assert await eventually(lambda: bool(server.requests))
        tasks.cancel_scope.cancel()
    with anyio.fail_after(HANG_S):
        await server.left.wait()


@pytest.mark.kernel
@pytest.mark.worker
async def test_an_attempt_that_is_not_needed_any_more_closes_its_request(
    server: Server, model: CompletionModel
) -> None:
    box = stream(said("It is $\\boxed{4}$."), said("", "stop"), USAGE)
    server.answers = [box, box, stream(said("It is"), whole=False)]
    solver, problem = Solver(model=model, dialect=Chat()), Problem(id="p", question="2+2?")
    with anyio.fail_after(HANG_S):
        solution = await solve_problem(problem, solver, Attempts(number=3))
        await server.left.wait()
    assert (solution.answer, solution.budget.ending) == ("4", Ending.DECIDED)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (refusal(401, "no such key"), ModelRefused, "no such key"),
        (refusal(400, "no chat template"), ModelRefused, "no chat template"),
        (refusal(404, "no model m"), ModelRefused, "no model m|m"),
        (refusal(503, "starting"), ModelUnreachable, "starting"),
        (stream(said("a", "content_filter")), ModelRefused, "content_filter"),
    ],
)
async def test_what_goes_wrong_is_named(
    server: Server, model: CompletionModel, answer: bytes, error: type[Exception], words: str
) -> None:
    server.answers = [answer]
    with pytest.raises(error, match=words):
        await answered(model)


@pytest.mark.parametrize(
    ("status", "message", "remedy"),
    [
        (
            400,
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
            "start the server with --enable-auto-tool-choice",
        ),
        (500, "tools param requires --jinja flag", "start llama.cpp's server with --jinja"),
        (400, "registry.ollama.ai/library/m:latest does not support tools", "trained on tool calls"),
    ],
)
async def test_a_server_that_takes_no_tools_is_named_with_the_remedy(
    server: Server, model: CompletionModel, status: int, message: str, remedy: str
) -> None:
    server.answers = [refusal(status, message)]
    with pytest.raises(ModelMisconfigured, match=remedy) as refused:
        await answered(model, tool=True)
    assert str(refused.value).endswith("use --dialect chat") and "\n" not in str(refused.value)


async def test_a_prompt_that_lost_its_beginning_is_warned_of_once(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    def used(tokens: int) -> dict[str, Any]:
        return {"choices": [], "usage": {"prompt_tokens": tokens, "completion_tokens": 3}}

    solver = Solver(model=ChatCompletionsModel(server.url, "forgetful"), dialect=Chat())
    for _ in range(2):
        server.answers = [
            stream(said("```python\nprint(1)\n```", "stop"), used(2000)),
            stream(said("It is \\boxed{1}.", "stop"), used(1990)),
        ]
        kernel = ScriptedExecutor(executions=["1\n"])
        await solver.solve(Problem(id="1", question="q"), kernel=kernel)
    warned = [record.message for record in caplog.records if "dropped the beginning" in record.message]
    assert len(warned) == 1 and "1990 tokens" in warned[0] and "num_ctx" in warned[0]
    await solver.model.aclose()


async def test_a_text_that_does_not_fit_ends_at_the_token_limit(
    server: Server, model: CompletionModel
) -> None:
    server.answers = [
        refusal(400, "This model's maximum context length is 20 tokens, however your prompt has 30 tokens.")
    ]
    completion = await answered(model)
    assert (completion.text, completion.finish_reason) == ("", FinishReason.LENGTH)


async def test_raw_text_is_refused_in_words(model: CompletionModel) -> None:
    with pytest.raises(ModelRefused, match="sent raw text; choose the dialect chat or tools"):
        await model.complete(CompletionRequest(prompt="<|user|>\nq", max_tokens=1))


async def test_an_attempt_by_calls_of_the_tool(server: Server, model: CompletionModel) -> None:
    server.answers = [
        stream(said("Add."), called('{"code": "print(3 + 4)"}', name="python"), said(None, "tool_calls")),
        stream(said("It is \\boxed{7}."), said("", "stop")),
    ]
    kernel = ScriptedExecutor(executions=["7\n"])
    handles = Handles(model=model, kernel=kernel, dialect=Chat(tool=True))
    state = await graph.ainvoke({"question": "q"}, context=handles)
    assert state["answer"]["text"] == "7" and kernel.programs == ["print(3 + 4)\n"]
    _, _, call, output = server.requests[1]["messages"]
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == {"code": "print(3 + 4)\n"}
    assert call["content"] == "Add." and output["role"] == "tool" and output["content"] == "7"
    assert output["tool_call_id"] == call["tool_calls"][0]["id"]


async def test_fields_a_server_wants_otherwise(server: Server) -> None:
    extra = {"max_tokens": None, "max_completion_tokens": 9, "temperature": None}
    model = ChatCompletionsModel(server.url, "m", extra_body=extra)
    server.answers = [stream(said("a", "stop"))]
    await answered(model)
    assert server.requests[0]["max_completion_tokens"] == 9
    assert not {"max_tokens", "temperature"} & server.requests[0].keys()
    await model.aclose()


async def test_a_broken_stream_is_tried_again_and_nothing_told_twice(server: Server) -> None:
    model = ChatCompletionsModel(server.url, "m", attempts=2)
    server.answers = [
        stream(said("It "), said("is", "abort")),
        stream(said("It "), said("is 4."), said("", "stop")),
    ]
    pieces: list[str] = []
    assert (await answered(model, pieces=pieces)).text == "It is 4." == "".join(pieces)
    await model.aclose()


BEGIN = "```python\n"


@pytest.mark.parametrize(
    "answer",
    [
        (said("print(1)\n```"), said(finish="stop")),  # vLLM sends only what it adds
        (said(BEGIN + "print(1)\n```"), said(finish="stop")),  # llama.cpp repeats what it was given
        (said("``"), said("`python"), said("\nprint"), said("(1)\n```"), said(finish="stop")),
        (said("pri"), said("nt(1)\n"), said("```"), said(finish="stop")),
    ],
)
async def test_an_answer_that_was_begun_is_whole_whether_or_not_the_server_repeats_its_beginning(
    server: Server, answer: tuple[Any, ...]
) -> None:
    model = ChatCompletionsModel(server.url, "m")
    server.answers = [stream(*answer, USAGE)]
    pieces: list[str] = []
    request = CompletionRequest(prompt=Conversation(messages=(QUESTION,), begin=BEGIN), max_tokens=9)
    completion = await model.complete(request, pieces.append)
    assert completion.text == f"{BEGIN}print(1)\n```" == "".join(pieces)
    (sent,) = server.requests
    assert sent["messages"][-1] == {"role": "assistant", "content": BEGIN}
    assert sent["continue_final_message"] is True and sent["add_generation_prompt"] is False
    await model.aclose()
