"""Ollama's own API, against a server that answers as its documentation says, and a name that says where it is."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from mumath_agent.dialects import Chat, Fenced
from mumath_agent.errors import InputError, ModelMisconfigured, ModelRefused, ModelUnreachable
from mumath_agent.langchain import MuMathTool
from mumath_agent.models import named
from mumath_agent.models.http.chat_completions import ChatCompletionsModel
from mumath_agent.models.http.ollama import OllamaModel
from mumath_agent.models.named import named_model, ollama_url
from mumath_agent.models.select import model_at, selected_model
from mumath_agent.protocols import CompletionRequest, Conversation, Message, Role
from mumath_agent.records import FinishReason, Sampling
from tests.programs import mumath_agent

CHAT = Conversation(messages=(Message(role=Role.USER, text="2 + 2?"),))
MODEL = "qwen2.5-coder:1.5b"
LONGER = "the prompt is longer than the context length currently available to the model (9000 > 8192)"


class Ollama:
    """Which lines it answers with, and what it was asked."""

    def __init__(self) -> None:
        self.lines: list[object] = []
        self.context_length: int | None = 32768
        self.status = 200
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.url = ""

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, list[object]]:
        self.asked.append((path, body))
        if path == "/v1/models":
            return 200, [
                {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "library"}]}
            ]
        if path == "/api/version":
            return 200, [{"version": "0.34.0"}]
        if path == "/api/show" and body["model"] != MODEL:
            return 404, [{"error": f"model '{body['model']}' not found"}]
        if path == "/api/show":
            info = {"general.architecture": "qwen2", "qwen2.context_length": self.context_length}
            return 200, [
                {"template": "{{ .Prompt }}", "model_info": info, "capabilities": ["completion", "tools"]}
            ]
        return self.status, self.lines

    @property
    def body(self) -> dict[str, Any]:
        """What it was asked last."""
        return self.asked[-1][1]


@pytest.fixture
def ollama() -> Iterator[Ollama]:
    served = Ollama()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            status, lines = served.answer(self.path, json.loads(self.rfile.read(length) or b"{}"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))

        do_POST = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


def said(*texts: str, reason: str | None = "stop", chat: bool = True) -> list[object]:
    """Return the lines of an answer."""
    pieces: list[object] = [
        {"message": {"role": "assistant", "content": text}, "done": False}
        if chat
        else {"response": text, "done": False}
        for text in texts
    ]
    last: dict[str, object] = {"done": True, "prompt_eval_count": 26, "eval_count": 9}
    last |= {"message": {"role": "assistant", "content": ""}} if chat else {"response": ""}
    return [*pieces, last | ({"done_reason": reason} if reason else {})]


def asks(prompt: Conversation | str, **more: Any) -> CompletionRequest:
    return CompletionRequest(prompt=prompt, max_tokens=100, **more)


@pytest.mark.anyio
async def test_a_conversation_names_the_context_it_needs(ollama: Ollama) -> None:
    ollama.lines, heard = said("4", " it", " is"), list[str]()
    model = OllamaModel(ollama.url, MODEL)
    request = asks(CHAT, stop=("```output",), sampling=Sampling(temperature=0.7, top_p=0.9, seed=3))
    completion = await model.complete(request, heard.append)
    assert (completion.text, completion.finish_reason) == ("4 it is", FinishReason.STOP)
    assert (completion.prompt_tokens, completion.completion_tokens) == (26, 9) and "".join(heard) == "4 it is"
    path, body = ollama.asked[-1]
    assert path == "/api/chat" and body["messages"] == [{"role": "user", "content": "2 + 2?"}]
    assert body["options"] == {
        "num_ctx": 8192,
        "num_predict": 100,
        "temperature": 0.7,
        "top_p": 0.9,
        "seed": 3,
        "repeat_penalty": 1.0,
        "stop": ["```output"],
    }
    assert (body["truncate"], body["shift"], body["stream"]) == (False, False, True) and "tools" not in body
    assert (await model.facts())["version"] == "Ollama 0.34.0"
    await model.aclose()


@pytest.mark.anyio
async def test_raw_text_is_sent_as_it_is(ollama: Ollama) -> None:
    ollama.lines, ollama.context_length = said("so", "\n```output\n4", chat=False), 2048
    model = OllamaModel(ollama.url, MODEL)
    completion = await model.complete(asks("## Question: 2 + 2?", stop=("\n```output",)))
    assert completion.text == "so" and completion.finish_reason is FinishReason.STOP
    path, body = ollama.asked[-1]
    assert path == "/api/generate" and body["raw"] is True and body["prompt"] == "## Question: 2 + 2?"
    assert body["options"]["num_ctx"] == 2048  # the model was trained for no more
    await model.aclose()


@pytest.mark.anyio
async def test_log_probabilities_are_asked_for_and_summed(ollama: Ollama) -> None:
    model, first, last = OllamaModel(ollama.url, MODEL), *said("4", chat=False)
    ollama.lines = [
        {**first, "logprobs": [{"token": "4", "logprob": -0.25}]},  # type: ignore[dict-item]
        {**last, "logprobs": [{"token": "", "logprob": -0.5}, {"token": "?"}]},  # type: ignore[dict-item]
    ]
    completion = await model.complete(asks("2 + 2?", logprobs=True))
    assert (completion.logprob, completion.tail_logprobs) == (-0.75, (-0.25, -0.5))
    assert ollama.body["logprobs"] is True
    ollama.lines = said("4", chat=False)  # an older Ollama, or one that wasn't asked
    assert (await model.complete(asks("2 + 2?"))).logprob is None and "logprobs" not in ollama.body
    await model.aclose()


@pytest.mark.anyio
async def test_calls_come_and_go_as_objects(ollama: Ollama) -> None:
    call = {"function": {"name": "python", "arguments": {"code": "print(2 + 2)"}}}
    ollama.lines = [{"message": {"content": "I run it.", "tool_calls": [call]}, "done": False}, *said()]
    told = Message(role=Role.ASSISTANT, text="", code="print(1)")
    asked = Conversation(messages=(*CHAT.messages, told, Message(role=Role.TOOL, text="1")), tool=True)
    model = OllamaModel(ollama.url, MODEL)
    completion = await model.complete(asks(asked))
    assert completion.text == "I run it.\n```python\nprint(2 + 2)\n```\n"
    messages = ollama.body["messages"]
    assert messages[1]["tool_calls"][0]["function"]["arguments"] == {"code": "print(1)"}
    assert messages[2] == {"role": "tool", "content": "1", "tool_name": "python"}
    assert ollama.body["tools"][0]["function"]["name"] == "python"
    await model.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "lines", "finish", "text"),
    [
        (200, said("cut", reason="length"), FinishReason.LENGTH, "cut"),
        (200, said("old", reason=None), FinishReason.STOP, "old"),  # releases that gave no reason
        (400, [{"error": LONGER}], FinishReason.LENGTH, ""),
    ],
)
async def test_how_answers_end(
    ollama: Ollama, status: int, lines: list[object], finish: FinishReason, text: str
) -> None:
    ollama.status, ollama.lines = status, lines
    model = OllamaModel(ollama.url, MODEL)
    completion = await model.complete(asks(CHAT))
    assert (completion.finish_reason, completion.text) == (finish, text)
    await model.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "lines", "error", "told"),
    [
        (400, [{"error": f"{MODEL} does not support tools"}], ModelRefused, "does not support tools"),
        (500, [{"error": "model runner has unexpectedly stopped"}], ModelUnreachable, "unexpectedly stopped"),
        (200, [*said("4")[:1], {"error": "an error occurred"}], ModelUnreachable, "an error occurred"),
        (200, said("4")[:1], ModelUnreachable, "broke off its answer"),
        (200, ["no object"], ModelUnreachable, "sent a broken stream"),
    ],
)
async def test_what_fails_is_one_line(
    ollama: Ollama, status: int, lines: list[object], error: type[Exception], told: str
) -> None:
    ollama.status, ollama.lines = status, lines
    model = OllamaModel(ollama.url, MODEL, attempts=2)
    with pytest.raises(error, match=told) as raised:
        await model.complete(asks(CHAT))
    assert "\n" not in str(raised.value)
    await model.aclose()


async def selected(model: str, dialect: str | None = None, **more: Any) -> Any:
    options: dict[str, Any] = {
        "base_urls": (),
        "api_key": None,
        "weights": None,
        "local": None,
        "within_s": 60,
    }
    return await selected_model(model=model, dialect=dialect, **options | more)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "dialect", "kind"), [(MODEL, None, Chat), (MODEL, "fenced", Fenced), (MODEL, "tools", Chat)]
)
async def test_a_name_says_which_server_is_meant(
    ollama: Ollama, monkeypatch: pytest.MonkeyPatch, name: str, dialect: str | None, kind: type[Any]
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", ollama.url.removeprefix("http://"))
    chosen = await selected(f"ollama/{name}", dialect)
    assert isinstance(chosen.model, OllamaModel) and chosen.model.name == name
    assert isinstance(chosen.dialect, kind)
    await chosen.model.aclose()


@pytest.mark.anyio
async def test_what_ollama_does_not_have_or_can_not_do(
    ollama: Ollama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", ollama.url)
    with pytest.raises(ModelMisconfigured, match="has no model other; `ollama pull other` gets it"):
        await selected("ollama/other")
    with pytest.raises(InputError, match="the dialect blocks needs special tokens in the text, and Ollama"):
        await selected(f"ollama/{MODEL}", "blocks")
    with pytest.raises(InputError, match=r"is Ollama, which puts raw prompts .* say --model ollama/qwen2\.5"):
        await model_at([f"{ollama.url}/v1"], MODEL, "fenced")
    with pytest.raises(InputError, match=r"--local x and --model ollama/y name different models"):
        await selected("ollama/y", local="x")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    with pytest.raises(ModelUnreachable, match="is Ollama running there\\? `ollama serve` starts it"):
        await selected(f"ollama/{MODEL}")


@pytest.mark.anyio
async def test_lm_studio_is_any_server_at_its_address(
    ollama: Ollama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named, "_LM_STUDIO", ollama.url)
    chosen = await selected(f"lmstudio/{MODEL}")
    assert isinstance(chosen.model, ChatCompletionsModel) and chosen.model.name == MODEL
    monkeypatch.setattr(named, "_LM_STUDIO", "http://127.0.0.1:1")
    with pytest.raises(ModelUnreachable, match="`lms server start` starts LM Studio's"):
        await selected("lmstudio/x")


def test_its_names() -> None:
    assert named_model("lmstudio/qwen/qwen3-4b") == (False, "http://127.0.0.1:1234", "qwen/qwen3-4b")
    assert named_model("ollama/hf.co/a/b-GGUF:Q8_0") == (True, ollama_url(""), "hf.co/a/b-GGUF:Q8_0")
    assert [named_model(name) for name in (None, "", "ollama", "ollama/", "Qwen/Qwen2.5", "x")] == [None] * 6


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        (":1234", "http://127.0.0.1:1234"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("1.2.3.4:1234", "http://1.2.3.4:1234"),
        ("example.com", "http://example.com:11434"),
        ("example.com:1234", "http://example.com:1234"),
        ("[::1]", "http://[::1]:11434"),
        ("[::]", "http://127.0.0.1:11434"),
        ("::1", "http://[::1]:11434"),
        ("[::1]:1337", "http://[::1]:1337"),
        (" 1.2.3.4 ", "http://1.2.3.4:11434"),
        (' "1.2.3.4" ', "http://1.2.3.4:11434"),
        ("'1.2.3.4'", "http://1.2.3.4:11434"),
        ("http://1.2.3.4", "http://1.2.3.4:80"),
        ("http://1.2.3.4:4321", "http://1.2.3.4:4321"),
        ("https://1.2.3.4", "https://1.2.3.4:443"),
        ("https://example.com/ollama", "https://example.com:443/ollama"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(host: str, url: str) -> None:
    assert ollama_url(host) == url


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["::::", "ftp://x", "http://"])
async def test_a_host_that_is_none_is_an_input_error(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    with pytest.raises((InputError, ModelUnreachable)) as raised:
        await selected(f"ollama/{MODEL}")
    assert "\n" not in str(raised.value)


@pytest.mark.kernel
def test_the_command_line_solves_with_it_whatever_the_environment_says(ollama: Ollama) -> None:
    ollama.lines = said("The answer is $\\boxed{4}$.")
    elsewhere = {"MUMATH_BASE_URL": "http://127.0.0.1:1/v1", "MUMATH_LOCAL": "nowhere.gguf"}
    ended = mumath_agent(
        "solve", "--model", f"ollama/{MODEL}", "--json", "2 + 2?", OLLAMA_HOST=ollama.url, **elsewhere
    )
    (record,) = ended.records()
    assert ended.code == 0 and record.settings.model == MODEL and record.settings.dialect == "chat"


def test_the_tool_takes_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUMATH_LOCAL", "nowhere.gguf")
    with MuMathTool(model=f"ollama/{MODEL}") as tool:
        options = tool._options()
        assert (options.model, options.local, options.base_urls) == (f"ollama/{MODEL}", None, ())
        assert "may be wrong" not in tool.description
