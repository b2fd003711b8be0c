"""What a model's config.json says about its size and its positions, and where it is found.

Read once, at the edge; the checks and the command of a launch work with a `Shape`. What a config does not say is None:
nothing is guessed here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mumath_agent.errors import InputError

_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
_BYTES = 2
"""Of one number in 16 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A decoder's measures."""

    model_type: str
    vocabulary: int | None
    heads: int | None
    max_positions: int | None
    rope_theta: float | None
    rope_is_scaled: bool
    """Positions are stretched (linear, YaRN, Llama 3): the base alone doesn't decide."""
    parameters: int | None
    """None where the plain count would be wrong: experts, quantised weights, unknown parts."""
    kv_bytes_per_token: int | None
    """Of the cache, in 16 bits."""

    @property
    def weight_bytes(self) -> int | None:
        """In 16 bits."""
        return None if self.parameters is None else self.parameters * _BYTES


def shape_of(config: Mapping[str, object]) -> Shape:
    """The measures in a config.json, in the forms of transformers 4 and 5."""
    heads = _whole(config, "num_attention_heads")
    layers, hidden = _whole(config, "num_hidden_layers"), _whole(config, "hidden_size")
    kv_heads = _whole(config, "num_key_value_heads") or heads
    head_size = _whole(config, "head_dim") or (hidden // heads if hidden and heads else None)
    rope = _rope(config)
    theta = rope.get("rope_theta", config.get("rope_theta"))
    return Shape(
        model_type=str(config.get("model_type", "")),
        vocabulary=_whole(config, "vocab_size"),
        heads=heads,
        max_positions=_whole(config, "max_position_embeddings"),
        rope_theta=float(theta) if isinstance(theta, int | float) else None,
        rope_is_scaled=rope.get("rope_type", rope.get("type", "default")) != "default",
        parameters=_parameters(config, head_size),
        kv_bytes_per_token=2 * layers * kv_heads * head_size * _BYTES
        if layers and kv_heads and head_size
        else None,
    )


def local(model: str) -> Path | None:
    """The folder or file of this name, if there is one; else it is an id on the hub."""
    path = Path(model).expanduser().resolve()
    return path if path.exists() else None


def config_of(model: str) -> Mapping[str, object] | None:
    """The config.json of a folder, or of a model on the hub: from the cache if it is there. None if it can't be had.

    Raises:
        InputError: there is no such folder or model.
    """
    if (path := local(model)) is not None:
        return read_json(path / "config.json") if path.is_dir() else None  # GGUF: its measures are in itself
    if model.startswith(("/", ".", "~")) or model.count("/") > 1:
        raise InputError(
            f"there is no folder {model}; give a folder with a config.json, or a model's id on the hub"
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
                f"the hub has no model {model} for you ({reason}); a gated one needs `hf auth login`"
            ) from None
        except (EntryNotFoundError, OSError):  # not cached, no such file, or no way to the hub
            continue
    return None


def read_json(path: Path) -> Mapping[str, object]:
    """A JSON object of a file.

    Raises:
        InputError: there is none.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object")
    return value


def _parameters(config: Mapping[str, object], head_size: int | None) -> int | None:
    """Of a Llama-like decoder; biases and norms are too few to matter."""
    if any(_whole(config, name) for name in _EXPERTS) or "quantization_config" in config:
        return None
    hidden, wide = _whole(config, "hidden_size"), _whole(config, "intermediate_size")
    layers, heads = _whole(config, "num_hidden_layers"), _whole(config, "num_attention_heads")
    vocabulary = _whole(config, "vocab_size")
    if not (hidden and wide and layers and heads and vocabulary and head_size):
        return None
    kv_heads = _whole(config, "num_key_value_heads") or heads
    attention = hidden * head_size * (2 * heads + 2 * kv_heads)
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return embeddings + layers * (attention + 3 * hidden * wide)


def _rope(config: Mapping[str, object]) -> Mapping[str, object]:
    """transformers 5 keeps all in `rope_parameters`; before, the base stood by itself, scaling in `rope_scaling`."""
    for name in ("rope_parameters", "rope_scaling"):
        if isinstance(found := config.get(name), dict):
            return found
    return {}


def _whole(config: Mapping[str, object], name: str) -> int | None:
    value = config.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
