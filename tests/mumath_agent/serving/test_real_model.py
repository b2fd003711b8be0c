"""A pretrained model, SmolLM2-135M, behind `mumath-agent serve` and a real vLLM: chat, tools and raw text, end to end.

It is made of a GGUF file: ~/.cache/mumath-models/SmolLM2-135M-Instruct.Q4_1.gguf, or the one that MUMATH_TEST_GGUF
names. With the copy of the weights and vLLM's start it takes minutes, so it runs at night. What so small a model
answers is no matter here.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mumath_agent.doctor import Status, examine, server
from mumath_agent.doctor.endpoint import Endpoint
from mumath_agent.doctor.survey import server_checks
from mumath_agent.doctor.visit import Visit
from mumath_agent.models.http.chat_completions import ChatCompletionsModel
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.protocols import CompletionRequest, Conversation, Message, Role
from mumath_agent.records import FinishReason, Limits
from mumath_agent.serving import free_port
from tests.programs import mumath_agent
from tests.serve_process import ServeProcess
from tests.waiting import HANG_S

pytestmark = [pytest.mark.anyio, pytest.mark.vllm, pytest.mark.slow]

GGUF = Path(
    os.environ.get("MUMATH_TEST_GGUF", "~/.cache/mumath-models/SmolLM2-135M-Instruct.Q4_1.gguf")
).expanduser()
NAME = "SmolLM2-135M-Instruct"
QUESTION = "Tom has 3 apples and buys 4 more. How many apples does Tom have?"
CHAT = Conversation(messages=(Message(role=Role.USER, text=QUESTION),))
CONVERT = """
import sys
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoTokenizer

file, out = Path(sys.argv[1]), sys.argv[2]
read = AutoModelForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name, dtype="float32")
del read.config.quantization_config  # the weights aren't quantised any more
model = AutoModelForCausalLM.from_config(read.config)
model.load_state_dict(read.state_dict())
model.save_pretrained(out)
AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name).save_pretrained(out)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not GGUF.is_file():
        pytest.skip(
            f"NOT RUN: vLLM with a pretrained model needs {GGUF}; MUMATH_TEST_GGUF names another file"
        )
    made = tmp_path_factory.mktemp("real") / NAME
    subprocess.run([sys.executable, "-c", CONVERT, GGUF, made], check=True)
    return made


@pytest.fixture(scope="module")
def url(folder: Path, vllm_python: Path) -> Iterator[str]:
    """Serve it as a person would, with a parser of tool calls."""
    tools = ("--", "--enable-auto-tool-choice", "--tool-call-parser", "hermes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_HOST_IP", "127.0.0.1")  # it would look for a way out to find its own address
        started = ServeProcess(folder, "--port", free_port(), *tools, python=vllm_python, folder=folder)
    yield f"{started.url()}/v1"
    assert started.kill() == []
    started.close()


async def test_it_chats_in_a_stream_and_stops_where_it_should(url: str) -> None:
    model, pieces = ChatCompletionsModel(url, NAME), list[str]()
    whole = await model.complete(CompletionRequest(prompt=CHAT, max_tokens=40), pieces.append)
    assert "".join(pieces) == whole.text and len(pieces) > 5
    assert whole.prompt_tokens > 20 and 5 < whole.completion_tokens <= 40
    middle = whole.text[len(whole.text) // 2 :][:6]
    stopped = await model.complete(CompletionRequest(prompt=CHAT, max_tokens=40, stop=(middle,)))
    assert stopped.finish_reason is FinishReason.STOP
    assert stopped.text == whole.text.partition(middle)[0]
    await model.aclose()


async def test_raw_text_is_continued(url: str) -> None:
    model = CompletionsModel(url)
    counting = "1, 2, 3, 4, 5, 6, 7, 8,"
    whole = await model.complete(CompletionRequest(prompt=counting, max_tokens=12))
    assert whole.finish_reason is FinishReason.LENGTH and whole.completion_tokens == 12
    assert whole.text.startswith(" 9")
    stopped = await model.complete(CompletionRequest(prompt=counting, max_tokens=12, stop=(", 1",)))
    assert (stopped.text, stopped.finish_reason) == (" 9", FinishReason.STOP)
    assert model.name == NAME
    await model.aclose()


async def test_log_probabilities(url: str) -> None:
    asked = {"model": NAME, "prompt": "1, 2, 3,", "max_tokens": 3, "temperature": 0, "logprobs": 1}
    async with httpx.AsyncClient(trust_env=False, timeout=HANG_S * 5) as client:
        answer = (await client.post(f"{url}/completions", json=asked)).json()["choices"][0]["logprobs"]
    assert len(answer["token_logprobs"]) == 3 and all(value < 0 for value in answer["token_logprobs"])


@pytest.mark.kernel
@pytest.mark.parametrize("dialect", [None, "chat-examples", "tools", "fenced"])
def test_the_command_line_solves_with_it(url: str, dialect: str | None) -> None:
    chosen = ("--dialect", dialect) if dialect else ()
    limits = ("--max-turns", "2", "--max-new-tokens", "60")
    ended = mumath_agent("solve", "--base-url", url, "--json", *chosen, *limits, QUESTION)
    (record,) = ended.records()
    assert ended.code in (0, 1) and record.trajectory.error is None and record.settings.model == NAME
    assert record.settings.dialect == (dialect or "chat")
    assert all(completion.completion_tokens for completion in record.trajectory.completions)


async def test_the_doctor_finds_nothing_wrong(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        server, "GONE_WITHIN_S", HANG_S
    )  # a busy machine takes longer than a user should wait
    async with Endpoint(url) as endpoint:
        visit = Visit(endpoint=endpoint, limits=Limits(), files=str(folder))
        findings = [finding async for finding in examine(server_checks(visit))]
    assert not [finding for finding in findings if finding.status is Status.FAIL], findings
