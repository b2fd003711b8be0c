"""Choose the flags with which vLLM reads a chat model's tool calls and thoughts.

Each family writes calls in its own way, and vLLM (0.32) has a parser for each, which has to be named. Without one it
refuses every request with tools, so `--dialect tools` needs the flags. A parser of thoughts is only named where every
model of that name thinks: on others it takes the answer for thoughts.
"""

import re
from collections.abc import Mapping, Sequence

PARSERS: tuple[tuple[str, str | None, str | None], ...] = (
    # the model's name, its parser of tool calls, its parser of thoughts
    (r"gpt-oss", "openai", "openai_gptoss"),
    (r"Qwen3[\w.]*-Coder|Qwen3-Coder", "qwen3_coder", None),
    (r"Qwen3\.[5-9]", "qwen3_coder", "qwen3"),
    (r"Qwen3.*Thinking|QwQ", "hermes", "deepseek_r1"),
    (r"Qwen3-(?:Next|.*Instruct)", "hermes", None),
    (r"Qwen3", "hermes", "qwen3"),
    (r"DeepSeek-R1-(?:Distill|0528-Qwen3)", None, "deepseek_r1"),
    (r"Hermes-\d|Qwen2\.5|SmolLM[23]", "hermes", None),
    (r"DeepSeek-R1", "deepseek_v3", "deepseek_r1"),
    (r"DeepSeek-V3\.2", "deepseek_v32", "deepseek_v3"),
    (r"DeepSeek-V3\.1", "deepseek_v31", "deepseek_v3"),
    (r"DeepSeek-V3", "deepseek_v3", None),
    (r"DeepSeek-V4\.1", "deepseek_v41", "deepseek_v41"),
    (r"DeepSeek-V4", "deepseek_v4", "deepseek_v4"),
    (r"Llama-3\.[1-3]", "llama3_json", None),
    (r"Llama-4", "llama4_pythonic", None),
    (r"Magistral", "mistral", "mistral"),
    (
        r"Mistral-(?:7B-Instruct-v0\.3|Nemo|Small|Medium|Large)|Ministral|Devstral|Mixtral-8x22B",
        "mistral",
        None,
    ),
    (r"Phi-4-mini", "phi4_mini_json", None),
    (r"granite-4", "granite4", None),
    (r"granite-3", "granite", None),
    (r"GLM-4\.[56]", "glm45", "glm45"),
    (r"GLM-(?:4\.7|5)", "glm47", "glm47"),
    (r"Kimi-K2-Thinking", "kimi_k2", "kimi_k2"),
    (r"Kimi-K2", "kimi_k2", None),
    (r"MiniMax-M2", "minimax_m2", "minimax_m2"),
    (r"Seed-OSS", "seed_oss", "seed_oss"),
    (r"Olmo-3.*Think", "olmo3", "olmo3"),
    (r"Olmo-3", "olmo3", None),
    (r"Hunyuan-A13B", "hunyuan_a13b", "hunyuan_a13b"),
    (r"gemma-4", "gemma4", "gemma4"),
    (r"LFM2", "lfm2", None),
    (r"xLAM", "xlam", None),
    (r"Jamba", "jamba", None),
    (r"internlm(?:2_5|3)", "internlm", None),
)
PARSER_OF_TYPE = {
    "gpt_oss": "openai",
    "qwen2": "hermes",
    "qwen3": "hermes",
    "qwen3_moe": "hermes",
    "qwen3_next": "hermes",
    "smollm3": "hermes",
    "llama4": "llama4_pythonic",
    "granitemoehybrid": "granite4",
    "glm4_moe": "glm45",
    "seed_oss": "seed_oss",
    "olmo3": "olmo3",
    "lfm2": "lfm2",
}
"""By config.json's model_type, for folders whose name says nothing."""
_LLAMA_3_VOCABULARY = 128_256


def parser_flags(model: str, config: Mapping[str, object]) -> Sequence[str]:
    """Return vLLM's flags for the tool calls and thoughts of a chat model, empty if its family isn't known."""
    tools, thoughts = _parsers(model, config)
    flags = ["--enable-auto-tool-choice", "--tool-call-parser", tools] if tools else []
    return [*flags, *(["--reasoning-parser", thoughts] if thoughts else [])]


def _parsers(model: str, config: Mapping[str, object]) -> tuple[str | None, str | None]:
    for name in (model, str(config.get("_name_or_path", ""))):
        for pattern, tools, thoughts in PARSERS:
            if re.search(rf"(?<![A-Za-z0-9])(?:{pattern})", name, re.IGNORECASE):
                return tools, thoughts
    kind = str(config.get("model_type", ""))
    if kind == "llama" and config.get("vocab_size") == _LLAMA_3_VOCABULARY:
        return "llama3_json", None
    return PARSER_OF_TYPE.get(kind), None
