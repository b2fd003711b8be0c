"""How a model runs follows from the memory: a long context goes before many requests at once."""

from pathlib import Path

import pytest

from mumath_agent.errors import InputError
from mumath_agent.models.local import GgufModel, plan

GB = 1 << 30
MODEL = GgufModel(
    path=Path("m.gguf"),
    bytes=GB,
    values={
        "general.architecture": "qwen2",
        "qwen2.context_length": 32768,
        "qwen2.embedding_length": 1536,
        "qwen2.block_count": 28,
        "qwen2.attention.head_count": 12,
        "qwen2.attention.head_count_kv": 2,
    },
)
"""28,672 bytes a token: 0.22 GiB for 8,192 of them."""


@pytest.mark.parametrize(
    ("available", "slots", "tokens"),
    [(24.0, 4, 8192), (2.28, 4, 8192), (2.0, 2, 8192), (1.65, 1, 8192), (1.6, 1, 4096), (1.46, 1, 2048)],
)
def test_what_fits(available: float, slots: int, tokens: int) -> None:
    found = plan(MODEL, available_bytes=int(available * GB))
    assert (found.slots, found.context_tokens) == (slots, tokens)
    assert found.threads >= 1


def test_a_short_context_is_the_models() -> None:
    short = GgufModel(path=MODEL.path, bytes=GB, values={**MODEL.values, "qwen2.context_length": 1024})
    assert plan(short, available_bytes=24 * GB).context_tokens == 1024


def test_too_little_memory_is_said_in_numbers() -> None:
    with pytest.raises(InputError, match=r"m needs 1\.6 GB of memory and 1\.1 GB are free; .*smaller model"):
        plan(MODEL, available_bytes=GB)
