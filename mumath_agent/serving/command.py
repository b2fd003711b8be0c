"""From what a person asks for to the one vLLM command that does it: flags, environment, and what was found on the way.

Decides, starts nothing. Settings differ between GPUs, where they are for speed, and a CPU, where they are for trying
things out and give other engines' tokens (float32). What nobody said is derived: the context from the model and its
family, the split over GPUs from arithmetic on the config.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from mumath_agent.dialects.families import family_of
from mumath_agent.errors import InputError
from mumath_agent.serving.checks import (
    LORA_RANKS,
    MEMORY_SHARE,
    Finding,
    Level,
    adapter_rank,
    check_adapter,
    check_config,
    check_context,
    check_memory,
    check_ram,
    check_split,
    usable_bytes,
)
from mumath_agent.serving.config import Shape, config_of, local, read_json, shape_of
from mumath_agent.serving.machine import Gpu

DRAIN_S = 30
"""How long a server that is asked to stop works on what it has begun."""
_CONTEXT_TOKENS = 8192
"""Where nobody says: four turns of 1,024 new tokens, what programs print, and room. A cache for more is paid for."""
_WEIGHTS_AT_MOST = 0.75
"""Of what a GPU has for weights and cache. With more there are too few sequences at a time to keep it busy."""
_FULL_SEQUENCES = 4
"""What the cache holds on a CPU, where memory is the limit."""
_RAM_PER_CACHE = 8
"""On a CPU the cache gets this part of the memory at most."""
_FLAGS = "--enable-prefix-caching --enable-prompt-tokens-details --generation-config vllm"
_CPU_FLAGS = "--enforce-eager --block-size 32"
_KEY = "VLLM_API_KEY"
_VLLM_CLI = Path(__file__).with_name("vllm_cli.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What a person asks for; None leaves it to us."""

    model: str
    """A folder, or an id on the hub."""
    name: str | None = None
    """What the model is served as; None for its id or its folder's name."""
    host: str = "127.0.0.1"
    port: int = 8000
    context_tokens: int | None = None
    dtype: str | None = None
    tensor_parallel: int | None = None
    data_parallel: int | None = None
    loras: Mapping[str, Path] = field(default_factory=dict)
    """LoRA adapters: the name each is served as, and its folder."""
    api_key: str | None = None
    flags: tuple[str, ...] = ()
    """More flags for vLLM, as they are; they win over ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A command that is ready to be run."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    """What is added to ours."""
    host: str
    port: int
    findings: tuple[Finding, ...]

    @property
    def url(self) -> str:
        """The address for this machine's programs, without a path."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def __str__(self) -> str:
        """For a shell."""
        shown = {name: "***" if name == _KEY else value for name, value in self.environment.items()}
        return shlex.join(["env", *(f"{name}={value}" for name, value in shown.items()), *self.command])


def build_command(options: ServeOptions, python: Path, gpus: Sequence[Gpu]) -> Launch:
    """The command for this options on this machine.

    Raises:
        InputError: the model or an adapter is not there, or something in it would go wrong.
    """
    path, config = local(options.model), config_of(options.model)
    family = family_of(options.model, config)
    shape = shape_of(config or {})
    context = options.context_tokens or min(
        family.context_tokens or _CONTEXT_TOKENS, shape.max_positions or _CONTEXT_TOKENS
    )
    adapters = {name: read_json(folder / "adapter_config.json") for name, folder in options.loras.items()}
    split = _split(options, shape, gpus)
    findings = [
        *(
            check_config(options.model, config, options.flags)
            if config is not None
            else [_unknown(options.model)]
        ),
        check_context(shape, context),
        check_split(shape, split[0]),
        *_memory(options, shape, context, split[0], gpus),
        *(check_adapter(name, adapter) for name, adapter in adapters.items()),
    ]
    _refuse(options.model, findings)
    flags = [
        *("--host", options.host, "--port", str(options.port)),
        *("--served-model-name", options.name or (path.name if path else options.model)),
        *("--max-model-len", str(context)),
        *("--dtype", options.dtype or _dtype(gpus)),
        *_FLAGS.split(),
        *("--shutdown-timeout", str(DRAIN_S)),
        *_device_flags(split, gpus),
        *_lora_flags(options.loras, [adapter_rank(adapter) or 1 for adapter in adapters.values()]),
    ]
    return Launch(
        command=(str(python), str(_VLLM_CLI), "serve", str(path or options.model), *flags, *options.flags),
        environment=_environment(options, shape, context, gpus),
        host=options.host,
        port=options.port,
        findings=tuple(findings),
    )


def _split(options: ServeOptions, shape: Shape, gpus: Sequence[Gpu]) -> tuple[int, int]:
    """GPUs that share one copy of the model, and copies."""
    if not gpus:
        return options.tensor_parallel or 1, options.data_parallel or 1
    parallel = options.tensor_parallel or _fewest(shape, gpus)
    return parallel, options.data_parallel or max(len(gpus) // parallel, 1)


def _fewest(shape: Shape, gpus: Sequence[Gpu]) -> int:
    """As few as leave room for a cache beside the weights; if none do, as many as can share."""
    possible = [n for n in (1, 2, 4, 8, 16) if n <= len(gpus) and (shape.heads or n) % n == 0]
    memory = _smallest(gpus)
    if memory is None or shape.weight_bytes is None:
        return possible[0]
    share = shape.weight_bytes / (usable_bytes(memory) * _WEIGHTS_AT_MOST)
    return next((n for n in possible if n >= share), possible[-1])


def _memory(
    options: ServeOptions, shape: Shape, context: int, parallel: int, gpus: Sequence[Gpu]
) -> list[Finding]:
    if not gpus:
        wide = (options.dtype or _dtype(gpus)) == "float32"
        return [check_ram(shape, psutil.virtual_memory().total, bytes_a_number=4 if wide else 2)]
    memory = _smallest(gpus)
    if memory is None:
        return []
    return [check_memory(shape, memory, tensor_parallel=parallel, context_tokens=context)]


def _smallest(gpus: Sequence[Gpu]) -> int | None:
    return min((gpu.memory_bytes for gpu in gpus if gpu.memory_bytes), default=None)


def _dtype(gpus: Sequence[Gpu]) -> str:
    if not gpus:
        return "float32"
    return "bfloat16" if all(gpu.has_bfloat16 for gpu in gpus) else "float16"


def _device_flags(split: tuple[int, int], gpus: Sequence[Gpu]) -> list[str]:
    tensor, data = split
    sharing = ["--tensor-parallel-size", str(tensor)] if tensor > 1 else []
    copies = ["--data-parallel-size", str(data)] if data > 1 else []
    own = ["--gpu-memory-utilization", f"{MEMORY_SHARE:.2f}"] if gpus else _CPU_FLAGS.split()
    return [*own, *sharing, *copies]


def _lora_flags(loras: Mapping[str, Path], ranks: list[int]) -> list[str]:
    if not loras:
        return []
    rank = next(allowed for allowed in LORA_RANKS if allowed >= max(ranks))
    modules = [f"{name}={folder.resolve()}" for name, folder in loras.items()]
    return [
        "--enable-lora",
        "--max-lora-rank",
        str(rank),
        "--max-loras",
        str(len(loras)),
        "--lora-modules",
        *modules,
    ]


def _environment(options: ServeOptions, shape: Shape, context: int, gpus: Sequence[Gpu]) -> dict[str, str]:
    environment = {
        "VLLM_NO_USAGE_STATS": "1",
        "PYTHONSAFEPATH": "1",  # the folder of vllm_cli.py holds names that vLLM's imports could meet
    }
    if local(options.model):
        environment["HF_HUB_OFFLINE"] = "1"
    if options.api_key:
        environment[_KEY] = options.api_key  # not as a flag: others can read those
    if not gpus:
        environment |= {
            "VLLM_CPU_KVCACHE_SPACE": str(_cache_gib(shape, context)),
            # Left to itself vLLM binds threads to cores and waits for messages in a loop: small machines stall.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_USE_SPINLOOP_EXT": "1",
            # Eager or not, the first request for log-probabilities is compiled, which takes a C++ compiler a minute.
            "TORCHDYNAMO_DISABLE": "1",
            "OMP_NUM_THREADS": str(max((psutil.cpu_count(logical=False) or 2) - 1, 1)),
        }
    return environment


def _cache_gib(shape: Shape, context: int) -> int:
    """The cache on a CPU, in whole GiB: some full sequences in float32, within a part of the memory."""
    wanted = 2 * _FULL_SEQUENCES * context * (shape.kv_bytes_per_token or 0)
    most = psutil.virtual_memory().total // _RAM_PER_CACHE
    return max(-(-min(wanted, most) >> 30), 1)


def _unknown(model: str) -> Finding:
    return Finding(
        level=Level.WARN,
        about="config",
        said=f"the config of {model} can't be had here, so nothing in it is checked",
    )


def _refuse(model: str, findings: Sequence[Finding]) -> None:
    bad = [finding for finding in findings if finding.level is Level.FAIL]
    if bad:
        reasons = "; ".join(f"{finding.about}: {finding.said}. Remedy: {finding.remedy}" for finding in bad)
        raise InputError(f"{model} would not be served well: {reasons}")
