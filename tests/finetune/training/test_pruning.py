"""A pruned model reads what it read: no text loses a byte, kept tokens are found as before, logits are the same."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from finetune.training.encode import read_rows, whole_text
from finetune.training.pruning import prune, renumbered, tokens_to_keep
from finetune.training.recipe import layer_numbers
from finetune.training.tokenizer import load_tokenizer
from mumath_agent.dialects import Fenced
from mumath_agent.errors import InputError
from tests.programs import call

pytestmark = pytest.mark.train

WORDS = st.sampled_from(
    ["Tom", "apples", " and", " gets", "```python\n", "\n\n", " 12", "3", "<|user|>", "How many", "é"]
)
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.lists(WORDS, max_size=12).map("".join)
)


def ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    found: list[int] = tokenizer(text)["input_ids"]
    return found


@pytest.fixture(scope="module", params=["tokenizer", "llama3_like", "llama2_like"])
def whole(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    """Three kinds: with marks of our own, with a begin token, and SentencePiece's."""
    found: PreTrainedTokenizerFast = request.getfixturevalue(request.param)
    return found


@settings(deadline=None, max_examples=60)
@given(known=st.lists(TEXT, max_size=4), other=TEXT, first=st.integers(0, 300))
def test_what_is_kept_is_encoded_as_before_and_nothing_loses_a_byte(
    whole: PreTrainedTokenizerFast, known: list[str], other: str, first: int
) -> None:
    wanted = {token for text in known for token in ids(whole, text)} | set(range(first))
    kept = tokens_to_keep(whole, wanted)
    smaller = renumbered(whole, kept)
    assert len(smaller) == len(kept) and set(kept) >= wanted & set(range(len(whole)))
    for text in [*known, other]:
        before, after = ids(whole, text), ids(smaller, text)
        assert smaller.decode(after) == whole.decode(before)
        if set(before) <= set(kept):
            assert [kept[token] for token in after] == before
    for name, token in whole.special_tokens_map.items():
        assert smaller.special_tokens_map[name] == token
    assert smaller.chat_template == whole.chat_template


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A random Llama of three layers with grouped heads."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + 5,  # rows that stand for no token, as many models have
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=3,
        num_key_value_heads=1,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_logits_of_kept_tokens_are_the_same(model: Path, corpus: Path, tmp_path: Path) -> None:
    text, out = tmp_path / "few.txt", tmp_path / "out"
    text.write_text("Tom has apples.")
    found = prune(str(model), out, texts=[corpus / "few.jsonl", text], min_count=1)
    tokenizer, smaller = load_tokenizer(model), load_tokenizer(out)
    row = whole_text(read_rows(corpus / "few.jsonl")[0], tokenizer, Fenced())
    before, after = ids(tokenizer, row), ids(smaller, row)
    kept = [
        tokenizer.convert_tokens_to_ids(token)
        for token in smaller.convert_ids_to_tokens(list(range(len(smaller))))
    ]
    assert [kept[token] for token in after] == before
    assert len(smaller) < len(tokenizer) and smaller.eos_token_id == after[-1]
    logits = [
        AutoModelForCausalLM.from_pretrained(folder)(torch.tensor([tokens])).logits[0]
        for folder, tokens in ((model, before), (out, after))
    ]
    assert torch.equal(logits[0][:, kept], logits[1])
    assert all(one.tokens_before == one.tokens_after for one in found.texts)
    assert json.loads((out / "pruning.json").read_text())["tokens_kept"] == len(smaller) == found.tokens_kept


def test_rare_tokens_are_left_out(model: Path, corpus: Path, tmp_path: Path) -> None:
    kept = [
        prune(str(model), tmp_path / str(count), texts=[corpus / "few.jsonl"], min_count=count).tokens_kept
        for count in (1, 4, 1000)
    ]
    assert kept[0] > kept[1] > kept[2] >= 256


def test_layers_are_left_out_and_the_rest_stays(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = call("finetune", "prune", model, "--drop-layers", "1", "--out", out)
    assert done.code == 0 and "2 of 3 layers" in done.stdout, done.stderr
    before, after = AutoModelForCausalLM.from_pretrained(model), AutoModelForCausalLM.from_pretrained(out)
    assert after.config.num_hidden_layers == len(after.model.layers) == 2
    state = before.model.layers[2].state_dict()
    assert all(torch.equal(state[name], value) for name, value in after.model.layers[1].state_dict().items())
    assert after(torch.tensor([[1, 2, 3]])).logits.shape[-1] == len(load_tokenizer(model))


@pytest.mark.parametrize(
    ("text", "numbers"), [("3", (3,)), ("10-12", (10, 11, 12)), ("1,4-5, 4", (1, 4, 5)), ("0-0", (0,))]
)
def test_layers_are_named_by_numbers_and_ranges(text: str, numbers: tuple[int, ...]) -> None:
    assert layer_numbers(text) == numbers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "nothing to leave out"),
        (("--drop-layers", "3-1"), "doesn't name layers"),
        (("--drop-layers", "x"), "doesn't name layers"),
        (("--drop-layers", "3"), "there is no layer 3: the model has 3"),
        (("--drop-layers", "0-2"), "a model needs a layer"),
        (("--keep-text", "none.jsonl"), "none.jsonl"),
    ],
)
def test_what_cannot_be_pruned(model: Path, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    done = call("finetune", "prune", model, "--out", tmp_path / "out", *options)
    assert done.code == 2 and message in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_model_is_not_pruned_onto_itself_and_a_tokenizer_alone_is_no_model(
    model: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="is the model itself"):
        prune(str(model), model, texts=(), drop_layers=[0])
    load_tokenizer(model).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="holds no model"):
        prune(str(tmp_path), tmp_path / "out", texts=(), drop_layers=[0])
