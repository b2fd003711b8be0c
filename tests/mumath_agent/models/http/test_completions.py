"""`CompletionsModel` against a small server that speaks the protocol and follows a script.

What a real vLLM does is in `test_models_vllm.py`; here are the troubles a healthy server can't be made to have.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import anyio
import pytest

from mumath_agent.errors import InputError, ModelMisconfigured, ModelRefused, ModelUnreachable
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.protocols import CompletionRequest
from mumath_agent.records import Completion, FinishReason, Sampling
from tests.waiting import HANG_S

pytestmark = pytest.mark.anyio

KEY = "sk-secret-123"
USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


class Server:
    """Answers each request with the next of `answers`; the last one is repeated."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.requests: list[Any] = []
        self.headers: list[str] = []
        self.left = asyncio.Event()
        """A client closed its connection."""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(h.split(":")[1]) for h in head.lower().split("\r\n") if "content-length" in h), 0)
        body = await reader.readexactly(length)
        self.headers.append(head)
        self.requests.append(json.loads(body) if body else head.split()[1])
        writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
        if b"hangs" in self.answers[0]:
            with suppress(ConnectionResetError):  # whoever leaves with an answer unread resets the connection
                await reader.read()
            self.left.set()
        writer.close()
        await writer.wait_closed()


def answer(status: int, body: Any, *headers: str) -> bytes:
    data = json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} x", "Connection: close", f"Content-Length: {len(data)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + data


def text(piece: str, finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "cmpl-1",
        "choices": [{"index": 0, "text": piece, "finish_reason": finish, "new": 1}],
        "error": None,
    }


def stream(*events: Any, whole: bool = True, newline: bytes = b"\n\n") -> bytes:
    data = [b"data: " + json.dumps(event, ensure_ascii=False).encode() + newline for event in events]
    data += [b"data: [DONE]\n\n"] * whole
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(d), d) for d in data) + b"0\r\n\r\n" * whole


GOOD = stream(text("It is "), text("4."), text("", "stop"), USAGE)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def model(server: Server) -> AsyncIterator[CompletionsModel]:
    model = CompletionsModel(server.url, model="m", api_key=KEY, attempts=3)
    yield model
    await model.aclose()


async def ask(model: CompletionsModel, pieces: list[str] | None = None, *stop: str) -> Completion:
    on_text = None if pieces is None else pieces.append
    return await model.complete(
        CompletionRequest(prompt="2+2?", stop=stop, max_tokens=9, sampling=Sampling(seed=5)), on_text
    )


async def test_answer_and_request(server: Server, model: CompletionsModel) -> None:
    server.answers, pieces = [GOOD], list[str]()
    completion = await ask(model, pieces, "```output")
    assert completion == Completion(
        text="It is 4.", finish_reason=FinishReason.STOP, prompt_tokens=7, completion_tokens=3
    )
    assert pieces == ["It is ", "4."]
    sent = {"model": "m", "prompt": "2+2?", "max_tokens": 9, "stop": ["```output"], "temperature": 0.0}
    assert server.requests == [
        sent | {"top_p": 1.0, "seed": 5, "stream": True, "stream_options": {"include_usage": True}}
    ]
    assert f"Authorization: Bearer {KEY}" in server.headers[0]


def vllm(**choice: Any) -> dict[str, Any]:
    return text("") | {"choices": [{"index": 0, "logprobs": None, "token_ids": None} | choice], "usage": None}


LLAMA_CPP_END = text("", "stop") | {"timings": {"predicted_n": 3}, "usage": USAGE["usage"]}
OTHERS = {
    "vllm": stream(
        vllm(text="It is", finish_reason=None), vllm(text=" 4.", finish_reason="stop", stop_reason="#"), USAGE
    ),
    "sglang": stream(
        vllm(text="It is", finish_reason=None, matched_stop=None),
        vllm(text=" 4.", finish_reason="stop", matched_stop="#"),
        USAGE,
    ),
    "llama.cpp": stream(text("It is"), text(" 4."), LLAMA_CPP_END),
    "ollama": stream(text("It is", ""), text(" 4.", ""), text("", "stop"), USAGE),
    "text generation inference": stream(text("It is"), text(" 4.", "eos_token") | {"usage": USAGE["usage"]}),
    "carriage returns, comments": stream(
        text("It is"), text(" 4.", "stop"), USAGE, newline=b"\r\n: ping\r\n\r\n"
    ),
}


@pytest.mark.parametrize("server_name", OTHERS)
async def test_what_other_servers_write(server: Server, model: CompletionsModel, server_name: str) -> None:
    """Written after their documentation and sources; docs/servers.md says which of them are real ones elsewhere."""
    server.answers = [OTHERS[server_name]]
    assert await ask(model, [], "#") == Completion(
        text="It is 4.", finish_reason=FinishReason.STOP, prompt_tokens=7, completion_tokens=3
    )


TROUBLES = {
    "500": answer(500, {"error": {"message": "EngineCore encountered an issue"}}),
    "503": answer(503, "no JSON object"),
    "429": answer(429, {"error": "slow down"}, "Retry-After: 0"),
    "abort": stream(text("It is 5"), text("", "abort")),
    "no finish": stream(text("It is 5")),
    "broken off": stream(text("It is 5"), whole=False),
    "error event": stream({"error": {"message": "EngineCore died"}}),
    "no object": stream("no object"),
    "no gzip": GOOD.replace(b"\r\n", b"\r\nContent-Encoding: gzip\r\n", 1),
    "nonsense": b"nonsense\r\n\r\n",
    "closed": b"",
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_passing_trouble_is_tried_again(server: Server, model: CompletionsModel, trouble: str) -> None:
    server.answers, pieces = [TROUBLES[trouble], GOOD], list[str]()
    assert (await ask(model, pieces)).text == "It is 4."
    assert len(server.requests) == 2
    assert sum(map(len, pieces)) == len("It is 4.")  # what was shown before is not shown again


async def test_retry_after_is_honoured(server: Server, model: CompletionsModel) -> None:
    server.answers = [answer(429, {}, "Retry-After: 1"), GOOD]
    started = anyio.current_time()
    await ask(model)
    assert anyio.current_time() - started >= 1


@pytest.mark.parametrize(
    ("status", "retry_after"),
    [(429, None), (429, "0"), (503, "0"), (503, "Wed, 21 Oct 2015 07:28:00 GMT"), (429, "soon")],
)
async def test_a_busy_server_is_asked_again_where_a_failing_one_is_not(
    server: Server, status: int, retry_after: str | None
) -> None:
    header = [] if retry_after is None else [f"Retry-After: {retry_after}"]
    server.answers = [answer(status, {"error": "slow down"}, *header), GOOD]
    model = CompletionsModel(server.url, model="m", attempts=1)
    assert (await ask(model)).text == "It is 4."
    server.answers = [answer(500, {})]
    with pytest.raises(ModelUnreachable, match="tried once"):
        await ask(model)
    await model.aclose()


TOO_LONG = "This model's maximum context length is 12 tokens. You requested {} tokens ({} in the messages, {} for you)"


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_text_that_does_not_fit_is_asked_for_shorter(
    server: Server, model: CompletionsModel, status: int
) -> None:
    server.answers = [answer(status, {"error": {"message": TOO_LONG.format(16, 7, 9)}}), GOOD]
    assert (await ask(model)).text == "It is 4."
    assert [request["max_tokens"] for request in server.requests] == [9, 5]


@pytest.mark.parametrize(
    "no_room",
    [
        answer(400, {"object": "error", "message": TOO_LONG.format(23, 14, 9)}),
        stream({"error": {"message": TOO_LONG.format(23, 14, 9), "code": 400}}),
    ],
    ids=["at once", "within the stream"],
)
async def test_a_text_that_leaves_no_room_ends_at_the_token_limit(
    server: Server, model: CompletionsModel, no_room: bytes
) -> None:
    server.answers, pieces = [no_room], list[str]()
    assert await ask(model, pieces) == Completion(
        text="", finish_reason=FinishReason.LENGTH, prompt_tokens=14, completion_tokens=0
    )
    assert len(server.requests) == 1 and pieces == []


@pytest.mark.parametrize("code", [500, "503"])
async def test_an_engine_that_broke_over_its_context_is_tried_again(
    server: Server, model: CompletionsModel, code: int | str
) -> None:
    error = {"message": "no KV cache left; decrease max_model_len or the context length", "code": code}
    server.answers = [answer(500, {"error": error}), stream({"error": error}), GOOD]
    assert (await ask(model)).text == "It is 4."


async def test_no_more_is_asked_for_than_the_server_says_its_context_holds(server: Server) -> None:
    server.answers = [answer(200, {"data": [{"id": "m", "max_model_len": 6}]}), GOOD]
    model = CompletionsModel(server.url)
    await ask(model)
    assert server.requests[1]["max_tokens"] == 5
    await model.aclose()


async def test_what_a_server_wants_besides(server: Server) -> None:
    server.answers = [GOOD]
    model = CompletionsModel(server.url, model="m", extra_body={"skip_special_tokens": False, "top_p": None})
    await ask(model)
    assert server.requests[0]["skip_special_tokens"] is False and "top_p" not in server.requests[0]
    await model.aclose()


async def test_trouble_that_stays(server: Server, model: CompletionsModel) -> None:
    server.answers = [answer(500, {"error": {"message": f"bad\nday for {KEY}"}})]
    with pytest.raises(ModelUnreachable) as caught:
        await ask(model)
    url = f"{server.url}/v1/completions"
    assert str(caught.value) == f"{url} answered 500: bad day for ***, tried 3 times; see the server's log"
    assert len(server.requests) == 3


async def test_silence_is_not_waited_for_twice(server: Server) -> None:
    server.answers = [stream(text("hangs"), whole=False)]
    model = CompletionsModel(server.url, model="m", api_key=KEY, attempts=3, read_timeout_s=1)
    with pytest.raises(
        ModelUnreachable, match="took the request, but sent nothing for 1 s; see the server's log"
    ):
        await ask(model)
    await model.aclose()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "answered 400: too long, 9000 > 4096$"),
        (401, r"answered 401: too long, 9000 > 4096; set MUMATH_API_KEY to the server's key$"),
        (422, "answered 422"),
        (302, "answered 302"),
    ],
)
async def test_no_is_no(server: Server, model: CompletionsModel, status: int, said: str) -> None:
    server.answers = [answer(status, {"object": "error", "message": "too long,\n 9000 > 4096"})]
    with pytest.raises(ModelRefused, match=said):
        await ask(model)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("served", "said"),
    [
        (
            answer(200, {"data": [{"id": "a"}, {"id": "b"}]}),
            "doesn't serve 'm', but a, b; choose with --model$",
        ),
        (answer(200, {"data": [{"id": "m"}]}), "has no /completions"),
        (answer(404, {}), "has no /completions or doesn't serve 'm'"),
    ],
)
async def test_wrong_model_name(server: Server, model: CompletionsModel, served: bytes, said: str) -> None:
    server.answers = [answer(404, {"error": {"message": "The model `m` does not exist."}}), served]
    with pytest.raises(ModelRefused, match=said):
        await ask(model)
    assert len(server.requests) == 2


async def test_stop_strings_are_also_enforced_here(server: Server, model: CompletionsModel) -> None:
    server.answers, pieces = (
        [stream(text("4\n``"), text("`out"), text("put\nhangs"), whole=False)],
        list[str](),
    )
    completion = await ask(model, pieces, "a", "b", "c", "d", "```output")
    assert (completion.text, completion.finish_reason) == ("4\n", FinishReason.STOP)
    assert pieces == ["4\n"]
    assert server.requests[0]["stop"] == ["a", "b", "c", "d"]  # servers refuse more
    await asyncio.wait_for(server.left.wait(), HANG_S)  # and it need not write on


async def test_the_end_of_a_text_that_might_have_been_a_stop_string(
    server: Server, model: CompletionsModel
) -> None:
    server.answers, pieces = [stream(text("4 ``"), text("`", "length"))], list[str]()
    completion = await ask(model, pieces, "```output")
    assert (completion.text, completion.finish_reason) == ("4 ```", FinishReason.LENGTH)
    assert pieces == ["4 ", "```"]
    assert (completion.prompt_tokens, completion.completion_tokens) == (0, 0)  # the server said nothing


async def test_every_character_arrives(server: Server, model: CompletionsModel) -> None:
    odd = "é\u2028\u2029\x85\x0c\r\n∑𝑥"
    server.answers = [stream(text(odd, "stop"))]
    assert (await ask(model)).text == odd


@pytest.mark.parametrize(
    ("sent", "logprob"),
    [
        ([{"token_logprobs": [-0.5, -0.25]}, {"token_logprobs": [-1.0]}], -1.75),
        ([{"token_logprobs": [None, -0.25]}, None], -0.25),
        ([{"content": [{"token": "a", "logprob": -0.5}]}, {"content": []}], -0.5),  # llama.cpp
        ([None, None], None),
        ([{"token_logprobs": ["x", 3, {"a": 1}]}, "odd"], None),
    ],
)
async def test_log_probabilities_are_asked_for_and_summed(
    server: Server, model: CompletionsModel, sent: list[Any], logprob: float | None
) -> None:
    pieces = [text(piece) for piece in ("It is ", "4.")]
    for piece, given in zip(pieces, sent, strict=True):
        piece["choices"][0]["logprobs"] = given
    server.answers = [stream(*pieces, text("", "stop"), USAGE)]
    request = CompletionRequest(prompt="2+2?", max_tokens=9, logprobs=True)
    assert (await model.complete(request)).logprob == logprob
    await ask(model)
    assert [each.get("logprobs") for each in server.requests] == [1, None]


@pytest.mark.parametrize(
    ("sent", "ids", "logprobs"),
    [
        ([([5, 6], [-0.5, -0.25]), ([7], [-1.0])], (5, 6, 7), (-0.5, -0.25, -1.0)),
        ([(None, None), ([7], [-1.0])], (7,), (-1.0,)),
        ([(None, [-0.5]), (None, [-1.0])], None, (-0.5, -1.0)),  # a server that tells no ids
        ([(["x"], ["x"]), ("7", None)], None, None),
    ],
)
async def test_tokens_are_asked_for_and_kept(
    server: Server,
    model: CompletionsModel,
    sent: list[Any],
    ids: tuple[int, ...] | None,
    logprobs: tuple[float, ...] | None,
) -> None:
    pieces = [text(piece) for piece in ("It is ", "4.")]
    for piece, (token_ids, numbers) in zip(pieces, sent, strict=True):
        piece["choices"][0] |= {"token_ids": token_ids, "logprobs": numbers and {"token_logprobs": numbers}}
    server.answers = [stream(*pieces, text("", "stop"), USAGE)]
    request = CompletionRequest(prompt="2+2?", max_tokens=9, tokens=True, prompt_ids=(1, 2, 3))
    told = await model.complete(request)
    assert (told.token_ids, told.token_logprobs) == (ids, logprobs)
    plain = await ask(model)
    assert (plain.token_ids, plain.token_logprobs, plain.logprob) == (None, None, None)
    fields = ("prompt", "logprobs", "return_token_ids")
    asked = [tuple(each.get(name) for name in fields) for each in server.requests]
    assert asked == [([1, 2, 3], 1, True), ("2+2?", None, None)]


async def test_cancelling_closes_the_connection(server: Server, model: CompletionsModel) -> None:
    server.answers = [stream(text("hangs"), whole=False)]
    begun = asyncio.Event()
    running = asyncio.create_task(
        model.complete(CompletionRequest(prompt="a", max_tokens=9), lambda _: begun.set())
    )
    await begun.wait()
    running.cancel()
    await asyncio.wait_for(server.left.wait(), HANG_S)


async def test_the_only_model_is_found_once(server: Server) -> None:
    server.answers = [answer(200, {"data": [{"id": "mumath"}]}), GOOD]
    model = CompletionsModel(f"{server.url}/v1/")
    assert model.name == f"{server.url}/v1"
    await asyncio.gather(ask(model), ask(model))
    assert model.name == "mumath"
    assert server.requests[0] == "/v1/models"
    assert [request["model"] for request in server.requests[1:]] == ["mumath", "mumath"]
    await model.aclose()


@pytest.mark.parametrize(
    ("served", "said"),
    [
        (["a", "b"], r"serves 2 models \(a, b\); choose one with --model"),
        (
            [str(n) for n in range(99)],
            r"serves 99 models \(0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 89 more\); choose",
        ),
        ([], "lists no model; name the one to use with --model"),
    ],
)
async def test_no_only_model(server: Server, served: list[str], said: str) -> None:
    server.answers = [answer(200, {"data": [{"id": name} for name in served]})]
    model = CompletionsModel(server.url)
    with pytest.raises(ModelMisconfigured, match=said):
        await ask(model)
    await model.aclose()


async def test_nothing_listens(server: Server) -> None:
    await server.stop()
    model = CompletionsModel(server.url, attempts=2)
    with pytest.raises(ModelUnreachable) as caught:
        await ask(model)
    assert str(caught.value) == (
        f"nothing answers at {server.url}/v1 (connection refused), tried 2 times; "
        "is a server running there? `mumath-agent serve MODEL` starts one"
    )
    await model.aclose()


@pytest.mark.parametrize(
    "base_url", ["", "localhost:8000", "ftp://host/v1", "http://", "http://user:pw@host", "http://host:x"]
)
async def test_addresses_that_are_none(base_url: str) -> None:
    with pytest.raises(InputError, match="base_url") as caught:
        CompletionsModel(base_url)
    assert "pw" not in str(caught.value)


async def test_the_key_stays_secret(server: Server, model: CompletionsModel) -> None:
    assert KEY not in f"{model!r} {model}"
    server.answers = [answer(401, {"error": {"message": f"invalid API key: {KEY}"}})]
    with pytest.raises(ModelRefused) as caught:
        await ask(model)
    assert KEY not in str(caught.value) and "***" in str(caught.value)
    with pytest.raises(InputError) as unsendable:
        CompletionsModel(server.url, api_key=f"{KEY}\nx")
    assert KEY not in str(unsendable.value)


async def test_two_event_loops_one_model(server: Server, model: CompletionsModel) -> None:
    """A notebook may call it synchronously and asynchronously."""
    server.answers = [GOOD]

    async def elsewhere() -> Completion:
        try:
            return await ask(model)
        finally:
            await model.aclose()

    answers = await asyncio.gather(ask(model), asyncio.to_thread(asyncio.run, elsewhere()))
    assert [completion.text for completion in answers] == ["It is 4.", "It is 4."]
