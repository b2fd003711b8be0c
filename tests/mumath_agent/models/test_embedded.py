"""The embedded model and its real engine, with the weights of a toy."""

import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event

import anyio
import anyio.lowlevel
import pytest
from tokenizers import Tokenizer

from mumath_agent.errors import ModelError, ModelRefused
from mumath_agent.models import embedded_engine
from mumath_agent.models.calibration import TAIL_TOKENS
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.models.embedded_engine import Engine, Logits
from mumath_agent.protocols import CompletionRequest
from mumath_agent.records import Completion, FinishReason, Sampling
from tests.dictated import token_of
from tests.toy import TOY
from tests.waiting import HANG_S

pytestmark = [pytest.mark.anyio, pytest.mark.model]

PROMPT = "<|user|>\nTom has {n} apples and buys 4 more. How many apples does Tom have?\n<|assistant|>\n"
CONTEXT_TOKENS = 1024
NOISE = Sampling(temperature=2.0, seed=7)


@pytest.fixture
async def model() -> AsyncIterator[EmbeddedModel]:
    model = EmbeddedModel(TOY)
    yield model
    await model.aclose()


async def ask(
    model: EmbeddedModel,
    prompt: str = PROMPT.format(n=3),
    *,
    stop: tuple[str, ...] = (),
    max_tokens: int = 40,
    sampling: Sampling | None = None,
    pieces: list[str] | None = None,
) -> Completion:
    on_text = None if pieces is None else pieces.append
    return await model.complete(
        CompletionRequest(prompt=prompt, stop=stop, max_tokens=max_tokens, sampling=sampling or Sampling()),
        on_text,
    )


async def test_streams_what_it_returns(model: EmbeddedModel) -> None:
    pieces = list[str]()
    completion = await ask(model, max_tokens=8, pieces=pieces)
    assert len(pieces) > 1 and "".join(pieces) == completion.text
    assert completion.finish_reason is FinishReason.LENGTH
    assert completion.completion_tokens == 8 and completion.prompt_tokens > 10


async def test_writes_a_program_and_asks_for_its_output(model: EmbeddedModel) -> None:
    completion = await ask(model, stop=("```output",), max_tokens=300)
    assert completion.finish_reason is FinishReason.STOP
    assert "```python\n" in completion.text and completion.text.endswith("```\n")


async def test_stop_string_is_excluded(model: EmbeddedModel) -> None:
    whole = await ask(model)
    stop = whole.text[len(whole.text) // 2 :][:3]
    pieces = list[str]()
    completion = await ask(model, stop=("never written", stop), pieces=pieces)
    assert completion.text == "".join(pieces) == whole.text[: whole.text.index(stop)]
    assert completion.finish_reason is FinishReason.STOP
    assert 0 < completion.completion_tokens < whole.completion_tokens


async def test_log_probabilities_of_tokens_are_the_same_whatever_is_written_beside_them(
    model: EmbeddedModel,
) -> None:
    """To the last bit: a training run that was killed makes the same attempts again, in other company."""

    async def told(prompt: str) -> Completion:
        sampling = Sampling(temperature=1.0, seed=3)
        request = CompletionRequest(prompt=prompt, stop=(), max_tokens=24, sampling=sampling, tokens=True)
        return await model.complete(request)

    prompts = [PROMPT.format(n=n) for n in range(6)]
    prompts += [
        prompt + (await told(prompt)).text for prompt in prompts[:3]
    ]  # they go on from the first ones
    alone = [await told(prompt) for prompt in prompts]
    together: dict[int, Completion] = {}

    async def keep(number: int) -> None:
        together[number] = await told(prompts[number])

    async with anyio.create_task_group() as tasks:
        for number in reversed(range(len(prompts))):
            tasks.start_soon(keep, number)
    assert [together[number] for number in range(len(prompts))] == alone
    assert all(one.token_logprobs for one in alone)


async def test_seed_is_repeatable(model: EmbeddedModel) -> None:
    hot = [Sampling(temperature=1.5, top_p=0.95, seed=seed) for seed in (1, 1, 2, 3, 2**40 - 1)]
    texts = [(await ask(model, sampling=sampling)).text for sampling in hot]
    assert texts[0] == texts[1] and len(set(texts)) > 1


async def test_top_p_leaves_out_what_is_unlikely(model: EmbeddedModel) -> None:
    greedy = await ask(model)
    narrow = [Sampling(temperature=1.0, top_p=0.001, seed=seed) for seed in range(5)]
    assert {(await ask(model, sampling=sampling)).text for sampling in narrow} == {greedy.text}


@pytest.mark.parametrize("text", ["∑𝑥 = é", "日本語", "naïve 🙂 end"])
def test_characters_of_several_tokens_are_not_torn(text: str) -> None:
    tokenizer = Tokenizer.from_file(str(TOY / "tokenizer.json"))
    decode = embedded_engine.decoder(tokenizer)
    pieces = [decode(token) for token in tokenizer.encode(text, add_special_tokens=False).ids]
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


async def test_many_at_once(model: EmbeddedModel) -> None:
    prompts = [PROMPT.format(n=n) for n in range(30)]
    texts = dict[str, str]()

    async def one(prompt: str) -> None:
        texts[prompt] = (await ask(model, prompt, max_tokens=20)).text

    async with anyio.create_task_group() as tasks:
        for prompt in prompts:
            tasks.start_soon(one, prompt)
    assert texts.keys() == set(prompts)
    assert texts[prompts[20]] == (await ask(model, prompts[20], max_tokens=20)).text


async def test_an_attempt_that_goes_on_reads_only_what_is_new(
    model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, read = list[int](), Engine.read

    def counted(engine: Engine, slot: int, ids: Sequence[int], *, after: int) -> Logits:
        reads.append(len(ids))
        return read(engine, slot, ids, after=after)

    monkeypatch.setattr(Engine, "read", counted)
    first = await ask(model, stop=("```output",), max_tokens=300)
    going_on = PROMPT.format(n=3) + first.text + "```output\n7\n```\n"
    second = await ask(model, going_on)
    assert reads[0] == first.prompt_tokens
    assert reads[1] <= second.prompt_tokens - first.prompt_tokens
    other = await ask(model, PROMPT.format(n=5))
    again = await ask(model)  # also begins what was read before, but doesn't go on from it
    assert reads[2:] == [other.prompt_tokens, again.prompt_tokens]
    await model.aclose()
    alone = EmbeddedModel(TOY)
    assert (await ask(alone, going_on)).text == second.text
    await alone.aclose()


async def test_log_probabilities_are_summed(model: EmbeddedModel) -> None:
    sure, hot = await ask(model), await ask(model, sampling=NOISE)
    assert sure.logprob is not None and hot.logprob is not None
    one, two = [(await ask(model, max_tokens=n)).logprob for n in (1, 2)]
    assert hot.logprob < sure.logprob < (two or 0) < (one or 0) < 0
    asked = await model.complete(CompletionRequest(prompt="a", max_tokens=40, logprobs=True))
    assert sure.tail_logprobs is None and asked.tail_logprobs is not None
    assert len(asked.tail_logprobs) == min(TAIL_TOKENS, asked.completion_tokens)


async def test_cancelling_frees_the_engine_at_once(model: EmbeddedModel) -> None:
    await model.warm_up()
    begun = anyio.Event()
    endless = CompletionRequest(prompt="a", max_tokens=900, sampling=NOISE)
    async with anyio.create_task_group() as tasks:
        for _ in range(1000):
            tasks.start_soon(model.complete, endless, lambda _: begun.set())
        await begun.wait()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(HANG_S):  # the thousand would take far longer
        await ask(model, max_tokens=1)


async def test_closing_ends_what_is_awaited() -> None:
    model = EmbeddedModel(TOY)

    async def expect_the_end() -> None:
        with pytest.raises(ModelError, match="was closed"):
            await ask(model, max_tokens=400, sampling=NOISE)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(expect_the_end)
        tasks.start_soon(expect_the_end)
        await anyio.sleep(0.01)
        await model.aclose()


async def test_what_is_closed_at_once_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, loaded = Event(), list[Path]()
    monkeypatch.setattr(Engine, "__init__", lambda _, folder: loaded.append(folder))
    model = EmbeddedModel(TOY)
    model._writer._thread.submit(busy.wait)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(model.warm_up)
        await anyio.lowlevel.checkpoint()
        await model.aclose()
        busy.set()
    assert loaded == []


async def test_an_empty_prompt_is_refused(model: EmbeddedModel) -> None:
    with pytest.raises(ModelRefused, match="the prompt is empty"):
        await ask(model, "")


async def test_a_prompt_longer_than_the_context_ends_at_the_token_limit(model: EmbeddedModel) -> None:
    completion = await ask(model, "a b c " * 5000)
    assert (completion.text, completion.finish_reason) == ("", FinishReason.LENGTH)
    assert completion.prompt_tokens > CONTEXT_TOKENS and completion.completion_tokens == 0


async def test_the_end_of_the_context_is_a_length_limit(model: EmbeddedModel) -> None:
    one, two = [(await ask(model, PROMPT.format(n=3) * n, max_tokens=1)).prompt_tokens for n in (1, 2)]
    many = (CONTEXT_TOKENS - 1 - one) // (two - one) + 1
    completion = await ask(model, PROMPT.format(n=3) * many, max_tokens=10**6, sampling=NOISE)
    used = completion.prompt_tokens + completion.completion_tokens
    assert (
        used == CONTEXT_TOKENS if completion.finish_reason is FinishReason.LENGTH else used <= CONTEXT_TOKENS
    )


async def test_missing_weights(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(TOY / "tokenizer.json", folder)
    model = EmbeddedModel(folder)
    with pytest.raises(ModelError, match=r"there is no model in .*: model.onnx is missing; name a server"):
        await model.warm_up()
    await model.aclose()


async def test_says_what_it_is(model: EmbeddedModel) -> None:
    assert (model.name, model.caution) == ("toy", "")
    ships = EmbeddedModel()
    assert ships.name == "embedded"
    assert "word problems" in ships.caution and "may be wrong" in ships.caution
    await ships.aclose()


async def test_tokens_are_told_if_they_are_asked_for(model: EmbeddedModel) -> None:
    tokenizer = Tokenizer.from_file(str(TOY / "tokenizer.json"))
    request = CompletionRequest(prompt=PROMPT.format(n=3), stop=("```output",), max_tokens=90, sampling=NOISE)
    plain = await model.complete(request)
    told = await model.complete(replace(request, tokens=True))
    assert (plain.token_ids, plain.token_logprobs) == (None, None)
    assert replace(told, token_ids=None, token_logprobs=None) == plain
    assert told.token_ids is not None and told.token_logprobs is not None
    assert len(told.token_ids) == len(told.token_logprobs) == told.completion_tokens
    assert sum(told.token_logprobs) == told.logprob
    assert tokenizer.decode(list(told.token_ids)).startswith(told.text)


async def test_a_prompt_in_ids_is_continued_as_it_is(model: EmbeddedModel) -> None:
    tokenizer = Tokenizer.from_file(str(TOY / "tokenizer.json"))
    prompt = PROMPT.format(n=3)
    ids = tuple(tokenizer.encode(prompt, add_special_tokens=False).ids)
    other = tuple(token_of(tokenizer, c) for c in "Tom")  # in pieces that the tokenizer wouldn't choose
    request = CompletionRequest(prompt=prompt, max_tokens=20)
    assert await model.complete(replace(request, prompt_ids=ids)) == await model.complete(request)
    assert (await model.complete(replace(request, prompt_ids=(*ids, *other)))).prompt_tokens == len(ids) + 3
