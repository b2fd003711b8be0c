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
from transformers import LlamaForCausalLM

from finetune.embedded.pipeline import Plan, make
from finetune.export import export, read_stored
from finetune.recipe import read_recipe
from finetune.tokenizer import load_tokenizer
from mumath_agent.errors import InputError

pytestmark = pytest.mark.train

RECIPES = Path(__file__).parents[2] / "finetune" / "recipes"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole pipeline with tiny recipes and templates only."""
    folder = tmp_path_factory.mktemp("pipeline")
    plan = Plan(
        gsm8k=(),
        recipes=(read_recipe(RECIPES / "tiny-stage1.toml"), read_recipe(RECIPES / "tiny-stage2.toml")),
        rows=(400, 400),
        vocab_size=600,
    )
    make(plan, work=folder, out=folder / "out")
    return folder


def test_the_weights_are_stored_once_in_half_precision(work: Path) -> None:
    out = work / "out"
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
    path = work / "out" / "model.safetensors"
    expected = load_file(path)
    found = {tensor.name: tensor.value for tensor in read_stored(path)}
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_onnxruntime_writes_what_transformers_writes(work: Path) -> None:
    out = work / "out"
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
        written = model.generate(torch.tensor([prompt]), max_new_tokens=40, do_sample=False)
        # onnxruntime-genai leaves the end token out, transformers keeps it.
        ended = [token for token in written[0].tolist() if token != tokenizer.eos_token_id]
        assert [int(token) for token in generator.get_sequence(0)] == ended


def test_the_folder_names_no_place_of_the_machine_that_made_it(work: Path) -> None:
    for file in (work / "out").iterdir():
        assert str(work).encode() not in file.read_bytes(), file.name


def test_the_tokenizer_names_a_class_that_every_engine_knows(work: Path) -> None:
    settings = json.loads((work / "out" / "tokenizer_config.json").read_text("utf-8"))
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert (settings["eos_token"], settings["pad_token"]) == ("<|end|>", "<|pad|>")


def test_a_finished_pipeline_does_nothing_but_export(work: Path) -> None:
    before = (work / "stage2" / "model.safetensors").stat().st_mtime_ns
    plan = Plan(
        gsm8k=(),
        recipes=(read_recipe(RECIPES / "tiny-stage1.toml"), read_recipe(RECIPES / "tiny-stage2.toml")),
        rows=(400, 400),
        vocab_size=600,
    )
    make(plan, work=work, out=work / "out")
    assert (work / "stage2" / "model.safetensors").stat().st_mtime_ns == before


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        export(tmp_path, tmp_path / "out")
