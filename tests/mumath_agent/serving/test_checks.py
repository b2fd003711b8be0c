"""What is known to go wrong with a model is found in its config, before anything is started."""

from typing import Any

import pytest

from mumath_agent.dialects.families import family_of
from mumath_agent.serving.checks import (
    adapter_rank,
    check_adapter,
    check_context,
    check_memory,
    check_ram,
    check_rope,
    check_split,
    rope_override,
)
from mumath_agent.serving.config import shape_of
from mumath_agent.serving.finding import Status

GIB = 1 << 30
LLAMA = {"model_type": "llama", "vocab_size": 32000}
LLAMA_7B = LLAMA | {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 4096,
}
LLAMA_13B = LLAMA_7B | {
    "hidden_size": 5120,
    "intermediate_size": 13824,
    "num_hidden_layers": 40,
    "num_attention_heads": 40,
}
CODELLAMA_34B = LLAMA_7B | {
    "hidden_size": 8192,
    "intermediate_size": 22016,
    "num_hidden_layers": 48,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "max_position_embeddings": 16384,
    "rope_theta": 1e6,
}
LLAMA_70B = CODELLAMA_34B | {
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "max_position_embeddings": 4096,
    "rope_theta": 1e4,
}
LONG = LLAMA_7B | {"max_position_embeddings": 16384}
CODELLAMA, LLAMA_2 = "weihao1/MuMath-Code-CL-7B", "weihao1/MuMath-Code-L-7B"


def rope(theta: float) -> dict[str, Any]:
    """As transformers 5 writes it."""
    return {"rope_parameters": {"rope_theta": theta, "rope_type": "default"}}


@pytest.mark.parametrize(
    ("name", "config", "flags", "status", "detail"),
    [
        (CODELLAMA, LONG | {"rope_theta": 1e6}, [], Status.OK, "1,000,000 in its config"),
        (CODELLAMA, LONG | {"rope_theta": 1000000}, [], Status.OK, "1,000,000 in its config"),
        (CODELLAMA, LONG | rope(1e6), [], Status.OK, "1,000,000 in its config"),
        (
            CODELLAMA,
            LONG,
            [],
            Status.FAIL,
            "10,000 in its config, but such models were trained with 1,000,000",
        ),
        (CODELLAMA, LONG | {"rope_theta": None}, [], Status.FAIL, "10,000"),
        (CODELLAMA, LONG | {"rope_theta": 1e4}, [], Status.FAIL, "10,000"),
        (CODELLAMA, LONG | rope(1e4), [], Status.FAIL, "10,000"),
        # whatever its folder is called, CodeLlama's vocabulary and positions give it away
        ("/runs/stage2", LONG, [], Status.FAIL, "10,000"),
        ("/runs/stage2", LONG | {"vocab_size": 32016}, [], Status.FAIL, "10,000"),
        ("/runs/stage2", LONG | {"vocab_size": 151936}, [], Status.OK, "10,000"),
        ("/runs/stage2", LONG | {"rope_scaling": {"type": "linear", "factor": 4.0}}, [], Status.OK, "10,000"),
        ("/runs/stage2", LLAMA_7B, [], Status.OK, "10,000"),
        (LLAMA_2, LLAMA_7B, [], Status.OK, "10,000"),
        (LLAMA_2, LLAMA_7B | {"rope_theta": 1e6}, [], Status.FAIL, "1,000,000"),
        # its base, CodeLlama-70B-Python, kept Llama 2's
        ("weihao1/MuMath-Code-CL-70B", LLAMA_70B, [], Status.OK, "10,000"),
        (CODELLAMA, LONG, ["--hf-overrides", rope_override(1e6)], Status.OK, "1,000,000 from --hf-overrides"),
        (
            CODELLAMA,
            LONG,
            [f"--hf-overrides={rope_override(1e6)}"],
            Status.OK,
            "1,000,000 from --hf-overrides",
        ),
        (CODELLAMA, LONG, ["--hf-overrides", rope_override(1e4)], Status.OK, "10,000 from --hf-overrides"),
        # what vLLM ignores, or refuses by itself
        (CODELLAMA, LONG, ["--hf-overrides", '{"rope_theta": 1000000}'], Status.FAIL, "10,000"),
        (CODELLAMA, LONG, ["--hf-overrides", "{"], Status.FAIL, "10,000"),
        (CODELLAMA, LONG, ["--hf-overrides"], Status.FAIL, "10,000"),
        (CODELLAMA, LONG, ["--hf-overrides", "3"], Status.FAIL, "10,000"),
    ],
)
def test_rope_base(name: str, config: dict[str, Any], flags: list[str], status: Status, detail: str) -> None:
    finding = check_rope(shape_of(config), family_of(name, config).rope_theta, flags)
    assert (finding.name, finding.status) == ("rope base", status)
    assert finding.detail.startswith(detail)
    assert (
        rope_override(1e6 if status is Status.FAIL and name != LLAMA_2 else 1e4) in (finding.remedy or "")
    ) == (status is Status.FAIL)


@pytest.mark.parametrize(
    ("config", "billions", "kib_a_token"),
    [(LLAMA_7B, 6.7, 512), (LLAMA_13B, 13.0, 800), (CODELLAMA_34B, 33.7, 192), (LLAMA_70B, 69.0, 320)],
)
def test_sizes(config: dict[str, Any], billions: float, kib_a_token: int) -> None:
    shape = shape_of(config)
    assert shape.parameters == pytest.approx(billions * 1e9, rel=0.01)
    assert shape.kv_bytes_per_token == kib_a_token * 1024


@pytest.mark.parametrize(
    "other", [{"num_local_experts": 8}, {"quantization_config": {"bits": 4}}, {"hidden_size": None}]
)
def test_a_size_that_is_not_known_is_not_guessed(other: dict[str, Any]) -> None:
    finding = check_memory(shape_of(LLAMA_7B | other), GIB, tensor_parallel=1, context_tokens=4096)
    assert finding.status is Status.WARN


@pytest.mark.parametrize(
    ("config", "gpu_gib", "gpus", "status"),
    [
        (LLAMA_7B, 24, 1, Status.OK),
        (LLAMA_7B, 12, 1, Status.FAIL),
        (LLAMA_13B, 24, 1, Status.FAIL),
        (LLAMA_13B, 24, 2, Status.OK),
        (CODELLAMA_34B, 80, 1, Status.OK),
        (LLAMA_70B, 24, 1, Status.FAIL),
        (LLAMA_70B, 80, 1, Status.FAIL),
        (LLAMA_70B, 80, 2, Status.OK),
    ],
)
def test_memory(config: dict[str, Any], gpu_gib: int, gpus: int, status: Status) -> None:
    finding = check_memory(shape_of(config), gpu_gib * GIB, tensor_parallel=gpus, context_tokens=4096)
    assert finding.status is status, finding


def test_a_model_that_does_not_fit_is_told_what_would_do() -> None:
    finding = check_memory(shape_of(LLAMA_70B), 24 * GIB, tensor_parallel=1, context_tokens=4096)
    assert finding.detail.startswith(
        "129.7 GiB for weights and one sequence of 4096 tokens; 20.1 GiB usable on 1 of 24"
    )
    assert finding.remedy is not None and finding.remedy.startswith("at least 7 such GPUs")


@pytest.mark.parametrize(
    ("config", "ram_gib", "bytes_per_number", "status"),
    [
        (LLAMA_7B, 24, 4, Status.FAIL),
        (LLAMA_7B, 24, 2, Status.OK),
        (LLAMA_70B, 256, 4, Status.FAIL),
        (LLAMA_7B | {"num_experts": 8}, 1, 2, Status.WARN),
    ],
)
def test_memory_without_a_gpu(
    config: dict[str, Any], ram_gib: int, bytes_per_number: int, status: Status
) -> None:
    assert check_ram(shape_of(config), ram_gib * GIB, bytes_per_number=bytes_per_number).status is status


def test_context_and_heads() -> None:
    shape = shape_of(LLAMA_13B)
    assert check_context(shape, 4096).status is check_context(shape_of({}), 4096).status is Status.OK
    assert "--max-model-len 4096" in (check_context(shape, 8192).remedy or "")
    assert "(--max-model-len)" in check_context(shape, 2048).detail
    assert check_split(shape, 8).status is check_split(shape_of({}), 8).status is Status.OK
    assert check_split(shape, 16).remedy == "--tensor-parallel with one of 1, 2, 4, 5, 8, 10"


@pytest.mark.parametrize(
    ("config", "rank", "status"),
    [
        ({"r": 16}, 16, Status.OK),
        (
            {"r": 16, "rank_pattern": {"q_proj": 64}, "modules_to_save": None, "use_dora": False},
            64,
            Status.OK,
        ),
        ({"r": 1024}, 1024, Status.FAIL),
        ({"r": 16, "modules_to_save": ["lm_head"]}, 16, Status.FAIL),
        ({"r": 16, "use_dora": True}, 16, Status.FAIL),
        ({}, None, Status.FAIL),
    ],
)
def test_adapters(config: dict[str, Any], rank: int | None, status: Status) -> None:
    assert adapter_rank(config) == rank
    assert check_adapter("tuned", config).status is status
