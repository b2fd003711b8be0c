"""Build the vLLM command for a model and a machine: flags, environment, and what the checks found.

    ServeOptions, GPUs ─▶ `build_command` ─▶ ServerCommand (argv, environment, findings) ─▶ `server.running`

Nothing is started here. The settings for GPUs are for speed; those for a CPU are for trying things out, with the same
tokens as other engines (float32). Options that were left open are derived: the context from the model and its family,
the split over GPUs from arithmetic on the config.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from mumath_agent.dialects import Chat, get_dialect
from mumath_agent.dialects.families import Family, family_of
from mumath_agent.errors import InputError
from mumath_agent.serving.checks import (
    LORA_RANKS,
    MEMORY_SHARE,
    adapter_rank,
    check_adapter,
    check_context,
    check_memory,
    check_ram,
    check_rope,
    check_split,
    usable_bytes,
)
from mumath_agent.serving.config import Shape, config_of, local_path, read_json, shape_of
from mumath_agent.serving.finding import Finding, Status, warn
from mumath_agent.serving.machine import Gpu
from mumath_agent.serving.parsers import parser_flags

DRAIN_S = 30
"""How long a server that was asked to stop may finish what it has begun."""
_CONTEXT_TOKENS = 8192
"""The default: four turns of 1,024 new tokens, what programs print, and some room. A longer cache costs memory."""
_WEIGHTS_AT_MOST = 0.75
"""The weights' largest part of a GPU's usable memory; with more, too few sequences fit to keep the GPU busy."""
_FULL_SEQUENCES = 4
"""The sequences that the cache holds on a CPU, where memory is the limit."""
_RAM_PER_CACHE = 8
"""On a CPU the cache gets at most one part in this many of the memory."""
_FLAGS = "--enable-prefix-caching --enable-prompt-tokens-details --generation-config vllm"
_CPU_FLAGS = "--enforce-eager --block-size 32"
_KEY = "VLLM_API_KEY"
_VLLM_CLI = Path(__file__).with_name("vllm_cli.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """The options of a server; None is filled in by `build_command`."""

    model: str
    """A folder, or an id on the hub."""
    name: str | None = None
    """The name the model is served by; None for its id or its folder's name."""
    host: str = "127.0.0.1"
    port: int = 8000
    context_tokens: int | None = None
    dtype: str | None = None
    tensor_parallel: int | None = None
    data_parallel: int | None = None
    loras: Mapping[str, Path] = field(default_factory=dict)
    """LoRA adapters: the name each is served by, and its folder."""
    api_key: str | None = None
    flags: tuple[str, ...] = ()
    """More flags for vLLM, passed on as they are; they override ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCommand:
    """A vLLM command, ready to run."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    """What is added to our own environment."""
    host: str
    port: int
    findings: tuple[Finding, ...]
    """What the checks found; none of them failed."""

    @property
    def url(self) -> str:
        """The address for programs on this machine, without a path."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def __str__(self) -> str:
        """Return the command for a shell, with the API key masked."""
        shown = {name: "***" if name == _KEY else value for name, value in self.environment.items()}
        return shlex.join(["env", *(f"{name}={value}" for name, value in shown.items()), *self.argv])


def build_command(options: ServeOptions, python: Path, gpus: Sequence[Gpu]) -> ServerCommand:
    """Return the command that serves the model on these GPUs, or on the CPU if there are none.

    Raises:
        InputError: the model or an adapter doesn't exist, or a check failed.
    """
    path, config = local_path(options.model), config_of(options.model)
    family = family_of(options.model, config)
    shape = shape_of(config or {})
    context = options.context_tokens or min(
        family.context_tokens or _CONTEXT_TOKENS, shape.max_positions or _CONTEXT_TOKENS
    )
    adapters = {name: read_json(folder / "adapter_config.json") for name, folder in options.loras.items()}
    split = _split(options, shape, gpus)
    findings = [
        _no_config(options.model) if config is None else check_rope(shape, family.rope_theta, options.flags),
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
        *(parser_flags(options.model, config or {}) if _chats(family) else ()),
        *_lora_flags(options.loras, [adapter_rank(adapter) or 1 for adapter in adapters.values()]),
    ]
    return ServerCommand(
        argv=(str(python), str(_VLLM_CLI), "serve", str(path or options.model), *flags, *options.flags),
        environment=_environment(options, shape, context, gpus),
        host=options.host,
        port=options.port,
        findings=tuple(findings),
    )


def _chats(family: Family) -> bool:
    return isinstance(get_dialect(family.dialect), Chat)


def _split(options: ServeOptions, shape: Shape, gpus: Sequence[Gpu]) -> tuple[int, int]:
    """Return how many GPUs share one copy of the model, and how many copies there are."""
    if not gpus:
        return options.tensor_parallel or 1, options.data_parallel or 1
    parallel = options.tensor_parallel or _fewest(shape, gpus)
    return parallel, options.data_parallel or max(len(gpus) // parallel, 1)


def _fewest(shape: Shape, gpus: Sequence[Gpu]) -> int:
    """Return the fewest GPUs that leave room for a cache beside the weights, or as many as can share if none do."""
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
        return [check_ram(shape, psutil.virtual_memory().total, bytes_per_number=4 if wide else 2)]
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
        "PYTHONSAFEPATH": "1",  # modules beside vllm_cli.py must not shadow what vLLM imports
    }
    if local_path(options.model):
        environment["HF_HUB_OFFLINE"] = "1"
    if options.api_key:
        environment[_KEY] = options.api_key  # not as a flag: other users can read those
    if not gpus:
        environment |= {
            "VLLM_CPU_KVCACHE_SPACE": str(_cache_gib(shape, context)),
            # By default vLLM pins threads to cores and polls for messages: small machines stall.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_USE_SPINLOOP_EXT": "1",
            # Even eager mode compiles the first request for log-probabilities, which takes a C++ compiler a minute.
            "TORCHDYNAMO_DISABLE": "1",
            "OMP_NUM_THREADS": str(max((psutil.cpu_count(logical=False) or 2) - 1, 1)),
        }
    return environment


def _cache_gib(shape: Shape, context: int) -> int:
    """Return the cache's size on a CPU in whole GiB: some full sequences in float32, but only a part of the memory."""
    wanted = 2 * _FULL_SEQUENCES * context * (shape.kv_bytes_per_token or 0)
    most = psutil.virtual_memory().total // _RAM_PER_CACHE
    return max(-(-min(wanted, most) >> 30), 1)


def _no_config(model: str) -> Finding:
    return warn(f"the config of {model} can't be read here, so the model isn't checked", name="config")


def _refuse(model: str, findings: Sequence[Finding]) -> None:
    failed = [finding for finding in findings if finding.status is Status.FAIL]
    if failed:
        reasons = "; ".join(f"{found.name}: {found.detail}. Remedy: {found.remedy}" for found in failed)
        raise InputError(f"{model} would not be served well: {reasons}")
