"""Decide how a GGUF model runs on this machine: how many requests at once, how long, with how many threads."""

from dataclasses import dataclass

import psutil

from mumath_agent.errors import InputError
from mumath_agent.models.local import memory
from mumath_agent.models.local.gguf import GgufModel

SLOTS, CONTEXT_TOKENS = 4, 8192
"""What is wanted: so many requests at once, each with four turns of 1,024 tokens, their outputs, and some room."""
_LEAST_TOKENS = 2048
_OVERHEAD_BYTES = 400 << 20
"""What the engine takes beside weights and cache: buffers for computing, and Python."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The settings of the engine."""

    slots: int
    context_tokens: int
    """Of each slot."""
    threads: int


def plan(model: GgufModel, *, available_bytes: int | None = None) -> Plan:
    """Return the largest settings that fit the memory, which by default is what is free here.

    Raises:
        InputError: not even one short request fits.
    """
    available = memory.available_bytes() if available_bytes is None else available_bytes
    longest = min(model.context_tokens or CONTEXT_TOKENS, CONTEXT_TOKENS)
    threads = psutil.cpu_count(logical=False) or 1
    for slots, tokens in _wishes(longest):
        if needed_bytes(model, slots, tokens) <= available:
            return Plan(slots=slots, context_tokens=tokens, threads=threads)
    needed = needed_bytes(model, 1, min(longest, _LEAST_TOKENS))
    raise InputError(
        f"{model.name} needs {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB are free; "
        "close other programs, or choose a smaller model (`mumath-agent models` lists some)"
    )


def needed_bytes(model: GgufModel, slots: int, tokens: int) -> int:
    """Return what the weights, the cache of all slots, and the engine itself take."""
    return model.bytes + slots * tokens * model.kv_bytes_per_token + _OVERHEAD_BYTES


def _wishes(longest: int) -> list[tuple[int, int]]:
    """Return pairs of slots and tokens, the best first: a long context goes before many slots."""
    tokens = [longest >> halved for halved in range(3) if longest >> halved >= _LEAST_TOKENS] or [longest]
    slots = [SLOTS >> halved for halved in range(3)]
    return [(many, long) for long in tokens for many in slots]
