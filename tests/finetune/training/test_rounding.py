"""Training for int4: what rounding does to weights, and that a run computes with rounded ones and ends with them."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from finetune.training.recipe import RECIPES, read_recipe, varied
from finetune.training.rounding import BLOCK, rounded, rounded_weights
from finetune.training.train import MANIFEST, prepare, train
from mumath_agent.errors import InputError

pytestmark = pytest.mark.train


@given(st.integers(0, 10**6), st.floats(1e-6, 1e3), st.floats(-3, 3))
@settings(max_examples=50)
def test_each_block_gets_its_own_grid(seed: int, size: float, offset: float) -> None:
    weight = size * (torch.randn(4, 2 * BLOCK, generator=torch.Generator().manual_seed(seed)) + offset)
    weight[0, :3] = 0
    found = rounded(weight)
    steps = (weight.view(-1, BLOCK).amax(1).clamp(min=0) - weight.view(-1, BLOCK).amin(1).clamp(max=0)) / 15
    off = (found - weight).view(-1, BLOCK).abs().amax(1)
    assert (off <= 1.01 * steps).all()  # half a step, and half a step more where the zero point was rounded
    assert (found[0, :3] == 0).all()
    assert all(len(block.unique()) <= 16 for block in found.view(-1, BLOCK))
    assert torch.allclose(rounded(found), found, rtol=1e-4, atol=1e-6 * size)


def test_zeros_stay_zeros() -> None:
    assert (rounded(torch.zeros(2, BLOCK)) == 0).all()


def test_a_run_ends_with_rounded_weights_also_after_an_interruption(
    corpus: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    start = tmp_path / "start"
    tokenizer.save_pretrained(start)
    recipe = read_recipe(RECIPES / "tiny-stage1.toml")
    for change in ("int4_from = 0.5", "steps = 8", "checkpoint_every = 3", "eval_every = 4"):
        recipe = varied(recipe, change)
    data = corpus / "stage1.jsonl"
    train(recipe, data=data, start=start, out=tmp_path / "whole")

    class Interrupted(Exception):
        pass

    def interrupt(_: object) -> float:
        raise Interrupted

    broken = varied(recipe, "solve_every = 7")
    with pytest.raises(Interrupted):
        train(broken, data=data, start=start, out=tmp_path / "twice", solve_rate=interrupt)
    train(broken, data=data, start=start, out=tmp_path / "twice", solve_rate=lambda _: 0.5)
    whole, twice = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "twice"))
    assert all(torch.equal(whole[name], twice[name]) for name in whole)
    matrices = [value for name, value in whole.items() if "_proj" in name]
    assert matrices and all(torch.allclose(rounded(value), value, rtol=1e-4, atol=1e-7) for value in matrices)
    embeddings = whole["model.embed_tokens.weight"]
    assert not torch.allclose(rounded(embeddings), embeddings, atol=1e-5)
    assert json.loads((tmp_path / "whole" / MANIFEST).read_text())["evaluation_loss"] > 0


def test_exact_weights_come_back_and_get_the_gradients(
    corpus: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    recipe = varied(read_recipe(RECIPES / "tiny-stage1.toml"), "int4_from = 0")
    training = prepare(recipe, data=corpus / "stage1.jsonl", start=tmp_path)
    weight = training.model.model.layers[0].mlp.up_proj.weight
    exact = weight.detach().clone()
    with rounded_weights(training.model):
        assert torch.equal(weight, rounded(exact))
        training.model(torch.tensor([[1, 2, 3]])).logits.sum().backward()
    assert torch.equal(weight, exact) and weight.grad.abs().sum() > 0


def test_what_cannot_be_rounded_is_refused(
    corpus: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    recipe = varied(read_recipe(RECIPES / "tiny-stage1.toml"), "int4_from = 0")
    recipe = varied(recipe, "model.ffn_size = 40")
    with pytest.raises(InputError, match="isn't made of blocks of 32; leave out int4_from"):
        prepare(recipe, data=corpus / "stage1.jsonl", start=tmp_path)
    with pytest.raises(InputError, match="not with lora"):
        varied(read_recipe(RECIPES / "7b-lora.toml"), "int4_from = 0.5")
