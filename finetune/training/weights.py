"""Make, load, adapt, shard and save the model of a training run.

start                                  recipe      what is trained
folder of a tokenizer                  [model]     a new Llama
folder, hub name or GGUF of a model    -           all its weights
folder, hub name or GGUF of a model    [lora]      a new adapter
folder of a stage with an adapter      [lora]      that adapter, further
folder of a stage with an adapter      -           all weights, with the adapter merged into them
"""

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from finetune.training.attention import implementation
from finetune.training.distributed import Processes, layers, shard
from finetune.training.gguf import gguf_folder
from finetune.training.recipe import Lora, Recipe, Shape
from mumath_agent.errors import InputError

ADAPTER = "adapter_config.json"
_FILES = ("*.json", "*.safetensors", "tokenizer.model")

Model = PreTrainedModel | PeftModel


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence a warning: peft 0.21 uses a name that transformers 5.23 deprecates."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
        yield


def find_start(start: str) -> Path:
    """Return the folder of a model or tokenizer: `start` itself, a GGUF file de-quantised, or a copy from the hub.

    Raises:
        InputError: there is none of them, or the file can't be used.
    """
    path = Path(start).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        return gguf_folder(path)
    if path.suffix == ".gguf" or start.count("/") > 1:
        raise InputError(
            f"there is no {start}; give a folder, a GGUF file, or a name on the hub (owner/repo)"
        )
    try:
        return Path(snapshot_download(start, allow_patterns=list(_FILES)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{start} isn't a folder or GGUF file, and the hub didn't give it: {reason}"
        ) from None


def make_model(
    recipe: Recipe, tokenizer: PreTrainedTokenizerFast, start: Path, processes: Processes
) -> Model:
    """Return the model of `recipe` at step 0, on its device; with several processes, this one's shard.

    Raises:
        InputError: `start` holds no model, or the recipe needs something that isn't installed.
    """
    _require(recipe, start, processes)
    if processes.count == 1:
        model = freeze(_whole(recipe, tokenizer, start, processes), recipe.frozen_layers)
        if not (recipe.lora and recipe.lora.quantize):  # a quantised model was loaded onto its device
            model = model.to(processes.device)  # type: ignore[arg-type]
    else:
        source = _whole(recipe, tokenizer, start, processes) if processes.is_first else None
        with torch.device("meta"):
            model = freeze(_empty(recipe, tokenizer, start), recipe.frozen_layers)
        shard(model, source, processes, half=recipe.precision == "bf16")
    if recipe.gradient_checkpointing:
        model.activation_checkpointing_enable()
    return model.train()


def configuration(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, start: Path) -> PreTrainedConfig:
    """Return the configuration of the model to train, without loading weights."""
    if recipe.model is not None:
        return _config(recipe.model, tokenizer)
    folder = (
        Path(PeftConfig.from_pretrained(str(start)).base_model_name_or_path) if _adapted(start) else start
    )
    config: PreTrainedConfig = AutoConfig.from_pretrained(find_start(str(folder)))
    return config


def save_model(model: Model, out: Path, processes: Processes) -> None:
    """Write the weights: the whole model, or only the adapter."""
    gathered: dict[str, Any] = {}
    if processes.count > 1:
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        state = get_model_state_dict(model, options=options)
        once = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
        gathered = {
            "state_dict": {name: value for name, value in state.items() if name in once}
        }  # tied weights once
    if processes.is_first:
        model.save_pretrained(str(out), **gathered)
    processes.wait()


def _whole(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, start: Path, processes: Processes) -> Model:
    """Return the model with its values, on the CPU (quantised: on the GPU)."""
    if recipe.model is not None:
        return adapted_by(recipe.lora, _fresh(recipe.model, tokenizer, implementation(recipe)))
    options: dict[str, Any] = {"dtype": _dtype(recipe), "attn_implementation": implementation(recipe)}
    if recipe.lora is not None and recipe.lora.quantize is not None:
        options["device_map"] = {"": processes.device}
        options["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
    if not _adapted(start):
        return adapted_by(recipe.lora, AutoModelForCausalLM.from_pretrained(start, **options))
    config = PeftConfig.from_pretrained(str(start))
    base = AutoModelForCausalLM.from_pretrained(find_start(str(config.base_model_name_or_path)), **options)
    with _quiet():
        model = PeftModel.from_pretrained(base, str(start), is_trainable=recipe.lora is not None)
    if recipe.lora is None:
        merged: PreTrainedModel = model.merge_and_unload()
        return merged.requires_grad_(True)
    return model


def _empty(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, start: Path) -> Model:
    """Return the same model without values; to be called where the default device is "meta"."""
    model: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
        configuration(recipe, tokenizer, start),
        dtype=_dtype(recipe),
        attn_implementation=implementation(recipe),
    )
    if recipe.lora is not None and _adapted(start):
        with _quiet():
            adapted: Model = get_peft_model(
                model, PeftConfig.from_pretrained(str(start), inference_mode=False)
            )
        return adapted
    return adapted_by(recipe.lora, model)


def adapted_by(lora: Lora | None, model: PreTrainedModel) -> Model:
    """Return `model` with a new adapter, or as it is without `lora`."""
    if lora is None:
        return model
    if lora.quantize is not None:
        prepare = prepare_model_for_kbit_training
        model = prepare(model, use_gradient_checkpointing=False)  # type: ignore[no-untyped-call]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # peft's type says int, but fractions work
        lora_dropout=lora.dropout,
        target_modules=lora.targets if isinstance(lora.targets, str) else list(lora.targets),
        task_type="CAUSAL_LM",
    )
    with _quiet():
        adapted = get_peft_model(model, config)
    assert isinstance(adapted, PeftModel)
    return adapted


def freeze(model: Model, lower_layers: int | None) -> Model:
    """Leave the embeddings and so many lower layers untrained; None leaves nothing.

    Raises:
        InputError: the model has no more layers than that.
    """
    if lower_layers is None:
        return model
    stack = layers(model)
    if lower_layers >= len(stack):
        raise InputError(
            f"frozen_layers = {lower_layers} leaves nothing to train: the model has {len(stack)} layers"
        )
    for part in (model.get_input_embeddings(), *stack[:lower_layers]):
        part.requires_grad_(False)
    return model


def _dtype(recipe: Recipe) -> torch.dtype:
    """Return float32 for weights that are trained, and the precision of the products for a frozen base."""
    return torch.bfloat16 if recipe.lora is not None and recipe.precision == "bf16" else torch.float32


def _fresh(shape: Shape, tokenizer: PreTrainedTokenizerFast, attention: str) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
        _config(shape, tokenizer), attn_implementation=attention
    )
    return model


def _config(shape: Shape, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        intermediate_size=shape.ffn_size,
        max_position_embeddings=shape.positions,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _adapted(start: Path) -> bool:
    return (start / ADAPTER).is_file()


def _require(recipe: Recipe, start: Path, processes: Processes) -> None:
    if recipe.model is None and not (_adapted(start) or (start / "config.json").is_file()):
        raise InputError(f"{start} holds no finished stage to start from; train stage 1 first")
    if list(start.glob("checkpoint-*")):
        raise InputError(f"{start} isn't finished; give its command again first")
    if recipe.attention == "flash_attention_2" and importlib.util.find_spec("flash_attn") is None:
        raise InputError('attention = "flash_attention_2" needs the package flash-attn; or use "sdpa"')
    if recipe.lora is not None and recipe.lora.quantize is not None:
        if importlib.util.find_spec("bitsandbytes") is None or processes.device.type != "cuda":
            raise InputError(
                "lora.quantize needs bitsandbytes and a CUDA device; leave it out for plain LoRA"
            )
        if processes.count > 1:
            raise InputError("lora.quantize trains on one GPU; leave it out to train on several")
