"""An attempt in tokens: what isn't whole is refused, and what the model didn't write, or shouldn't, is masked."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from mumath_agent.dialects import Blocks, Fenced
from mumath_agent.errors import InputError, ModelMisconfigured, ModelRefused
from mumath_agent.models.blockwise import Blockwise
from mumath_agent.models.tokens import TokenRecorder, TokensDiffer, tokenizer_of
from mumath_agent.protocols import CompletionRequest, Conversation, Prompt
from mumath_agent.records import Completion, FinishReason
from mumath_agent.testing import ScriptedModel
from mumath_agent.transcript import Kind, Segment, Transcript
from tests.dictated import Dictated, after, attempt, token_of
from tests.toy import TOY

pytestmark = pytest.mark.anyio

TOKENIZER = tokenizer_of(TOY)
END = token_of(TOKENIZER, "<|end|>")
PROMPT = "<|user|>\nHow many?\n<|assistant|>\n"
ASKED = CompletionRequest(prompt=PROMPT, max_tokens=9)
SEVEN = Completion(text="7", finish_reason=FinishReason.LENGTH, prompt_tokens=1, completion_tokens=1)


def ids_of(text: str) -> tuple[int, ...]:
    return tuple(TOKENIZER.encode(text, add_special_tokens=False).ids)


def dictated(*turns: Sequence[int]) -> Dictated:
    return Dictated(tokenizer=TOKENIZER, turns=turns, end=END)


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (SEVEN, ModelMisconfigured, "tells no token ids"),
        (replace(SEVEN, token_ids=ids_of("7")), TokensDiffer, "1 token ids and 0 log-probabilities"),
        (
            replace(SEVEN, token_ids=ids_of("7"), token_logprobs=(-1.0, -2.0)),
            TokensDiffer,
            "1 token ids and 2 log-probabilities",
        ),
        (
            replace(SEVEN, token_ids=ids_of("8"), token_logprobs=(-1.0,)),
            ModelMisconfigured,
            "wrote '7', but the tokenizer reads '8'.*give the tokenizer of the model",
        ),
    ],
)
async def test_a_model_that_does_not_tell_its_tokens_is_refused(
    answer: Completion, error: type[Exception], says: str
) -> None:
    recorder = TokenRecorder(ScriptedModel(texts=[answer]), TOKENIZER)
    with pytest.raises(error, match=says):
        await recorder.complete(ASKED)


@pytest.mark.parametrize("prompt", [Conversation(messages=())])
async def test_messages_are_refused(prompt: Prompt) -> None:
    with pytest.raises(ModelRefused, match="continues raw text"):
        await TokenRecorder(dictated(), TOKENIZER).complete(replace(ASKED, prompt=prompt))


async def test_a_prompt_without_room_writes_nothing() -> None:
    nothing = Completion(text="", finish_reason=FinishReason.LENGTH, prompt_tokens=9, completion_tokens=0)
    recorder = TokenRecorder(ScriptedModel(texts=[nothing]), TOKENIZER)
    await recorder.complete(ASKED)
    assert recorder.tokens(Transcript(question="How many?")).ids == ()


async def test_what_a_dialect_and_a_kernel_wrote_is_not_the_models() -> None:
    model = dictated(ids_of("Add.\n```python\na = 7\n```\n\n```output\n7"), [*ids_of("So 7."), END])
    recorder = TokenRecorder(model, TOKENIZER)
    transcript = await attempt(recorder, Fenced(), ["7"], turns=2)
    tokens = recorder.tokens(transcript)
    theirs = [i for i, own in zip(tokens.ids, tokens.written, strict=True) if own]
    others = [i for i, own in zip(tokens.ids, tokens.written, strict=True) if not own]
    assert after(TOKENIZER, (), theirs) == "Add.\n```python\na = 7\n```\nSo 7.<|end|>"
    assert after(TOKENIZER, (), others) == "```output\n7\n```\n"  # the blank line isn't in the transcript
    assert model.asked[1].prompt_ids == (*recorder.prompt_ids, *tokens.ids[: -len(ids_of("So 7.")) - 1])
    assert tokens.logprobs[0] == -0.5 and tokens.logprobs[-1] == -0.5 - len(ids_of("So 7."))


async def test_an_output_that_the_model_made_up_is_masked() -> None:
    made_up = (
        Segment(kind=Kind.RATIONALE, text="Add.\n"),
        Segment(kind=Kind.OUTPUT, text="```output\n7\n```\n"),
        Segment(kind=Kind.RATIONALE, text="So 7."),
    )
    recorder = TokenRecorder(dictated([*ids_of("".join(s.text for s in made_up)), END]), TOKENIZER)
    await recorder.complete(ASKED)
    tokens = recorder.tokens(Transcript(question="How many?", segments=made_up))
    masked = [i for i, own in zip(tokens.ids, tokens.written, strict=True) if not own]
    assert after(TOKENIZER, (), masked) == "```output\n7\n```\n"
    assert all((n == 0.0) == (not own) for n, own in zip(tokens.logprobs, tokens.written, strict=True))


async def test_special_tokens_that_a_server_leaves_out_are_in_the_text() -> None:
    answer = Completion(
        text="7",
        finish_reason=FinishReason.LENGTH,
        prompt_tokens=1,
        completion_tokens=2,
        token_ids=(*ids_of("7"), token_of(TOKENIZER, "<|pad|>")),
        token_logprobs=(-1.0, -1.0),
    )
    recorder = TokenRecorder(ScriptedModel(texts=[answer]), TOKENIZER)
    assert (await recorder.complete(ASKED)).text == "7<|pad|>"


async def test_a_turn_that_is_asked_for_block_by_block_goes_on_from_ids() -> None:
    tokenizer = tokenizer_of(TOY)
    tokenizer.add_special_tokens(
        ["<|text|>", "<|code|>", "<|execution|>", "<|endofblock|>", "<|endofmessage|>"]
    )
    blocks = ["<|text|>Add.<|endofblock|>", "<|code|>print(7)<|endofblock|>", "<|text|>So 7.<|endofblock|>"]
    turns = [tokenizer.encode(block, add_special_tokens=False).ids for block in blocks]
    model = Dictated(tokenizer=tokenizer, turns=[*turns, [END]], end=END)
    recorder = TokenRecorder(Blockwise(model), tokenizer)
    transcript = await attempt(recorder, Blocks(), ["7"], turns=2)
    tokens = recorder.tokens(transcript)
    assert after(tokenizer, recorder.prompt_ids, tokens.ids).removesuffix("<|end|>") == transcript.text
    whole = (*recorder.prompt_ids, *tokens.ids)
    assert len(model.asked) == 4 and all(
        whole[: len(asked.prompt_ids or ())] == asked.prompt_ids for asked in model.asked
    )
    mine = [i for i, own in zip(tokens.ids, tokens.written, strict=True) if own]
    assert after(tokenizer, (), mine).startswith("<|text|>Add.<|endofblock|><|code|>print(7)<|endofblock|>")


@pytest.mark.parametrize("given", ["there is none", Path("there is none"), 7])
def test_what_is_no_tokenizer_is_refused(given: object) -> None:
    with pytest.raises(InputError, match="tokenizer"):
        tokenizer_of(given)  # type: ignore[arg-type]


def test_a_tokenizer_neither_cuts_nor_pads_and_the_given_one_stays_as_it_is() -> None:
    given = Tokenizer.from_file(str(TOY / "tokenizer.json"))
    given.enable_truncation(2)
    given.enable_padding(length=99)
    assert tokenizer_of(given).encode(PROMPT).ids == TOKENIZER.encode(PROMPT).ids
    assert given.truncation is not None and given.padding is not None
