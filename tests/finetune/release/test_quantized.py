"""A Llama with grouped heads and tied embeddings in int8 and int4: the embedded engine runs it, and verify says so."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime_genai")

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from finetune.pipeline.all import make
from finetune.pipeline.plans import Given, Plan
from finetune.pipeline.steps import Steps
from finetune.release.agreement import Agreement, compare_engines
from finetune.release.export import Weights
from finetune.release.folder import release, wheel_files
from finetune.release.verify import Comparison, Difference, End
from finetune.training.recipe import RECIPES
from finetune.training.tokenizer import load_tokenizer
from mumath_agent.models import embedded_engine
from tests.programs import call

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """Random weights: as few as the blocks of the quantiser allow."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=1,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.2,
        eos_token_id=tokenizer.eos_token_id,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("weights", [pytest.param(Weights.INT8, marks=pytest.mark.slow), Weights.INT4])
def test_the_engine_runs_its_own_weights_and_a_wheel_needs_no_others(
    model: Path, tmp_path: Path, weights: Weights
) -> None:
    out = tmp_path / "out"
    released = release(model, out, weights=weights)
    assert released.left_out is None
    needed = {path.name for path in wheel_files(out)}
    assert embedded_engine.QUANTIZED in needed and "model.safetensors" not in needed
    assert 0 < released.wheel_bytes < sum((out / name).stat().st_size for name in needed)
    found = compare_engines(out, max_tokens=8)
    assert found.quantized and found.is_expected and "(quantised)" in found.summary
    (out / "model.safetensors").unlink()
    assert embedded_engine.Engine(out).read(0, [1], after=0).shape == (len(load_tokenizer(model)),)
    release(model, out)
    assert not (out / embedded_engine.QUANTIZED).exists() and compare_engines(out, max_tokens=8).is_equal


@pytest.mark.parametrize(
    ("engines", "quantized", "in_prompt", "expected"),
    [
        (("embedded engine",), True, False, True),
        (("embedded engine",), False, False, False),
        (("embedded engine",), True, True, False),
        (("vLLM",), True, False, False),
    ],
)
def test_only_what_quantised_weights_explain_is_expected(
    engines: Sequence[str], quantized: bool, in_prompt: bool, expected: bool
) -> None:
    difference = Difference(in_prompt=in_prompt, position=3, expected="a", found="b")
    one = Comparison(prompt="", tokens=9, end=End.LENGTH, differences={engines[0]: difference})
    found = Agreement(comparisons=(one,), engines=tuple(engines), skipped=(), quantized=quantized)
    assert (found.is_equal, found.is_expected) == (False, expected)
    assert one.equal_tokens == (0 if in_prompt else 3)


def test_a_given_model_is_made_smaller_trained_in_two_stages_and_exported(
    model: Path, corpus: Path, tmp_path: Path
) -> None:
    text = (RECIPES / "tiny-stage2.toml").read_text("utf-8").replace("steps = 40", "steps = 4")
    (tmp_path / "stage.toml").write_text(text, encoding="utf-8")
    (tmp_path / "both.toml").write_text('stages = ["stage.toml", "stage.toml"]', encoding="utf-8")
    rows = (str(corpus / "stage1.jsonl"), str(corpus / "stage2.jsonl"))
    given = Given(start=str(model), data=rows, drop_layers=(0,), min_count=1000)
    plan = Plan(rows=given, recipe=str(tmp_path / "both.toml"), held_out=2, weights="int4")
    ended: list[str] = []
    work = tmp_path / "work"
    make(plan, work, Steps(work, {}, on_end=lambda report: ended.append(report.name)))
    assert ended == ["held-out", "prune", "audit", "train", "export"]
    config = json.loads((work / "exported" / "config.json").read_text("utf-8"))
    assert config["num_hidden_layers"] == 1
    assert config["vocab_size"] == len(load_tokenizer(work / "base")) < len(load_tokenizer(model))
    card = (work / "exported" / "README.md").read_text("utf-8")
    assert "quantised weights of their own" in card


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--start", "x", "--data", "rows.jsonl"), "--start needs --data twice"),
        (("--data", "rows.jsonl"), "give --start, too"),
        (("--start", "x", "--data", "a", "--data", "b", "--drop-layers", "z"), "doesn't name layers"),
    ],
)
def test_what_a_given_model_needs(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    done = call("finetune", "embedded", "--work", tmp_path / "w", "--out", tmp_path / "o", *options)
    assert done.code == 2 and message in " ".join(done.stderr.split())
