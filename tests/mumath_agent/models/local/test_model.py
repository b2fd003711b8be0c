"""The engine of a local model: started when wanted, ended with the model or its process, its failures one line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import anyio
import httpx
import psutil
import pytest

from mumath_agent.errors import InputError, ModelError, ModelUnreachable
from mumath_agent.models.local import LocalModel, engine
from mumath_agent.protocols import CompletionRequest, Conversation, Message, Role
from mumath_agent.records import Completion, FinishReason, Sampling
from tests.mumath_agent.models.local.tiny import write_tiny
from tests.programs import mumath_agent
from tests.waiting import HANG_S, comes_true, eventually

pytest.importorskip("xllamacpp", reason="llama.cpp is in the extra `local`")
CHAT = Conversation(messages=(Message(role=Role.USER, text="2 + 2?"),))


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an engine compute with one thread: several wait by computing, on a busy machine for minutes."""
    monkeypatch.setattr(psutil, "cpu_count", lambda **_: 1)


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
    url = model.url
    async with httpx.AsyncClient(trust_env=False) as client:
        refused = await client.post(f"{url}/v1/completions", json={"prompt": "a"})
    assert refused.status_code == 401
    assert all(model._listening.key not in " ".join(process.cmdline()) for process in engines())


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
    with pytest.raises(
        ModelUnreachable, match="it was killed, most likely because the memory ran out"
    ) as raised:
        await ask(model)
    assert "\n" not in str(raised.value)
    assert (await ask(model)).completion_tokens > 0 and len(
        engines()
    ) == 1  # the next request starts another one


@pytest.mark.anyio
async def test_an_engine_that_is_killed_again_and_again_is_given_up(model: LocalModel) -> None:
    errors: list[type[ModelError]] = []
    for _ in range(4):
        with pytest.raises(ModelError) as raised:
            if not errors or errors[-1] is ModelUnreachable:
                await model.warm_up()
                engines()[0].kill()
            await ask(model)
        errors.append(raised.type)
    assert errors == [ModelUnreachable, ModelUnreachable, ModelError, ModelError] and not engines()


@pytest.mark.anyio
async def test_all_who_wait_for_an_engine_that_is_killed_are_told(model: LocalModel) -> None:
    await model.warm_up()
    told: list[ModelUnreachable] = []

    async def one() -> None:
        try:
            await ask(model, 4000)
        except ModelUnreachable as error:
            told.append(error)

    (process,) = engines()
    process.suspend()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(one)
        assert await eventually(lambda: asked(model) == 3)
        process.kill()
    assert len(told) == 3 and (await ask(model)).completion_tokens > 0


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


@pytest.mark.anyio
@pytest.mark.parametrize("megabytes", [150, 250, 350])
async def test_memory_that_ends_after_all_is_an_error_of_one_line(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, megabytes: int
) -> None:
    confined = tmp_path / "python"
    confined.write_text(f'#!/bin/sh\nulimit -v {megabytes}000\nexec "{sys.executable}" "$@"\n')
    confined.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(confined))
    model = LocalModel(file, chats=True)
    try:
        with pytest.raises(ModelError, match=r"the engine of .*; choose a smaller model, or close") as raised:
            await model.warm_up()
        assert "\n" not in str(raised.value)
    finally:
        await model.aclose()


def test_a_file_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no chat template; choose a --dialect"):
        LocalModel(write_tiny(tmp_path / "raw.gguf", chats=False), chats=True)


ENDLESS = """
import anyio, sys
from pathlib import Path
from mumath_agent.models.local import LocalModel
from mumath_agent.protocols import CompletionRequest, Conversation, Message, Role
from mumath_agent.records import Sampling

async def main():
    model = LocalModel(Path(sys.argv[1]), chats=True)
    if sys.argv[2] == "loading":
        model._start()
    else:
        await model.warm_up()
    print(model._process.pid, model._folder, flush=True)
    if sys.argv[2] == "answering":
        prompt = Conversation(messages=(Message(role=Role.USER, text="2 + 2?"),))
        while True:
            await model.complete(CompletionRequest(prompt=prompt, stop=(), max_tokens=3000, sampling=Sampling()))
    await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.mark.parametrize("while_", ["loading", "waiting", "answering"])
def test_a_process_that_is_killed_leaves_no_engine(file: Path, while_: str) -> None:
    with subprocess.Popen([sys.executable, "-c", ENDLESS, str(file), while_], stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        pid, folder = user.stdout.readline().decode().split()
        engine_of_it = psutil.Process(int(pid))
        os.kill(user.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs([engine_of_it], timeout=HANG_S)
    assert alive == [] and not Path(folder).exists()


@pytest.mark.kernel
@pytest.mark.timeout(HANG_S * 5)
def test_the_command_line_solves_with_it(file: Path) -> None:
    ended = mumath_agent("solve", "--local", str(file), "--json", "--max-new-tokens", "8", "2 + 2?")
    (record,) = ended.records()
    assert ended.code == 1 and record.settings.model == "tiny" and record.settings.dialect == "chat-program"
    assert record.trajectory.completions and not engines()


def asked(model: LocalModel) -> int:
    """Return how many connections we have to the engine, whether or not it has noticed."""
    remote = [connection.raddr for connection in psutil.Process().net_connections()]
    return sum(f":{address.port}" in model.url for address in remote if address)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--local", "nowhere.gguf"), "there is no file nowhere.gguf"),
        (
            ("--local", "x.gguf", "--base-url", "http://127.0.0.1:2"),
            "and --local x.gguf name different models",
        ),
        (("--local", "x.gguf", "--model", "ollama/y"), "--local x.gguf and --model ollama/y name different"),
        (("--model", "other"), "--base-url http://127.0.0.1:1/v1 and --local z.gguf name different models"),
    ],
)
def test_what_an_option_says_goes_before_the_environment(options: tuple[str, ...], told: str) -> None:
    environment = {"MUMATH_MODEL": "m", "MUMATH_BASE_URL": "http://127.0.0.1:1/v1", "MUMATH_LOCAL": "z.gguf"}
    ended = mumath_agent("solve", *options, "2 + 2?", **environment)
    assert ended.code == 2 and told in ended.errors[0]


def is_asked(engine: psutil.Process) -> bool:
    """Tell whether a request is on its way to an engine."""
    return any(connection.status == "ESTABLISHED" for connection in engine.net_connections())


def killing() -> Thread:
    """Kill the engine as soon as it is asked something."""

    def kill() -> None:
        assert comes_true(lambda: bool(engines()))
        (first,) = engines()  # looked for once: it may take longer than an answer
        assert comes_true(lambda: is_asked(first))
        first.kill()

    killer = Thread(target=kill)
    killer.start()
    return killer


@pytest.mark.kernel
@pytest.mark.timeout(HANG_S * 5)
@pytest.mark.usefixtures("one_thread")
def test_a_file_of_problems_goes_on_with_another_engine(file: Path, tmp_path: Path) -> None:
    (tmp_path / "problems.txt").write_text("1 + 1?\n2 + 2?\n")
    killer = killing()
    options = (
        "--file",
        str(tmp_path / "problems.txt"),
        "--json",
        "--max-new-tokens",
        "2000",
        "--concurrency",
        "1",
        "--dialect",
        "chat",  # its prompt has this model write on and on
    )
    ended = mumath_agent("solve", "--local", str(file), *options)
    killer.join()
    assert not engines() and ended.code == 1
    assert [record.trajectory.error for record in ended.records()] == [None] * 2
    assert "it was killed" in ended.stderr and "waiting up to" in ended.stderr


@pytest.mark.kernel
@pytest.mark.timeout(HANG_S * 5)
def test_one_question_whose_engine_is_killed_ends_with_one_line(file: Path) -> None:
    killer = killing()
    options = ("--max-new-tokens", "3000", "--dialect", "chat")
    ended = mumath_agent("solve", "--local", str(file), *options, "2 + 2?")
    killer.join()
    assert ended.code == 3 and len(ended.errors) == 1 and not engines()
    assert "has ended: it was killed, most likely because the memory ran out" in ended.errors[0]


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
