"""What the agent, its training and its votes need of a server, asked of a real vLLM over plain HTTP."""

import json
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from mumath_agent.serving.parsers import PARSER_OF_TYPE, PARSERS
from tests.toy import TOY

pytestmark = [pytest.mark.anyio, pytest.mark.vllm]

PROMPT = "<|user|>\nTom has 3 apples and buys 4 more. How many apples does Tom have?\n<|assistant|>\n"
PROMPT_OF_ADAPTER = "<|user|>\nWhat is 8 plus 1?\n<|assistant|>\n"


class Vllm(httpx.AsyncClient):
    """Asks for completions."""

    async def complete(self, **settings: Any) -> dict[str, Any]:
        body = {"model": "mumath", "prompt": PROMPT, "max_tokens": 24, "temperature": 0.0} | settings
        response = await self.post("/v1/completions", json=body)
        assert response.is_success, response.text
        found: dict[str, Any] = response.json()
        return found


@pytest.fixture
async def vllm(serve_vllm: Callable[[Path], str]) -> AsyncIterator[Vllm]:
    async with Vllm(base_url=serve_vllm(TOY), timeout=600) as client:
        yield client


async def test_a_stop_string_is_left_out_and_named(vllm: Vllm) -> None:
    whole = (await vllm.complete())["choices"][0]["text"]
    stop = whole[10:14]
    (choice,) = (await vllm.complete(stop=["never written", stop]))["choices"]
    assert (choice["text"], choice["finish_reason"]) == (whole[: whole.index(stop)], "stop")
    assert choice["stop_reason"] == stop


async def test_a_stream_adds_up(vllm: Vllm) -> None:
    whole = await vllm.complete()
    body = {"model": "mumath", "prompt": PROMPT, "max_tokens": 24, "temperature": 0.0, "stream": True}
    async with vllm.stream("POST", "/v1/completions", json=body) as response:
        lines = [line.removeprefix("data: ") async for line in response.aiter_lines() if line]
    assert lines.pop() == "[DONE]" and len(lines) > 1
    assert "".join(json.loads(line)["choices"][0]["text"] for line in lines) == whole["choices"][0]["text"]


async def test_several_samples_at_once(vllm: Vllm) -> None:
    async def texts(seed: int) -> list[str]:
        choices = (await vllm.complete(n=4, temperature=1.5, seed=seed))["choices"]
        assert [choice["index"] for choice in choices] == [0, 1, 2, 3]
        return [choice["text"] for choice in choices]

    first = await texts(1)
    assert len(set(first)) == 4
    assert await texts(1) == first != await texts(2)


async def test_log_probabilities(vllm: Vllm) -> None:
    (choice,) = (await vllm.complete(logprobs=3, max_tokens=8))["choices"]
    found = choice["logprobs"]
    assert "".join(found["tokens"]) == choice["text"]
    for own, best in zip(found["token_logprobs"], found["top_logprobs"], strict=True):
        assert own == max(best.values()) <= 0  # greedy: each is the likeliest


async def test_a_prompt_it_has_seen_is_not_read_again(vllm: Vllm) -> None:
    prompt = PROMPT + "Add. " * 40
    await vllm.complete(prompt=prompt, max_tokens=1)
    usage = (await vllm.complete(prompt=prompt + "So", max_tokens=1))["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] >= usage["prompt_tokens"] - 64 > 32


@pytest.mark.slow
@pytest.mark.train
async def test_an_adapter_that_finetune_trained(vllm: Vllm, adapter: Path, tmp_path: Path) -> None:
    from finetune.release.engines import Reference
    from finetune.release.export import export

    export(adapter, tmp_path)
    expected = Reference(tmp_path, max_tokens=24).write(PROMPT_OF_ADAPTER).ids
    loaded = await vllm.post("/v1/load_lora_adapter", json={"lora_name": "tuned", "lora_path": str(adapter)})
    assert loaded.is_success, loaded.text
    try:
        answers = [
            await vllm.complete(model=name, prompt=PROMPT_OF_ADAPTER, return_token_ids=True)
            for name in ("tuned", "mumath")
        ]
    finally:  # others expect one model
        await vllm.post("/v1/unload_lora_adapter", json={"lora_name": "tuned"})
    tuned, base = (tuple(answer["choices"][0]["token_ids"]) for answer in answers)
    assert tuned == expected != base


def test_it_has_the_parsers_that_serve_names(vllm_python: Path) -> None:
    where = "import importlib.util as u; print(*u.find_spec('vllm').submodule_search_locations)"
    folder = Path(subprocess.check_output([vllm_python, "-c", where], text=True).strip())
    tools, thoughts = (
        (folder / kind / "__init__.py").read_text("utf-8") for kind in ("tool_parsers", "reasoning")
    )
    for _, calls, reasoning in PARSERS:
        assert calls is None or f'"{calls}": (' in tools
        assert reasoning is None or f'"{reasoning}": (' in thoughts
    assert all(f'"{name}": (' in tools for name in PARSER_OF_TYPE.values())
