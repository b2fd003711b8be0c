"""Turn a GGUF file into a folder to train from: the weights de-quantised to float32, the tokenizer as tokenizer.json.

    FILE.gguf ─▶ config.json, model.safetensors, tokenizer.json, … in the hub's folder of assets, by the file's hash

Llamas and Qwen2s with a byte-level tokenizer can be read. What the format says is at
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; what differs from transformers is the order of the rows of a
Llama's query and key matrices, whose halves llama.cpp interleaves.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import numpy.typing as npt
from huggingface_hub import cached_assets_path
from safetensors.numpy import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, PreTrainedConfig, PreTrainedTokenizerFast, Qwen2Config

from finetune.data.jobs import sha256
from mumath_agent.errors import InputError, MissingExtra

Array = npt.NDArray[np.float32]

_CONFIGS: dict[str, Callable[..., PreTrainedConfig]] = {"llama": LlamaConfig, "qwen2": Qwen2Config}
_PARTS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
"""The parts of a layer: llama.cpp's names, and those of transformers."""
_WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_LATER = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLITS: dict[str, tuple[str, ...]] = {
    "default": (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]"),
    "gpt-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "qwen2": (_LATER % "",),
    "llama-bpe": (_LATER % "{1,3}",),
}
"""How llama.cpp's kinds of pre-tokenizer cut a text into words (src/llama-vocab.cpp), one cut after the other."""
_MERGES_IGNORED = ("llama-bpe",)
_CONTROL, _USER_DEFINED = 3, 4


def gguf_folder(file: Path) -> Path:
    """Return a folder with the model of a GGUF file; it is made once, and found again by the file's hash.

    Raises:
        InputError: the file isn't GGUF, or its model or tokenizer is of a kind that can't be read here.
    """
    known = cached_assets_path("mumath-agent", namespace="gguf", subfolder=sha256(file)[:16])
    if not (known / "config.json").is_file():
        partial_folder = Path(mkdtemp(dir=known.parent))
        try:
            convert(file, partial_folder)
            known.rmdir()  # empty: a finished one has a config.json
            partial_folder.rename(known)
        except OSError as error:
            if not (known / "config.json").is_file():  # another process may have been first
                raise InputError(f"can't write {known}: {error.strerror}") from None
        finally:
            shutil.rmtree(partial_folder, ignore_errors=True)
            with suppress(OSError):  # empty, if the file can't be used
                known.rmdir()
    return known


def convert(file: Path, out: Path) -> None:
    """Write the model and the tokenizer of a GGUF file to `out`.

    Raises:
        InputError: see `gguf_folder`.
    """
    read = _Gguf(file)
    config, tokenizer = _config(read), _tokenizer(read)
    weights = dict(_weights(read))
    if "model.embed_tokens.weight" not in weights:
        raise InputError(f"{file} has no token_embd.weight: it holds no weights to start from")
    config.tie_word_embeddings = "lm_head.weight" not in weights
    tokenizer.save_pretrained(out)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(out)
    for path in out.iterdir():
        path.chmod(0o644)
    out.chmod(0o755)


class _Gguf:
    """A GGUF file whose named values can be asked for; the names of the architecture's own begin with a point."""

    def __init__(self, file: Path) -> None:
        try:
            from gguf import GGUFReader
        except ImportError:
            raise MissingExtra("a GGUF file", "finetune") from None
        self.file = file
        try:
            self._reader = GGUFReader(file)
        except OSError as error:
            raise InputError(f"can't read {file}: {error.strerror or error}") from None
        except Exception as error:  # a damaged file breaks the reader anywhere
            raise InputError(
                f"{file} isn't a GGUF file that can be used: {error}; download it again"
            ) from None
        self.architecture = str(self.get("general.architecture", ""))
        if self.get("split.count", 1) != 1:
            raise InputError(f"{file} is one part of several; join them with llama-gguf-split --merge")

    @property
    def tensors(self) -> Any:
        return self._reader.tensors

    def get(self, name: str, default: Any = None) -> Any:
        field = self._reader.fields.get(name if name[0] != "." else f"{self.architecture}{name}")
        return default if field is None else field.contents()

    def need(self, name: str) -> Any:
        if (value := self.get(name)) is None:
            raise InputError(f"{self.file} doesn't say its {name.strip('.')}: it can't be trained from")
        return value


def _config(read: _Gguf) -> PreTrainedConfig:
    if read.architecture not in _CONFIGS:
        kinds = " or ".join(_CONFIGS)
        raise InputError(
            f"{read.file} holds a {read.architecture or 'nameless'} model; from GGUF, {kinds} can be trained"
        )
    scaled = read.get(".rope.scaling.type", "none") != "none"
    if scaled or any(tensor.name == "rope_freqs.weight" for tensor in read.tensors):
        raise InputError(
            f"{read.file} scales its positions, which isn't read from GGUF; start from its folder instead"
        )
    heads = int(read.need(".attention.head_count"))
    width = int(read.need(".embedding_length"))
    return _CONFIGS[read.architecture](
        vocab_size=len(read.need("tokenizer.ggml.tokens")),
        hidden_size=width,
        intermediate_size=int(read.need(".feed_forward_length")),
        num_hidden_layers=int(read.need(".block_count")),
        num_attention_heads=heads,
        num_key_value_heads=int(read.get(".attention.head_count_kv", heads)),
        head_dim=int(read.get(".attention.key_length", width // heads)),
        max_position_embeddings=int(read.need(".context_length")),
        rms_norm_eps=float(read.need(".attention.layer_norm_rms_epsilon")),
        rope_parameters={"rope_type": "default", "rope_theta": float(read.get(".rope.freq_base", 10_000.0))},
        bos_token_id=read.get("tokenizer.ggml.bos_token_id"),
        eos_token_id=read.get("tokenizer.ggml.eos_token_id"),
        pad_token_id=read.get("tokenizer.ggml.padding_token_id"),
        architectures=[f"{read.architecture.capitalize()}ForCausalLM"],
        dtype="float32",
    )


def _weights(read: _Gguf) -> Iterator[tuple[str, Array]]:
    """Yield each weight with its name in transformers."""
    from gguf.quants import dequantize

    heads = int(read.need(".attention.head_count"))
    kv_heads = int(read.get(".attention.head_count_kv", heads))
    order: dict[str, Callable[[Array], Array]] = {}
    if read.architecture == "llama":
        order = {"attn_q": partial(_halves, heads=heads), "attn_k": partial(_halves, heads=kv_heads)}
    for tensor in read.tensors:
        stem, _, kind = tensor.name.rpartition(".")
        _, number, part = ["", "", "", *stem.split(".")][-3:]
        name = _WHOLE.get(stem) or (f"model.layers.{number}.{_PARTS[part]}" if part in _PARTS else None)
        if name is None:
            raise InputError(
                f"{read.file} has a tensor {tensor.name}, which no plain {read.architecture} has"
            )
        try:
            value = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        except (NotImplementedError, ValueError) as error:
            raise InputError(f"{read.file}: {tensor.name} can't be de-quantised: {error}") from None
        value = value.reshape([int(size) for size in reversed(tensor.shape)])
        if part in order:
            value = order[part](value)
        yield f"{name}.{kind}", np.ascontiguousarray(value)


def _halves(matrix: Array, *, heads: int) -> Array:
    """Return the rows of each head as two halves; in the file, a row of the one follows a row of the other."""
    pairs = matrix.reshape(heads, -1, 2, *matrix.shape[1:])
    return pairs.swapaxes(1, 2).reshape(matrix.shape)


def _tokenizer(read: _Gguf) -> PreTrainedTokenizerFast:
    kind = read.need("tokenizer.ggml.model")
    cut = str(read.get("tokenizer.ggml.pre", "default"))
    if kind != "gpt2" or cut not in _SPLITS:
        named = f"of kind {kind}" if kind != "gpt2" else f"cut into words by {cut!r}"
        raise InputError(
            f"{read.file}: its tokenizer ({named}) isn't read from GGUF; start from the model's folder instead"
        )
    tokens: list[str] = read.need("tokenizer.ggml.tokens")
    kinds = read.get("tokenizer.ggml.token_type", [1] * len(tokens))
    merges = [tuple(merge.split(" ", 1)) for merge in read.need("tokenizer.ggml.merges")]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    merges = [(a, b) for a, b in merges if {a, b, a + b} <= vocabulary.keys()]
    made = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=cut in _MERGES_IGNORED))
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in _SPLITS[cut]]
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    made.decoder = decoders.ByteLevel()
    added = [
        (token, kind) for token, kind in zip(tokens, kinds, strict=True) if kind in (_CONTROL, _USER_DEFINED)
    ]
    made.add_tokens([AddedToken(token, normalized=False, special=kind == _CONTROL) for token, kind in added])
    names = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    ids = {name: read.get(f"tokenizer.ggml.{word}_token_id") for name, word in names.items()}
    special = {f"{name}_token": tokens[number] for name, number in ids.items() if number is not None}
    if read.get("tokenizer.ggml.add_bos_token", cut in _MERGES_IGNORED) and ids["bos"] is not None:
        begin = special["bos_token"]
        made.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, ids["bos"])]
        )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=made,
        clean_up_tokenization_spaces=False,
        model_max_length=int(read.need(".context_length")),
        chat_template=read.get("tokenizer.chat_template"),
        **special,
    )
