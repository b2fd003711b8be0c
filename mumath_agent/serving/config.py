"""Find a model's config.json and read its sizes and positions.

It is read once, here; the checks and `command` work with a `Shape`. What a config doesn't say is None: nothing is
guessed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mumath_agent.errors import InputError

_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
_BYTES = 2
"""The size of one 16-bit number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes of a decoder; None is unknown."""

    model_type: str
    vocabulary: int | None
    heads: int | None
    max_positions: int | None
    rope_theta: float | None
    rope_is_scaled: bool
    """Whether positions are scaled (linear, YaRN, Llama 3), so that the base alone says little."""
    parameters: int | None
    """None where a plain count would be wrong: experts, quantised weights, unknown parts."""
    kv_bytes_per_token: int | None
    """The cache's size for one token, in 16-bit numbers."""

    @property
    def weight_bytes(self) -> int | None:
        """The weights' size in 16-bit numbers."""
        return None if self.parameters is None else self.parameters * _BYTES


def shape_of(config: Mapping[str, object]) -> Shape:
    """Read the sizes from a config.json, as transformers 4 or 5 writes it."""
    heads = _int(config, "num_attention_heads")
    layers, hidden = _int(config, "num_hidden_layers"), _int(config, "hidden_size")
    kv_heads = _int(config, "num_key_value_heads") or heads
    head_size = _int(config, "head_dim") or (hidden // heads if hidden and heads else None)
    rope = _rope(config)
    theta = rope.get("rope_theta", config.get("rope_theta"))
    return Shape(
        model_type=str(config.get("model_type", "")),
        vocabulary=_int(config, "vocab_size"),
        heads=heads,
        max_positions=_int(config, "max_position_embeddings"),
        rope_theta=float(theta) if isinstance(theta, int | float) else None,
        rope_is_scaled=rope.get("rope_type", rope.get("type", "default")) != "default",
        parameters=_parameters(config, head_size),
        kv_bytes_per_token=2 * layers * kv_heads * head_size * _BYTES
        if layers and kv_heads and head_size
        else None,
    )


def local_path(model: str) -> Path | None:
    """Return the folder or file of this name, or None: then it is an id on the hub."""
    path = Path(model).expanduser().resolve()
    return path if path.exists() else None


def config_of(model: str) -> Mapping[str, object] | None:
    """Return the config.json of a folder or of a model on the hub (from its cache if it is there); None if unavailable.

    Raises:
        InputError: the folder or the model doesn't exist.
    """
    if (path := local_path(model)) is not None:
        return read_json(path / "config.json") if path.is_dir() else None  # a GGUF file holds its own config
    if model.startswith(("/", ".", "~")) or model.count("/") > 1:
        raise InputError(
            f"there is no folder {model}; give a folder with a config.json, or the id of a model on the hub"
        )
    return _config_on_hub(model)


def _config_on_hub(model: str) -> Mapping[str, object] | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, RepositoryNotFoundError

    for cached_only in (True, False):
        try:
            return read_json(Path(hf_hub_download(model, "config.json", local_files_only=cached_only)))
        except (RepositoryNotFoundError, HFValidationError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"the hub has no model {model} that you may read ({reason}); for a gated one run `hf auth login`"
            ) from None
        except (EntryNotFoundError, OSError):  # not cached, no such file, or no way to the hub
            continue
    return None


def read_json(path: Path) -> Mapping[str, object]:
    """Read the JSON object in a file.

    Raises:
        InputError: the file can't be read or holds something else.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path} isn't JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} doesn't hold a JSON object")
    return value


def _parameters(config: Mapping[str, object], head_size: int | None) -> int | None:
    """Count the parameters of a Llama-like decoder; biases and norms are too few to matter."""
    if any(_int(config, name) for name in _EXPERTS) or "quantization_config" in config:
        return None
    hidden, wide = _int(config, "hidden_size"), _int(config, "intermediate_size")
    layers, heads = _int(config, "num_hidden_layers"), _int(config, "num_attention_heads")
    vocabulary = _int(config, "vocab_size")
    if not (hidden and wide and layers and heads and vocabulary and head_size):
        return None
    kv_heads = _int(config, "num_key_value_heads") or heads
    attention = hidden * head_size * (2 * heads + 2 * kv_heads)
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return embeddings + layers * (attention + 3 * hidden * wide)


def _rope(config: Mapping[str, object]) -> Mapping[str, object]:
    """Return transformers 5's `rope_parameters`, or the `rope_scaling` of older configs, which lacks the base."""
    for name in ("rope_parameters", "rope_scaling"):
        if isinstance(found := config.get(name), dict):
            return found
    return {}


def _int(config: Mapping[str, object], name: str) -> int | None:
    value = config.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
