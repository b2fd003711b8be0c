"""Check, from its config alone, whether a model can be served well, before a server is started.

The checks are plain functions without side effects: arithmetic on a `Shape`. `serve` refuses a model that fails one,
before minutes are spent on loading it; `doctor` reports the rope base of what is served.
"""

import json
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence

from mumath_agent.serving.config import Shape, shape_of
from mumath_agent.serving.finding import Finding, fail, ok, warn

MEMORY_SHARE = 0.90
"""The part of a GPU's memory that vLLM takes; what it needs beside weights and cache is `_WORKSPACE_BYTES`."""
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM accepts as the largest rank of its adapters."""
_WORKSPACE_BYTES = 3 << 29
"""1.5 GiB for activations, CUDA graphs and libraries: an allowance, not a measurement."""
_RAM_SHARE = 0.75
_LLAMA_THETA, _CODELLAMA_THETA = 1e4, 1e6
"""The first is also the default of a config without a rope base."""
_CODELLAMA_POSITIONS = 16384
_LLAMA2_VOCABULARY = range(32000, 32128)
"""The sizes of Llama 2's vocabulary with the tokens that its descendants add."""
_UNKNOWN_SIZE = "not checked: the config doesn't give the model's size"


def check_rope(shape: Shape, family_theta: float | None, flags: Sequence[str] = ()) -> Finding:
    """Check that the base of the rotary positions is the one the weights were trained with.

    Descendants of CodeLlama were trained with 1,000,000. A config that lost it falls back to Llama's 10,000: nothing
    fails, the answers just get worse (ToRA-Code 7B was reported at 29 % instead of 45 % on MATH). Only the owner of the
    weights knows what they were trained with, so the base isn't changed silently: --hf-overrides settles it.

    Args:
        shape: the model's config.
        family_theta: the base of the model's family; None if it isn't known.
        flags: the flags that vLLM will get.
    """
    name, wanted = "rope base", family_theta or _theta_by_looks(shape)
    if (overridden := _overridden(flags)) is not None:
        return ok(f"{overridden:,.0f} from --hf-overrides", name=name)
    theta = shape.rope_theta or _LLAMA_THETA
    if wanted in (theta, None) or shape.rope_is_scaled:
        return ok(f"{theta:,.0f} in its config", name=name)
    return fail(
        f"{theta:,.0f} in its config, but such models were trained with {wanted:,.0f}; a wrong base silently makes "
        "answers worse",
        f"add  -- --hf-overrides '{rope_override(wanted)}'  or, if these weights really were trained with "
        f"{theta:,.0f}, the same with that",
        name=name,
    )


def rope_override(theta: float | None) -> str:
    """Return the value for --hf-overrides that sets the rope base.

    vLLM ignores a plain "rope_theta" there, because configs now have `rope_parameters`.
    """
    return json.dumps({"rope_parameters": {"rope_type": "default", "rope_theta": theta}})


def check_context(shape: Shape, context_tokens: int) -> Finding:
    """Check that the model knows as many positions as the context has tokens."""
    name, known = "context", shape.max_positions or context_tokens
    if context_tokens > known:
        return fail(
            f"{context_tokens} tokens were requested, but the model knows only {known} positions",
            f"--max-model-len {known} or less",
            name=name,
        )
    more = f" of the {known} it knows (--max-model-len)" if known > context_tokens else ""
    return ok(f"{context_tokens} tokens{more}", name=name)


def check_split(shape: Shape, tensor_parallel: int) -> Finding:
    """Check that the attention heads can be divided evenly among the GPUs."""
    name, heads = "tensor parallel", shape.heads or tensor_parallel
    if heads % tensor_parallel:
        possible = ", ".join(str(n) for n in range(1, min(heads, 16) + 1) if heads % n == 0)
        return fail(
            f"{heads} heads can't be divided evenly among {tensor_parallel} GPUs",
            f"--tensor-parallel with one of {possible}",
            name=name,
        )
    return ok(f"{tensor_parallel}", name=name)


def check_memory(shape: Shape, gpu_bytes: int, *, tensor_parallel: int, context_tokens: int) -> Finding:
    """Check, for 16-bit numbers, that the weights and the cache of one full sequence fit on the GPUs."""
    name = "GPU memory"
    if shape.weight_bytes is None or shape.kv_bytes_per_token is None:
        return warn(_UNKNOWN_SIZE, name=name)
    needed = shape.weight_bytes + context_tokens * shape.kv_bytes_per_token
    have = usable_bytes(gpu_bytes) * tensor_parallel
    detail = (
        f"{_gib(needed)} for weights and one sequence of {context_tokens} tokens; {_gib(have)} usable on "
        f"{tensor_parallel} of {_gib(gpu_bytes)}"
    )
    if needed <= have:
        return ok(detail, name=name)
    least = -(-needed // usable_bytes(gpu_bytes))
    remedy = f"at least {least} such GPUs (--tensor-parallel), larger ones, or a smaller model"
    return fail(detail, remedy, name=name)


def check_ram(shape: Shape, ram_bytes: int, *, bytes_per_number: int) -> Finding:
    """Check, for a machine without a GPU, that the weights leave part of its memory free."""
    name = "memory"
    if shape.parameters is None:
        return warn(_UNKNOWN_SIZE, name=name)
    needed = shape.parameters * bytes_per_number
    detail = f"{_gib(needed)} for weights; this machine has {_gib(ram_bytes)} and no visible GPU"
    if needed <= ram_bytes * _RAM_SHARE:
        return ok(detail, name=name)
    remedy = "a machine with a GPU, a smaller model, or --dtype bfloat16 if that fits"
    return fail(detail, remedy, name=name)


def check_adapter(adapter: str, config: Mapping[str, object]) -> Finding:
    """Check that vLLM can load the LoRA adapter; `config` is its adapter_config.json."""
    name, rank = f"adapter {adapter}", adapter_rank(config)
    unsupported = [key for key in ("modules_to_save", "use_dora") if config.get(key)]
    if not unsupported and rank is not None and rank <= LORA_RANKS[-1]:
        return ok(f"rank {rank}", name=name)
    why = (
        f"it has {' and '.join(unsupported)}"
        if unsupported
        else f"its rank is {rank}, not 1 to {LORA_RANKS[-1]}"
    )
    remedy = "merge it into its base (`python -m finetune export`) and serve the result"
    return fail(f"{why}, which vLLM can't serve", remedy, name=name)


def adapter_rank(config: Mapping[str, object]) -> int | None:
    """Return the largest rank of an adapter's matrices, or None if its config gives none."""
    pattern = config.get("rank_pattern")
    ranks = [config.get("r"), *(pattern.values() if isinstance(pattern, dict) else ())]
    return max((rank for rank in ranks if isinstance(rank, int) and rank > 0), default=None)


def usable_bytes(gpu_bytes: int) -> int:
    """Return how much of one GPU's memory is left for weights and cache."""
    return max(int(gpu_bytes * MEMORY_SHARE) - _WORKSPACE_BYTES, 1)


def _theta_by_looks(shape: Shape) -> float | None:
    """Recognise CodeLlama under any name: only it has Llama 2's vocabulary and 16,384 positions."""
    is_codellama = (
        shape.model_type == "llama"
        and shape.max_positions == _CODELLAMA_POSITIONS
        and shape.vocabulary in _LLAMA2_VOCABULARY
    )
    return _CODELLAMA_THETA if is_codellama else None


def _overridden(flags: Sequence[str]) -> float | None:
    """Return the rope base in vLLM's --hf-overrides, in the form that vLLM heeds."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--hf-overrides", "--hf_overrides", nargs="?", default="{}")
    given = parser.parse_known_args(flags)[0].hf_overrides
    try:
        overrides = json.loads(given or "")
    except ValueError:
        return None  # vLLM reports what is wrong with it
    parameters = overrides.get("rope_parameters") if isinstance(overrides, dict) else None
    return shape_of({"rope_parameters": parameters}).rope_theta


def _gib(number: int) -> str:
    return f"{number / 2**30:.1f} GiB"
