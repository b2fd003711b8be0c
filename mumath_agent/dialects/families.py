"""Find out which family a model belongs to, and what is known of it: dialect, context, sampling and rope base.

    name or path, config.json ─▶ `family_of` ─▶ `Family` ─▶ serve, doctor, solve

Families are recognised by the names they were published under, or by what our own exports write into config.json. An
unknown model is taken for a chat model, and the family's notice says so.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mumath_agent.records import Sampling

DIALECT_KEY = "mumath_dialect"
"""The key of an export's config.json that names the dialect it was trained in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What is common to all models of a family."""

    name: str
    dialect: str
    """The dialect's name, for `dialects.get_dialect`."""
    context_tokens: int | None
    """The longest prompt and completion together that the family was tuned for; None uses that of config.json."""
    sampling: Sampling = field(default_factory=Sampling)
    """The sampling with which its authors evaluate one attempt."""
    rope_theta: float | None = None
    """What config.json must say, unless it is transformers' default, 10,000. None is unknown."""
    notice: str | None = None
    """What a user should know before the first answer."""
    source: str
    """The papers and code that this was taken from."""

    @property
    def is_known(self) -> bool:
        """Whether the model was recognised."""
        return self.name != _UNKNOWN.name


def family_of(name: str, config: Mapping[str, object] | None = None) -> Family:
    """Return the family of a model by its name, path or hub id, and its config.json if that can be read.

    The config goes before the name: our own exports record their dialect in it.
    """
    config = config or {}
    if isinstance(dialect := config.get(DIALECT_KEY), str):
        return replace(_OWN, dialect=dialect)
    for known_as in (name, str(config.get("_name_or_path", ""))):
        for pattern, family in _FAMILIES:
            if pattern.search(known_as):
                return family
    return replace(_UNKNOWN, notice=f"{name} isn't of a known family: it is prompted as a chat model")


_LLAMA, _CODE_LLAMA = 10_000.0, 1_000_000.0
_OWN = Family(
    name="own export",
    dialect="fenced",
    context_tokens=None,
    source="config.json, written by `finetune export`",
)
_UNKNOWN = Family(name="unknown", dialect="chat", context_tokens=None, source="none")
_EMBEDDED = Family(
    name="embedded",
    dialect="fenced",
    context_tokens=None,
    source="mumath_agent/weights/embedded",
)
_MUMATH = Family(
    name="MuMath-Code-L",
    dialect="fenced",
    context_tokens=4096,
    rope_theta=_LLAMA,
    source="arXiv 2405.07551; youweihao-tal/MuMath-Code: infer/inference.py, scripts/infer.sh",
)
_TORA = Family(
    name="ToRA",
    dialect="fenced",
    context_tokens=4096,
    rope_theta=_LLAMA,
    source="arXiv 2309.17452; microsoft/ToRA: src/infer/inference.py",
)
_MATHCODER = Family(
    name="MathCoder-L",
    dialect="blocks",
    context_tokens=4096,
    rope_theta=_LLAMA,
    source="arXiv 2310.03731; mathllm/MathCoder: src/inference.py, outs/",
)
_QWEN = Family(
    name="Qwen2.5-Math-Instruct",
    dialect="fenced-qwen",
    context_tokens=4096,
    rope_theta=_LLAMA,
    source="arXiv 2409.12122; QwenLM/Qwen2.5-Math: README.md, evaluation/math_eval.py",
)
_NUMINA = Family(
    name="NuminaMath-7B-TIR",
    dialect="fenced-numina",
    context_tokens=4096,
    rope_theta=_LLAMA,
    source="project-numina/aimo-progress-prize: kaggle-solution.ipynb, training/configs/stage-2-tir.yaml",
)


def _on_code_llama(family: Family, name: str, rope_theta: float = _CODE_LLAMA) -> Family:
    return replace(family, name=name, rope_theta=rope_theta)


_FAMILIES: tuple[tuple[re.Pattern[str], Family], ...] = tuple(
    (re.compile(rf"(?:^|[^A-Za-z0-9]){pattern}", re.IGNORECASE), family)
    for pattern, family in (
        (r"embedded$", _EMBEDDED),
        # Of the CodeLlamas only CodeLlama-70B-Python keeps Llama 2's rope base; its authors say on purpose.
        (r"MuMath-Code-CL-70B", _on_code_llama(_MUMATH, "MuMath-Code-CL-70B", _LLAMA)),
        (r"MuMath-Code-CL-", _on_code_llama(_MUMATH, "MuMath-Code-CL")),
        (r"MuMath-Code-L-", _MUMATH),
        (r"MathCoder-CL-", _on_code_llama(_MATHCODER, "MathCoder-CL")),
        (r"MathCoder-L-", _MATHCODER),
        (r"ToRA-Code-", _on_code_llama(_TORA, "ToRA-Code")),
        (r"ToRA-\d+b", _TORA),
        (r"Qwen2\.5-Math-[\d.]+B-Instruct", _QWEN),
        (
            r"Qwen2\.5-Math-[\d.]+B",
            replace(
                _QWEN,
                name="Qwen2.5-Math",
                notice="Qwen2.5-Math without -Instruct wasn't tuned to write programs",
            ),
        ),
        (r"NuminaMath-7B-TIR", _NUMINA),
    )
)
