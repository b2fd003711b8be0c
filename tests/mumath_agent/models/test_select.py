"""Which dialect and which client a server's model gets, against a small server that tells what it serves."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mumath_agent.dialects.families import DIALECT_KEY
from mumath_agent.errors import InputError, ModelRefused
from mumath_agent.models.blockwise import Blockwise
from mumath_agent.models.http.chat_completions import ChatCompletionsModel
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.models.replicas import ReplicatedModel
from mumath_agent.models.select import embedded_model, model_at
from mumath_agent.protocols import CompletionRequest
from mumath_agent.transcript import Transcript

pytestmark = pytest.mark.anyio


class Server:
    """Lists models, and answers everything else with one event of an answer that is over."""

    def __init__(self) -> None:
        self.models: list[dict[str, Any]] = []
        self.sent: list[tuple[str, Any]] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(h.split(":")[1]) for h in head.lower().split("\r\n") if "content-length" in h), 0)
        path, body = head.split()[1], await reader.readexactly(length)
        self.sent.append((path, json.loads(body) if body else None))
        choice = {"text": "", "delta": {"content": ""}, "finish_reason": "stop"}
        answer = json.dumps({"data": self.models}) if path == "/v1/models" else f"data: {_event(choice)}\n\n"
        status = 404 if path == "/version" else 200
        writer.write(
            f"HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
        )
        writer.write(answer.encode())
        writer.close()


def _event(choice: Any) -> str:
    return json.dumps({"choices": [choice]})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    await server.stop()


@pytest.mark.parametrize(
    ("served", "name", "asked", "dialect", "client"),
    [
        ({"id": "weihao1/MuMath-Code-CL-7B"}, None, None, "fenced", CompletionsModel),
        ({"id": "mumath", "root": "/hub/MuMath-Code-L-7B"}, None, None, "fenced", CompletionsModel),
        ({"id": "MathCoder-L-7B", "root": "/data/checkpoint-9"}, None, None, "blocks", Blockwise),
        ({"id": "Qwen/Qwen2.5-Math-7B-Instruct"}, None, None, "fenced-qwen", CompletionsModel),
        ({"id": "gpt-4o"}, "gpt-4o", None, "chat", ChatCompletionsModel),
        ({"id": "gpt-4o"}, None, "tools", "tools", ChatCompletionsModel),
        ({"id": "my-own"}, None, "fenced", "fenced", CompletionsModel),
    ],
)
async def test_the_family_decides_unless_the_caller_does(
    server: Server,
    served: dict[str, Any],
    name: str | None,
    asked: str | None,
    dialect: str,
    client: type[Any],
) -> None:
    server.models = [served]
    chosen = await model_at([server.url], name, asked)
    assert chosen.dialect.name == dialect and isinstance(chosen.model, client)
    prompt = chosen.dialect.prompt(Transcript(question="q"))
    await chosen.model.warm_up()
    await chosen.model.complete(CompletionRequest(prompt=prompt, stop=chosen.dialect.stop, max_tokens=9))
    path, body = server.sent[-1]
    assert path == ("/v1/chat/completions" if client is ChatCompletionsModel else "/v1/completions")
    assert body["model"] == served["id"]
    assert (body.get("skip_special_tokens") is False) == (dialect == "blocks")
    await chosen.model.aclose()


async def test_files_on_this_machine_speak_for_themselves(server: Server, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({DIALECT_KEY: "blocks"}))
    server.models = [{"id": "mine", "root": str(tmp_path)}]
    assert (await model_at([server.url], None)).dialect.name == "blocks"


async def test_several_servers_of_a_chat_model(server: Server) -> None:
    server.models = [{"id": "chats"}]
    chosen = await model_at([server.url, server.url], None)
    assert isinstance(chosen.model, ReplicatedModel) and chosen.family.notice


async def test_nothing_is_asked_for_that_was_given(server: Server) -> None:
    await model_at([server.url], "gpt-4o", "chat")
    assert server.sent == []


async def test_what_cannot_be_chosen(server: Server) -> None:
    with pytest.raises(InputError, match="unknown dialect 'x'"):
        await model_at([server.url], None, "x")
    with pytest.raises(InputError, match="no server address is given"):
        await model_at([], None)
    server.models = [{"id": "a"}, {"id": "b"}]
    with pytest.raises(ModelRefused, match="serves 2 models"):
        await model_at([server.url], None)


@pytest.mark.parametrize(("dialect", "spoken"), [(None, "fenced"), ("blocks", "blocks")])
def test_a_folder_of_an_unknown_family_is_spoken_to_in_text(
    tmp_path: Path, dialect: str | None, spoken: str
) -> None:
    assert embedded_model(tmp_path / "own", dialect).dialect.name == spoken
    with pytest.raises(InputError, match="--dialect chat is for models that chat"):
        embedded_model(tmp_path / "own", "chat")
