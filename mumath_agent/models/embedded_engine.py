"""Compute a Llama's next tokens in onnxruntime, for several sequences at once, blocking, in the caller's thread.

    prompt ─▶ read: a slot's sequence grows by these tokens
    token  ─▶ step: the sequences of neighbouring slots grow by one token each

A slot is a sequence's place in the attention's cache, where what was read or written stays. Memory is only taken for
positions that were used. Which request gets which slot is left to `embedded_batch.py`.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from mumath_agent.errors import ModelError

SLOTS = 8
"""Sequences at once. On one thread a step of 8 took a 135M model in int4 2.9 times as long as one of 1; with 16,
a token was only 12 % cheaper than with 8."""
QUANTIZED = "model.onnx.data"
"""The file of the weights, where the engine has quantised ones of its own."""
_FILES = ("model.onnx", "genai_config.json", "tokenizer.json")

Logits = npt.NDArray[np.float32]


def weights_file(folder: Path) -> Path:
    """Return the file with the weights that are computed with."""
    quantized = folder / QUANTIZED
    return quantized if quantized.is_file() else folder / "model.safetensors"


class Engine:
    """A model and its tokenizer, loaded from a folder."""

    def __init__(self, folder: Path) -> None:
        """Load the model in `folder`, in the form that onnxruntime-genai's model builder writes.

        Raises:
            ModelError: a file is missing.
        """
        if missing := [name for name in _FILES if not (folder / name).is_file()]:
            raise ModelError(
                f"there is no model in {folder}: {missing[0]} is missing; name a server with --base-url"
            )
        settings = json.loads((folder / "genai_config.json").read_text("utf-8"))["model"]
        eos, decoder = settings["eos_token_id"], settings["decoder"]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.context_tokens: int = settings["context_length"]
        self.eos_ids = frozenset(eos if isinstance(eos, list) else [eos])
        self._session = _session(folder / "model.onnx")
        layers = range(decoder["num_hidden_layers"])
        self._tensors = [(layer, part) for layer in layers for part in ("key", "value")]
        shape = (SLOTS, decoder["num_key_value_heads"], self.context_tokens, decoder["head_size"])
        # Zeros that nobody touched take no memory.
        self._cache = [np.zeros(shape, np.float32) for _ in self._tensors]
        self._bindings: dict[tuple[int, int], Any] = {}

    def read(self, slot: int, ids: Sequence[int], *, after: int) -> Logits:
        """Put `ids` behind the first `after` tokens of a slot's sequence; return the next one's logits [vocabulary]."""
        logits: Logits = self._run(slot, slot + 1, np.array([ids]), [after + len(ids)])[0]
        return logits

    def step(self, first: int, ids: Sequence[int], lengths: Sequence[int]) -> Logits:
        """Put one token behind each sequence of neighbouring slots; return the logits [slots, vocabulary].

        Args:
            first: the first of the slots.
            ids: a token for each slot.
            lengths: how long each sequence is with it, in tokens.
        """
        return self._run(first, first + len(ids), np.array(ids)[:, None], lengths)

    def _run(self, first: int, end: int, ids: npt.NDArray[np.int64], lengths: Sequence[int]) -> Logits:
        binding = self._bindings.get((first, end)) or self._bind(first, end)
        binding.bind_cpu_input("input_ids", ids)
        used = np.arange(max(lengths)) < np.array(lengths)[:, None]
        binding.bind_cpu_input("attention_mask", used.astype(np.int64))
        binding.bind_output("logits")  # anew: their shape may have changed
        self._session.run_with_iobinding(binding)
        logits: Logits = binding.get_outputs()[-1].numpy()
        return logits[:, -1]

    def _bind(self, first: int, end: int) -> Any:
        """Let the model read and write the caches of some slots where they are."""
        from onnxruntime import OrtValue

        binding = self._session.io_binding()
        for (layer, part), cache in zip(self._tensors, self._cache, strict=True):
            shared = OrtValue.ortvalue_from_numpy(cache[first:end])
            binding.bind_ortvalue_input(f"past_key_values.{layer}.{part}", shared)
            binding.bind_ortvalue_output(f"present.{layer}.{part}", shared)
        self._bindings[first, end] = binding
        return binding


def _session(graph: Path) -> Any:
    import onnxruntime  # a large library, imported only where it is used

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def decoder(tokenizer: Tokenizer) -> Callable[[int], str]:
    """Return a function that maps each next token to the characters that it completes."""
    stream = DecodeStream(skip_special_tokens=True)
    return lambda token: stream.step(tokenizer, token) or ""


def _threads() -> int:
    """Return all cores but one: the kernels need it, and with every core busy the engine's threads stall each other."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)
