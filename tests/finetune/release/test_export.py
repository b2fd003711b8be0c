"""The exported folder: one file of weights, the same greedy ids from every engine."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime_genai")

import numpy as np
import onnx
import onnxruntime_genai as og
import torch
from safetensors.numpy import load_file
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from finetune.commands.exporting import card
from finetune.pipeline.all import make
from finetune.pipeline.plans import Plan, WordProblems
from finetune.pipeline.steps import Steps
from finetune.release.card import NAME, is_ours, lineage, write_card
from finetune.release.export import export, read_stored
from finetune.training.recipe import RECIPES, Lora, read_recipe
from finetune.training.tokenizer import load_tokenizer
from finetune.training.train import prepare, train
from mumath_agent.dialects.families import family_of
from mumath_agent.errors import InputError

pytestmark = pytest.mark.train

PLAN = Plan(rows=WordProblems(thought_rows=400, code_rows=400), vocabulary=600, recipe="tiny", held_out=8)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Carry out the embedded model's plan, with a tiny recipe and templates only."""
    folder = tmp_path_factory.mktemp("pipeline")
    make(PLAN, folder, Steps(folder, {}))
    return folder


def test_the_weights_are_stored_once_in_half_precision(work: Path) -> None:
    out = work / "exported"
    stored = load_file(out / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {np.dtype(np.float16)}
    graph = onnx.load(out / "model.onnx", load_external_data=False).graph
    for initializer in graph.initializer:
        if initializer.data_location == onnx.TensorProto.EXTERNAL:
            assert initializer.data_type == onnx.TensorProto.FLOAT16
            assert initializer.external_data[0].value == "model.safetensors"
        else:
            assert np.prod(initializer.dims) < 64 or initializer.name.endswith("_cache")
    external = sum(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer)
    assert external == len(stored)


def test_what_the_graph_points_to_is_what_the_file_says(work: Path) -> None:
    path = work / "exported" / "model.safetensors"
    expected = load_file(path)
    found = {tensor.name: tensor.value for tensor in read_stored(path)}
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_onnxruntime_writes_what_transformers_writes(work: Path) -> None:
    out = work / "exported"
    tokenizer, model = load_tokenizer(out), LlamaForCausalLM.from_pretrained(out)
    assert model.dtype == torch.float32
    engine = og.Model(str(out))
    for number in range(20):
        prompt = tokenizer(f"<|user|>\nTom has {number} apples and {number * 7} pears.\n<|assistant|>\n")[
            "input_ids"
        ]
        settings = og.GeneratorParams(engine)
        settings.set_search_options(max_length=len(prompt) + 40, do_sample=False)
        generator = og.Generator(engine, settings)
        generator.append_tokens(prompt)
        while not generator.is_done():
            generator.generate_next_token()
        written = model.generate(  # type: ignore[misc]
            torch.tensor([prompt]), max_new_tokens=40, do_sample=False
        )
        # onnxruntime-genai leaves the end token out, transformers keeps it.
        ended = [token for token in written[0].tolist() if token != tokenizer.eos_token_id]
        assert [int(token) for token in generator.get_sequence(0)] == ended


def test_the_folder_names_no_place_of_the_machine_that_made_it(work: Path) -> None:
    for file in (work / "exported").iterdir():
        assert str(work).encode() not in file.read_bytes(), file.name


def test_the_folder_says_how_the_model_is_spoken_to(work: Path) -> None:
    config = json.loads((work / "exported" / "config.json").read_text("utf-8"))
    family = family_of("any name", config)
    assert (family.is_known, family.dialect, family.notice) == (True, "fenced", None)


def test_the_tokenizer_names_a_class_that_every_engine_knows(work: Path) -> None:
    settings = json.loads((work / "exported" / "tokenizer_config.json").read_text("utf-8"))
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert (settings["eos_token"], settings["pad_token"]) == ("<|end|>", "<|pad|>")


def test_a_finished_pipeline_does_nothing(work: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    make(PLAN, work, Steps(work, {}))
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()} == before


@pytest.fixture(scope="module")
def adapter(work: Path) -> Path:
    """Train a low-rank adapter on stage 1's weights."""
    recipe = read_recipe(RECIPES / "tiny-stage2.toml").model_copy(
        update={"lora": Lora(rank=4, alpha=8), "steps": 10}
    )
    train(recipe, data=work / "code.jsonl", start=work / "model" / "stage1", out=work / "adapter")
    return work / "adapter"


def test_an_adapter_becomes_part_of_the_weights(work: Path, adapter: Path, tmp_path: Path) -> None:
    assert export(adapter, tmp_path / "out") is None
    assert not list((tmp_path / "out").glob("adapter*"))
    recipe = read_recipe(RECIPES / "tiny-stage2.toml").model_copy(update={"lora": Lora(rank=4, alpha=8)})
    adapted = prepare(recipe, data=work / "code.jsonl", start=adapter).model.train(False)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    before = AutoModelForCausalLM.from_pretrained(work / "model" / "stage1", dtype=torch.float32)
    ids = torch.arange(100)[None]
    with torch.no_grad():
        expected, found, base = (model(input_ids=ids).logits for model in (adapted, merged, before))
    assert (expected - base).abs().max() > 0.1
    assert (expected - found).abs().max() < 0.01  # what float16 rounds off


def test_what_the_embedded_engine_cannot_run_has_no_graph(
    llama2_like: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    config = LlamaConfig(
        vocab_size=len(llama2_like),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    llama2_like.save_pretrained(tmp_path / "model")
    out = tmp_path / "out"
    out.mkdir()
    (out / "model.onnx").write_text("of an earlier model", "utf-8")
    assert "begin token" in (export(tmp_path / "model", out) or "")
    assert not (out / "model.onnx").exists()
    served = AutoModelForCausalLM.from_pretrained(out)
    assert served.dtype == torch.bfloat16
    assert load_tokenizer(out)("a b")["input_ids"] == llama2_like("a b")["input_ids"]


def test_generation_is_greedy_and_ends_where_training_did(work: Path) -> None:
    found = GenerationConfig.from_pretrained(work / "exported")
    assert not found.do_sample
    assert found.eos_token_id == load_tokenizer(work / "exported").eos_token_id


def test_the_card_tells_of_both_stages_and_their_data(work: Path) -> None:
    write_card(work / "exported", work / "model" / "stage2", data=[work / "cot.jsonl", work / "code.jsonl"])
    text = (work / "exported" / NAME).read_text("utf-8")
    assert [stage.recipe["name"] for stage in lineage(work / "model" / "stage2")] == [
        "tiny stage 1",
        "tiny stage 2",
    ]
    for stage in lineage(work / "model" / "stage2"):
        assert stage.data_sha256 in text and f"| {stage.recipe['name']} |" in text
    assert "Not evaluated." in text and str(work) not in text
    assert is_ours(work / "exported")


def test_a_card_written_by_hand_stays(work: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("# mine", "utf-8")
    with pytest.raises(InputError, match="was not written here"):
        card(tmp_path, checkpoint=work / "model" / "stage2")
    assert (tmp_path / NAME).read_text("utf-8") == "# mine"


def test_a_card_claims_no_data_that_was_not_trained_on(work: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"question": "q", "solution": "s"}\n', "utf-8")
    with pytest.raises(InputError, match="was trained on"):
        write_card(work / "exported", work / "model" / "stage2", data=[other])
    with pytest.raises(InputError, match="isn't a finished stage"):
        write_card(work / "exported", work / "exported")


def test_a_checkpoint_is_not_exported_over_itself(work: Path) -> None:
    with pytest.raises(InputError, match="checkpoint itself"):
        export(work / "model" / "stage2", work / "model" / "stage1" / ".." / "stage2")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        export(tmp_path, tmp_path / "out")
