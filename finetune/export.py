"""A finished stage as one folder that every engine loads: vLLM, transformers and onnxruntime-genai.

    config.json  generation_config.json  tokenizer.json  tokenizer_config.json     what vLLM and transformers read
    model.safetensors                                                              the weights, float16, stored once
    model.onnx  genai_config.json                                                  the embedded engine's graph

Weights are rounded to float16 first; all engines then compute in float32 from the same values. The graph of
onnxruntime-genai's model builder would bring a second, float32 copy of the weights. Here each of them is replaced by
an external tensor that points into model.safetensors, a cast and a transposition; onnxruntime folds these on load.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from transformers import LlamaForCausalLM

from finetune.tokenizer import load_tokenizer
from mumath_agent.errors import InputError, MuMathError

WEIGHTS = "model.safetensors"
_SMALL = 64
"""Initialisers of fewer elements stay in the graph."""

Array = npt.NDArray[np.float32]


class ExportFailed(MuMathError):
    """The model builder or the check of its graph failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A tensor of a safetensors file: where its bytes lie, and its value."""

    name: str
    offset: int
    length: int
    value: Array


def export(checkpoint: Path, out: Path) -> None:
    """Write the folder; what is not made here (a README) is left as it is.

    Raises:
        InputError: `checkpoint` holds no model.
        ExportFailed: the model builder gave up, or a weight of its graph is not in the checkpoint.
    """
    if not (checkpoint / WEIGHTS).is_file():
        raise InputError(f"no {WEIGHTS} in {checkpoint}; give the folder of a finished stage")
    out.mkdir(parents=True, exist_ok=True)
    _write_checkpoint(checkpoint, out)
    with TemporaryDirectory() as scratch:
        built = _built(out, Path(scratch))
        graph = onnx.load(built / "model.onnx")
        point_into(graph, out / WEIGHTS)
        onnx.save(graph, out / "model.onnx")
        shutil.copyfile(built / "genai_config.json", out / "genai_config.json")


def _write_checkpoint(checkpoint: Path, out: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(checkpoint, dtype=torch.float16)
    model.save_pretrained(out)
    (out / WEIGHTS).chmod(0o644)  # huggingface writes it for its owner alone
    load_tokenizer(checkpoint).save_pretrained(out)
    # float32 is what the engines compute in; the file holds float16 whatever is said here.
    _edit_json(out / "config.json", dtype="float32")
    # The name that transformers 4 and 5 and vLLM all know.
    _edit_json(out / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")


def _edit_json(path: Path, **values: str) -> None:
    content = json.loads(path.read_text("utf-8")) | values
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _built(folder: Path, scratch: Path) -> Path:
    """What the model builder makes of `folder`, in float32 for the CPU."""
    out = scratch / "built"
    command = ["-m", "onnxruntime_genai.models.builder", "-m", str(folder.resolve()), "-o", str(out)]
    options = ["-p", "fp32", "-e", "cpu", "-c", str(scratch / "cache")]
    done = subprocess.run([sys.executable, *command, *options], capture_output=True, text=True)
    if done.returncode != 0:
        last = done.stderr.strip().rsplit("\n", 1)[-1]
        raise ExportFailed(f"onnxruntime-genai's model builder failed: {last}")
    return out


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
    """The tensors that make up `value`: one as it is, or the transpose of some stacked on one another; or none."""
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
    """Nodes that compute the initialiser `name` from `parts`."""
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
    """The float16 tensors of a safetensors file: 8 bytes of header length, a JSON header, the bytes."""
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
