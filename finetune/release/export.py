"""Write a finished stage as one folder that every engine loads: vLLM, transformers and onnxruntime-genai.

    config.json  generation_config.json  tokenizer.json  tokenizer_config.json     read by vLLM and transformers
    model.safetensors                                                              the weights, stored once
    model.onnx  genai_config.json                                                  the embedded engine's graph
    model.onnx.data                                                                its own weights, if quantised

An adapter (LoRA) is merged into the weights it was trained on. A small Llama also gets the embedded engine's graph: its
weights are rounded to float16 first, and all engines then compute in float32 from the same values. Other models are
stored in bfloat16, in which servers compute, and get no graph.

For a larger Llama the embedded engine can have weights of its own, quantised: int8, or int4 with the tied embeddings in
int8. They are rounded in blocks of 32, so this engine then writes other tokens here and there; `verify` shows where.

The graph from onnxruntime-genai's model builder brings a second, float32 copy of the weights. Here each of them is
replaced by an external tensor that points into model.safetensors, a cast and a transposition; onnxruntime folds these
when it loads.
"""

import json
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from enum import StrEnum
from io import StringIO
from pathlib import Path
from runpy import run_module
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from peft import PeftConfig, PeftModel
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

from finetune.training.tokenizer import load_tokenizer
from finetune.training.train import MANIFEST
from finetune.training.weights import ADAPTER, find_start
from mumath_agent.dialects.families import DIALECT_KEY
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.models.embedded_engine import QUANTIZED

WEIGHTS = "model.safetensors"
GRAPH = ("model.onnx", "genai_config.json")
EMBEDDED_PARAMETERS = 100_000_000
"""Larger models are too slow for an engine that computes in float32 on one CPU thread beside the kernels."""
_SHARDS = "model.safetensors.index.json"
_SMALL = 64
"""Initialisers of fewer elements stay in the graph."""

Array = npt.NDArray[np.float32]


class Weights(StrEnum):
    """The precision of the embedded engine's weights."""

    FLOAT16 = "float16"
    INT8 = "int8"
    INT4 = "int4"


_BUILDER: dict[Weights, tuple[str, ...]] = {
    Weights.FLOAT16: ("-p", "fp32"),
    Weights.INT8: ("-p", "int8", "--extra_options", "algo_config=rtn"),
    Weights.INT4: (
        *("-p", "int4", "--extra_options"),
        *("algo_config=k_quant", "matmul_mixed_precision=last_matmul:int8"),
    ),
}
"""What the model builder is told for each."""


class ExportFailed(MuMathError):
    """The model builder or the check of its graph failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A tensor of a safetensors file: the place of its bytes, and its value."""

    name: str
    offset: int
    length: int
    value: Array


def export(checkpoint: Path, out: Path, *, weights: Weights = Weights.FLOAT16) -> str | None:
    """Write the folder; other files in it, such as a README, stay.

    Args:
        checkpoint: folder of a model.
        out: folder to write.
        weights: precision of the embedded engine's weights; the other engines' stay as they are.

    Returns:
        Why the embedded engine's format was left out, or None if it is there.

    Raises:
        InputError: `checkpoint` holds no model, or the base model of its adapter can't be found.
        ExportFailed: the model builder failed, or a weight of its graph isn't in the checkpoint.
    """
    if not any((checkpoint / name).is_file() for name in (WEIGHTS, _SHARDS, ADAPTER)):
        raise InputError(
            f"no {WEIGHTS} and no {ADAPTER} in {checkpoint}; give the folder of a finished stage"
        )
    if out.resolve() == checkpoint.resolve():
        raise InputError(f"{out} is the checkpoint itself, whose weights would be lost; name another --out")
    model, tokenizer = _whole(checkpoint), load_tokenizer(checkpoint)
    left_out = _unfit_for_embedding(model, tokenizer, weights)
    out.mkdir(parents=True, exist_ok=True)
    _write_checkpoint(model, tokenizer, out, half=torch.bfloat16 if left_out else torch.float16)
    if (checkpoint / MANIFEST).is_file():
        recipe = json.loads((checkpoint / MANIFEST).read_text("utf-8"))["identity"]["recipe"]
        _edit_json(out / "config.json", **{DIALECT_KEY: recipe["dialect"]})
    for name in (*GRAPH, QUANTIZED):  # an earlier export's would point into other weights
        (out / name).unlink(missing_ok=True)
    if left_out is None:
        _write_graph(out, weights)
    return left_out


def _whole(checkpoint: Path) -> PreTrainedModel:
    """Return the model in float32, with an adapter merged: in half precision the merge would lose digits."""
    if not (checkpoint / ADAPTER).is_file():
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
        return model
    base = find_start(str(PeftConfig.from_pretrained(str(checkpoint)).base_model_name_or_path))
    whole = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with warnings.catch_warnings():  # peft 0.21 uses a name that transformers 5.23 deprecates
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
        adapted = PeftModel.from_pretrained(whole, str(checkpoint))
    merged: PreTrainedModel = adapted.merge_and_unload()
    return merged


def _unfit_for_embedding(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, weights: Weights
) -> str | None:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if model.config.model_type != "llama":
        return f"it takes Llamas, this is a {model.config.model_type}"
    if weights is Weights.FLOAT16 and parameters > EMBEDDED_PARAMETERS:
        return (
            f"in float16 it takes up to {EMBEDDED_PARAMETERS:,} parameters, this has {parameters:,}; try int4"
        )
    if len(tokenizer("")["input_ids"]):
        return "it puts no begin token before a prompt, this tokenizer does"
    return None


def _write_checkpoint(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, out: Path, *, half: torch.dtype
) -> None:
    end = tokenizer.eos_token_id
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=end,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )
    model.config.eos_token_id = end  # the token that training put at the end of every solution
    for old in (*out.glob("model*.safetensors"), out / _SHARDS):
        old.unlink(missing_ok=True)
    model.to(half).save_pretrained(out)  # type: ignore[arg-type]
    for file in out.glob("*.safetensors"):
        file.chmod(0o644)  # huggingface makes it readable for its owner only
    tokenizer.save_pretrained(out)
    if half is torch.float16:
        # The engines compute in float32; the file holds float16 whatever this says.
        _edit_json(out / "config.json", dtype="float32")
    # The class name that transformers 4 and 5 and vLLM all know.
    _edit_json(out / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")


def _write_graph(out: Path, weights: Weights) -> None:
    with TemporaryDirectory() as scratch:
        built = _built(out, Path(scratch), weights)
        if weights is not Weights.FLOAT16:
            for name in (*GRAPH, QUANTIZED):
                shutil.copyfile(built / name, out / name)
            return
        graph = onnx.load(built / "model.onnx")
        point_into(graph, out / WEIGHTS)
        onnx.save(graph, out / "model.onnx")
        shutil.copyfile(built / "genai_config.json", out / "genai_config.json")


def _edit_json(path: Path, **values: str) -> None:
    content = json.loads(path.read_text("utf-8")) | values
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _built(folder: Path, scratch: Path, weights: Weights) -> Path:
    """Run the model builder on `folder` and return its output, for the CPU."""
    out = scratch / "built"
    arguments = ["-m", str(folder.resolve()), "-o", str(out), "-e", "cpu", "-c", str(scratch / "cache")]
    arguments += _BUILDER[weights]
    tied = json.loads((folder / "config.json").read_text("utf-8")).get("tie_word_embeddings")
    if weights is not Weights.FLOAT16 and tied:
        arguments.append("shared_embeddings=true")
    _run_builder(arguments)
    return out


def _run_builder(arguments: list[str]) -> None:
    """Run it as a program, but in this process, which has loaded all that it needs; drop what it prints."""
    own, sys.argv = sys.argv, ["builder", *arguments]
    told = StringIO()
    try:
        with redirect_stdout(StringIO()), redirect_stderr(told), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run_module("onnxruntime_genai.models.builder", run_name="__main__")
    except (Exception, SystemExit) as error:  # a boundary: it fails in many ways
        why = error if isinstance(error, Exception) else told.getvalue().strip().rsplit("\n", 1)[-1]
        raise ExportFailed(f"onnxruntime-genai's model builder failed: {why}") from error
    finally:
        sys.argv = own


def point_into(model: onnx.ModelProto, weights: Path) -> None:
    """Replace the float32 initialisers of `model` by tensors of the safetensors file beside it."""
    stored = read_stored(weights)
    kept: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []
    external: dict[str, onnx.TensorProto] = {}
    for initializer in model.graph.initializer:
        value = numpy_helper.to_array(initializer)
        parts, transposed = (
            _parts(value, stored) if initializer.data_type == TensorProto.FLOAT else ([], False)
        )
        if not parts:
            if value.size >= _SMALL and not initializer.name.endswith("_cache"):
                raise ExportFailed(f"{initializer.name} of the graph is not a tensor of the checkpoint")
            kept.append(initializer)
            continue
        external |= {part.name: _external(part, weights.name) for part in parts}
        nodes.extend(_nodes(initializer.name, [external[part.name].name for part in parts], transposed))
    rest = list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend([*kept, *external.values()])
    model.graph.node.extend([*nodes, *rest])


def _parts(value: Array, stored: list[Stored]) -> tuple[list[Stored], bool]:
    """Return the tensors that make up `value`, one as it is or several stacked and transposed; or none."""
    for tensor in stored:
        if np.array_equal(tensor.value, value):
            return [tensor], False
    parts: list[Stored] = []
    rows = value.T
    while value.ndim == 2 and len(rows):
        found = next(
            (t for t in stored if t.value.ndim == 2 and np.array_equal(t.value, rows[: len(t.value)])), None
        )
        if found is None:
            return [], False
        parts.append(found)
        rows = rows[len(found.value) :]
    return parts, True


def _nodes(name: str, parts: list[str], transposed: bool) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that compute the initialiser `name` from `parts`."""
    half, full = parts[0], f"{name}/float32" if transposed else name
    if len(parts) > 1:
        half = f"{name}/float16"
        yield helper.make_node("Concat", parts, [half], name=f"{name}/Concat", axis=0)
    yield helper.make_node("Cast", [half], [full], name=f"{name}/Cast", to=TensorProto.FLOAT)
    if transposed:
        yield helper.make_node("Transpose", [full], [name], name=f"{name}/Transpose", perm=[1, 0])


def _external(tensor: Stored, location: str) -> onnx.TensorProto:
    proto = TensorProto(
        name=f"{location}/{tensor.name}", data_type=TensorProto.FLOAT16, dims=tensor.value.shape
    )
    proto.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", tensor.offset), ("length", tensor.length)):
        proto.external_data.add(key=key, value=str(value))
    return proto


def read_stored(path: Path) -> list[Stored]:
    """Return the float16 tensors of a safetensors file: 8 bytes of header length, a JSON header, the bytes."""
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    stored = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = (begin + offset for offset in entry["data_offsets"])
        value = np.frombuffer(content[first:last], dtype=np.float16).reshape(entry["shape"])
        stored.append(Stored(name=name, offset=first, length=last - first, value=value.astype(np.float32)))
    return stored
