"""What can be known to be wrong with a model before a server is started: decided from its config, by arithmetic.

Plain functions without side effects. `serve` refuses what fails, before minutes are spent on loading; `doctor` shows
all that was found.
"""

import json
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mumath_agent.dialects.families import family_of
from mumath_agent.serving.config import Shape, shape_of

MEMORY_SHARE = 0.90
"""Of a GPU's memory that vLLM takes; what it needs beside weights and cache is in `_WORKSPACE_BYTES`."""
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as the largest rank of its adapters."""
_WORKSPACE_BYTES = 3 << 29
"""1.5 GiB for activations, CUDA graphs and libraries: an allowance, not a measurement."""
_RAM_SHARE = 0.75
_LLAMA_THETA, _CODELLAMA_THETA = 1e4, 1e6
"""The first is also what a config without one means."""
_CODELLAMA_POSITIONS = 16384
_LLAMA2_VOCABULARY = range(32000, 32128)
"""With the tokens that descendants add."""


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    about: str
    said: str
    remedy: str = ""
    """What to do about it; empty where all is well."""


def check_config(name: str, config: Mapping[str, object], flags: Sequence[str] = ()) -> tuple[Finding, ...]:
    """All that a config alone can tell of a model; `flags` are those vLLM is to get."""
    shape = shape_of(config)
    return (check_rope(shape, family_of(name, config).rope_theta, flags),)


def check_rope(shape: Shape, family_theta: float | None, flags: Sequence[str] = ()) -> Finding:
    """Is the base of the rotary positions the one the weights were trained with?

    Descendants of CodeLlama were trained with 1,000,000. Where a config lost it, Llama's 10,000 is taken: nothing
    fails, the answers just get worse (ToRA-Code 7B was seen with 29 % instead of 45 % on MATH). Only who has the
    weights knows what they were trained with, so it is not put right silently: --hf-overrides settles it.
    """
    about, wanted = "rope base", family_theta or _theta_by_looks(shape)
    if (overridden := _overridden(flags)) is not None:
        return _ok(about, f"{overridden:,.0f} by --hf-overrides")
    theta = shape.rope_theta or _LLAMA_THETA
    if wanted in (theta, None) or shape.rope_is_scaled:
        return _ok(about, f"{theta:,.0f} by its config")
    return _fail(
        about,
        f"{theta:,.0f} by its config; such models were trained with {wanted:,.0f}, and another base makes answers "
        "worse, silently",
        f"add  -- --hf-overrides '{rope_override(wanted)}'  or the same with {theta:,.0f}, if these weights were "
        "really trained with that",
    )


def rope_override(theta: float | None) -> str:
    """What --hf-overrides takes. vLLM ignores a plain "rope_theta" there since configs have `rope_parameters`."""
    return json.dumps({"rope_parameters": {"rope_type": "default", "rope_theta": theta}})


def check_context(shape: Shape, context_tokens: int) -> Finding:
    """Does the model know that many positions?"""
    about, known = "context", shape.max_positions or context_tokens
    if context_tokens > known:
        return _fail(
            about,
            f"{context_tokens} tokens are asked for; the model knows {known} positions",
            f"--max-model-len {known} or less",
        )
    more = f" of the {known} it knows (--max-model-len)" if known > context_tokens else ""
    return _ok(about, f"{context_tokens} tokens{more}")


def check_split(shape: Shape, tensor_parallel: int) -> Finding:
    """Can the attention heads be dealt out to that many GPUs?"""
    about, heads = "tensor parallel", shape.heads or tensor_parallel
    if heads % tensor_parallel:
        possible = ", ".join(str(n) for n in range(1, min(heads, 16) + 1) if heads % n == 0)
        return _fail(
            about,
            f"{heads} heads can't be dealt out to {tensor_parallel} GPUs",
            f"--tensor-parallel with one of {possible}",
        )
    return _ok(about, f"{tensor_parallel}")


def check_memory(shape: Shape, gpu_bytes: int, *, tensor_parallel: int, context_tokens: int) -> Finding:
    """Do the weights and the cache of one full sequence fit on the GPUs? Arithmetic, for 16 bits."""
    about = "GPU memory"
    if shape.weight_bytes is None or shape.kv_bytes_per_token is None:
        return Finding(
            level=Level.WARN, about=about, said="not checked: the config doesn't tell the model's size"
        )
    needed = shape.weight_bytes + context_tokens * shape.kv_bytes_per_token
    have = usable_bytes(gpu_bytes) * tensor_parallel
    said = (
        f"{_gib(needed)} for weights and one sequence of {context_tokens} tokens; {_gib(have)} usable on "
        f"{tensor_parallel} of {_gib(gpu_bytes)}"
    )
    if needed <= have:
        return _ok(about, said)
    least = -(-needed // usable_bytes(gpu_bytes))
    return _fail(
        about, said, f"at least {least} such GPUs (--tensor-parallel), larger ones, or a smaller model"
    )


def check_ram(shape: Shape, ram_bytes: int, *, bytes_a_number: int) -> Finding:
    """Without a GPU: do the weights leave some of the machine's memory to others?"""
    about = "memory"
    if shape.parameters is None:
        return Finding(
            level=Level.WARN, about=about, said="not checked: the config doesn't tell the model's size"
        )
    needed = shape.parameters * bytes_a_number
    said = f"{_gib(needed)} for weights; this machine has {_gib(ram_bytes)}, and no GPU is visible"
    if needed <= ram_bytes * _RAM_SHARE:
        return _ok(about, said)
    return _fail(about, said, "a machine with a GPU, a smaller model, or --dtype bfloat16, if that fits")


def check_adapter(name: str, config: Mapping[str, object]) -> Finding:
    """Can vLLM load this LoRA adapter? `config` is its adapter_config.json."""
    about, rank = f"adapter {name}", adapter_rank(config)
    unable = [key for key in ("modules_to_save", "use_dora") if config.get(key)]
    if not unable and rank is not None and rank <= LORA_RANKS[-1]:
        return _ok(about, f"rank {rank}")
    why = f"it has {' and '.join(unable)}" if unable else f"its rank is {rank}, not 1 to {LORA_RANKS[-1]}"
    return _fail(
        about,
        f"{why}, and vLLM can't serve that",
        "merge it into its base (`python -m finetune export`) and serve the result",
    )


def adapter_rank(config: Mapping[str, object]) -> int | None:
    """The largest rank of an adapter's matrices."""
    pattern = config.get("rank_pattern")
    ranks = [config.get("r"), *(pattern.values() if isinstance(pattern, dict) else ())]
    return max((rank for rank in ranks if isinstance(rank, int) and rank > 0), default=None)


def usable_bytes(gpu_bytes: int) -> int:
    """Of one GPU, for weights and cache."""
    return max(int(gpu_bytes * MEMORY_SHARE) - _WORKSPACE_BYTES, 1)


def _ok(about: str, said: str) -> Finding:
    return Finding(level=Level.OK, about=about, said=said)


def _fail(about: str, said: str, remedy: str) -> Finding:
    return Finding(level=Level.FAIL, about=about, said=said, remedy=remedy)


def _theta_by_looks(shape: Shape) -> float | None:
    """Nothing but CodeLlama has Llama 2's vocabulary and 16,384 positions, whatever the model is called."""
    is_codellama = (
        shape.model_type == "llama"
        and shape.max_positions == _CODELLAMA_POSITIONS
        and shape.vocabulary in _LLAMA2_VOCABULARY
    )
    return _CODELLAMA_THETA if is_codellama else None


def _overridden(flags: Sequence[str]) -> float | None:
    """The rope base in vLLM's --hf-overrides, where vLLM heeds it."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--hf-overrides", "--hf_overrides", nargs="?", default="{}")
    given = parser.parse_known_args(flags)[0].hf_overrides
    try:
        overrides = json.loads(given or "")
    except ValueError:
        return None  # vLLM says what is wrong with it
    parameters = overrides.get("rope_parameters") if isinstance(overrides, dict) else None
    return shape_of({"rope_parameters": parameters}).rope_theta


def _gib(number: int) -> str:
    return f"{number / 2**30:.1f} GiB"
