"""The engine of a local model: started when wanted, ended with the model or its process, its failures one line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import httpx
import psutil
import pytest

from mumath_agent.errors import InputError, ModelError
from mumath_agent.models.local import LocalModel, engine
from mumath_agent.protocols import CompletionRequest, Conversation, Message, Role
from mumath_agent.records import Completion, FinishReason, Sampling
from tests.mumath_agent.models.local.tiny import write_tiny
from tests.programs import mumath_agent
from tests.waiting import HANG_S

pytest.importorskip("xllamacpp", reason="llama.cpp is in the extra `local`")
CHAT = Conversation(messages=(Message(role=Role.USER, text="2 + 2?"),))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("local") / "tiny.gguf")


@pytest.fixture
async def model(file: Path) -> AsyncIterator[LocalModel]:
    model = LocalModel(file, chats=True)
    yield model
    await model.aclose()


async def ask(model: LocalModel, max_tokens: int = 8) -> Completion:
    return await model.complete(
        CompletionRequest(prompt=CHAT, stop=(), max_tokens=max_tokens, sampling=Sampling())
    )


def engines() -> list[psutil.Process]:
    """Return the engines that this process has started."""
    return [p for p in psutil.Process().children() if engine.__file__ in p.cmdline()]


@pytest.mark.anyio
async def test_it_answers_many_at_once_and_is_gone_in_the_end(file: Path) -> None:
    model = LocalModel(file, chats=True)
    assert model.name == "tiny" and not engines()
    completions: list[Completion] = []

    async def one() -> None:
        completions.append(await ask(model))

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(one)
    assert len(completions) == 6 and len({c.text for c in completions}) == 1  # greedy
    assert all(0 < c.completion_tokens <= 8 and c.prompt_tokens > 5 for c in completions)
    (process,) = engines()
    assert (await model.facts())["file"].startswith("tiny.gguf, ")
    await model.aclose()
    assert not process.is_running()


@pytest.mark.anyio
async def test_raw_text_is_continued_and_stops_where_it_should(file: Path) -> None:
    model = LocalModel(file, chats=False)
    try:
        request = CompletionRequest(prompt="abc", stop=(), max_tokens=6, sampling=Sampling())
        whole = await model.complete(request)
        assert whole.finish_reason is FinishReason.LENGTH and whole.completion_tokens == 6
    finally:
        await model.aclose()


@pytest.mark.anyio
async def test_the_key_keeps_others_out(model: LocalModel) -> None:
    await model.warm_up()
    url = model._address()
    async with httpx.AsyncClient(trust_env=False) as client:
        refused = await client.post(f"{url}/v1/completions", json={"prompt": "a"})
    assert refused.status_code == 401
    assert all(model._key not in " ".join(process.cmdline()) for process in engines())


@pytest.mark.anyio
async def test_a_cancelled_answer_and_a_cancelled_start_leave_it_usable(file: Path) -> None:
    model = LocalModel(file, chats=True)
    try:
        with anyio.move_on_after(0.05):
            await model.warm_up()
        with anyio.move_on_after(0.05):
            await ask(model, 4000)
        assert (await ask(model)).completion_tokens > 0
        assert len(engines()) == 1
    finally:
        await model.aclose()


@pytest.mark.anyio
async def test_an_engine_that_is_killed_is_an_error_of_one_line(model: LocalModel) -> None:
    await model.warm_up()
    (process,) = engines()
    process.kill()
    with pytest.raises(ModelError, match="it was killed, most likely because the memory ran out") as raised:
        await ask(model)
    assert "\n" not in str(raised.value)


@pytest.mark.anyio
@pytest.mark.parametrize("broken", ["no weights", "cut off"])
async def test_a_file_that_can_not_be_loaded_is_an_error_of_one_line(broken: str, tmp_path: Path) -> None:
    file = write_tiny(tmp_path / "broken.gguf", weights=broken != "no weights")
    if broken == "cut off":
        file.write_bytes(file.read_bytes()[:-5000])
    model = LocalModel(file, chats=True)
    try:
        with pytest.raises(ModelError, match=r"the engine of .*broken\.gguf has ended: .*\(exit code 1\)$"):
            await model.warm_up()
    finally:
        await model.aclose()


def test_a_file_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no chat template; choose a --dialect"):
        LocalModel(write_tiny(tmp_path / "raw.gguf", chats=False), chats=True)


ENDLESS = """
import anyio, sys
from pathlib import Path
from mumath_agent.models.local import LocalModel

async def main():
    model = LocalModel(Path(sys.argv[1]), chats=True)
    await model.warm_up()
    print(model._process.pid, flush=True)
    await anyio.sleep_forever()

anyio.run(main)
"""


def test_a_process_that_is_killed_leaves_no_engine(file: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ENDLESS, str(file)], stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        engine_of_it = psutil.Process(int(user.stdout.readline()))
        os.kill(user.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs([engine_of_it], timeout=HANG_S)
    assert alive == []


@pytest.mark.kernel
@pytest.mark.timeout(HANG_S * 5)
def test_the_command_line_solves_with_it(file: Path) -> None:
    ended = mumath_agent("solve", "--local", str(file), "--json", "--max-new-tokens", "8", "2 + 2?")
    (record,) = ended.records()
    assert ended.code == 1 and record.settings.model == "tiny" and record.settings.dialect == "chat"
    assert record.trajectory.completions and not engines()


def test_the_models_are_listed(tmp_path: Path) -> None:
    ended = mumath_agent("models", "--json", HF_HUB_CACHE=str(tmp_path))
    assert ended.code == 0 and {"qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b"} <= {
        row["name"] for row in json.loads(ended.stdout)
    }


@pytest.mark.anyio
async def test_it_goes_on_with_an_answer_that_was_begun(model: LocalModel) -> None:
    begun = Conversation(messages=CHAT.messages, begin="```python\n")
    request = CompletionRequest(prompt=begun, max_tokens=4, sampling=Sampling())
    completion = await model.complete(request)
    assert completion.text.startswith("```python\n") and completion.text.count("```python\n") == 1
    plain = await model.complete(replace(request, prompt=CHAT))
    assert completion.prompt_tokens > plain.prompt_tokens
