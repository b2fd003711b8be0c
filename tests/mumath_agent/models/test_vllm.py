"""`CompletionsModel` against a real vLLM that serves the toy's weights."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest

from mumath_agent.errors import ModelRefused
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.models.tokens import tokenizer_of
from mumath_agent.protocols import CompletionRequest
from mumath_agent.records import Completion, FinishReason, Sampling
from mumath_agent.rollouts import check, rollouts
from tests.toy import TOY

pytestmark = [pytest.mark.anyio, pytest.mark.vllm]

PROMPT = "<|user|>\nTom has 3 apples and buys 4 more. How many apples does Tom have?\n<|assistant|>\n"


@pytest.fixture(scope="session")
def base_url(serve_vllm: Callable[[Path], str]) -> str:
    return serve_vllm(TOY)


@pytest.fixture
async def model(base_url: str) -> AsyncIterator[CompletionsModel]:
    model = CompletionsModel(base_url)
    yield model
    await model.aclose()


async def ask(
    model: CompletionsModel,
    *,
    prompt: str = PROMPT,
    stop: tuple[str, ...] = (),
    max_tokens: int = 40,
    sampling: Sampling | None = None,
    on_text: Callable[[str], None] | None = None,
) -> Completion:
    return await model.complete(
        CompletionRequest(prompt=prompt, stop=stop, max_tokens=max_tokens, sampling=sampling or Sampling()),
        on_text,
    )


async def test_streams_what_it_returns(model: CompletionsModel) -> None:
    most = 0
    for _ in range(5):  # on a busy machine a short answer may all have come before it is read the first time
        pieces = list[str]()
        completion = await ask(model, on_text=pieces.append, max_tokens=24)
        assert "".join(pieces) == completion.text
        most = max(most, len(pieces))
    assert most > 1 and model.name == "mumath"
    assert completion.finish_reason is FinishReason.LENGTH
    assert completion.completion_tokens == 24 and completion.prompt_tokens > 10


async def test_stop_string_is_excluded(model: CompletionsModel) -> None:
    whole = (await ask(model)).text
    stop = whole[len(whole) // 2 :][:3]
    completion = await ask(model, stop=("never written", stop))
    assert (completion.text, completion.finish_reason) == (whole[: whole.index(stop)], FinishReason.STOP)
    assert completion.completion_tokens > 0


async def test_seed_is_repeatable(model: CompletionsModel) -> None:
    hot = [Sampling(temperature=1.5, top_p=0.95, seed=seed) for seed in (1, 1, 2, 3, 4)]
    texts = [(await ask(model, sampling=sampling)).text for sampling in hot]
    assert texts[0] == texts[1] and len(set(texts)) > 1


async def test_wrong_model_name(base_url: str) -> None:
    model = CompletionsModel(base_url, model="llama")
    with pytest.raises(ModelRefused, match=r"doesn't serve 'llama', but mumath; choose with --model$"):
        await ask(model)
    await model.aclose()


@pytest.mark.parametrize("copies", [60, 300])
async def test_a_prompt_that_does_not_fit_ends_at_the_token_limit(
    model: CompletionsModel, copies: int
) -> None:
    """Of one of them vLLM counts the tokens; of the other only the characters."""
    completion = await ask(model, prompt=PROMPT * copies)
    assert (completion.text, completion.finish_reason) == ("", FinishReason.LENGTH)
    assert completion.prompt_tokens > 1000 and completion.completion_tokens == 0


@pytest.mark.parametrize("name", [None, "mumath"], ids=["context known", "context not known"])
async def test_more_tokens_than_fit_are_as_many_as_fit(base_url: str, name: str | None) -> None:
    model = CompletionsModel(base_url, model=name, extra_body={"ignore_eos": True})
    completion = await ask(model, prompt=PROMPT * 39, max_tokens=10_000)
    assert completion.finish_reason is FinishReason.LENGTH
    assert completion.prompt_tokens + completion.completion_tokens == 1024
    await model.aclose()


async def test_special_tokens_on_request(base_url: str) -> None:
    """As dialects that are made of them need: our weights' end token is one."""
    body = {"skip_special_tokens": False, "spaces_between_special_tokens": False, "ignore_eos": True}
    model = CompletionsModel(base_url, extra_body=body)
    assert "<|end|>" in (await ask(model, max_tokens=120)).text
    await model.aclose()


async def test_cancelling_ends_the_generation(model: CompletionsModel, base_url: str) -> None:
    before, begun = await _tokens_written(base_url), anyio.Event()
    noise = Sampling(temperature=2.0)
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(
                partial(ask, model, max_tokens=450, sampling=noise, on_text=lambda _: begun.set())
            )
        await begun.wait()
        tasks.cancel_scope.cancel()
    after = before
    while (written := await _tokens_written(base_url)) != after:  # until nothing is written any more
        after = written
        await anyio.sleep(1)
    assert after < before + 4 * 450


async def _tokens_written(base_url: str) -> float:
    """Return how many tokens vLLM has generated, by its own count."""
    async with httpx.AsyncClient() as client:
        lines = (await client.get(f"{base_url}/metrics")).text.splitlines()
    counters = [line for line in lines if line.startswith("vllm:generation_tokens_total")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in counters)


async def test_tokens_are_those_that_were_written(model: CompletionsModel) -> None:
    """And as probable as our own engine finds them; the stop string and the end token are among them."""
    tokenizer = tokenizer_of(TOY)
    ids = tuple(tokenizer.encode(PROMPT).ids)
    ours = EmbeddedModel(TOY)
    for stop, end in (("```output",), "```output"), ((), "<|end|>"):
        request = CompletionRequest(prompt=PROMPT, stop=stop, max_tokens=200, tokens=True, prompt_ids=ids)
        told, expected = await model.complete(request), await ours.complete(request)
        assert told.token_ids == expected.token_ids and told.text == expected.text
        assert told.prompt_tokens == len(ids) and told.token_ids is not None
        assert told.token_logprobs == pytest.approx(expected.token_logprobs, abs=0.05)
        assert tokenizer.decode(list(told.token_ids), skip_special_tokens=False) == told.text + end
    await ours.aclose()


@pytest.mark.kernel
@pytest.mark.worker
def test_it_rolls_out(base_url: str) -> None:
    row = {"question": "Tom has 3 apples and buys 4 more. How many apples does Tom have?", "answer": "7"}
    made = rollouts([row] * 6, tokenizer=TOY, base_url=base_url, sampling={"temperature": 1.0, "seed": 3})
    for one in made:
        check(one, tokenizer_of(TOY))
        assert one.reward in (0.0, 1.0) and any(one.env_mask) and all(n <= 0 for n in one.logprobs)
    assert any(one.reward for one in made)
