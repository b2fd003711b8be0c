"""Compare the engines of an exported folder: transformers, the embedded engine and vLLM, on the same prompts."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from finetune.release.engines import MAX_TOKENS, Reference, Writer, embedded, served
from finetune.release.verify import Comparison, compare, prompts
from mumath_agent.dialects import get_text_dialect
from mumath_agent.errors import InputError
from mumath_agent.models.embedded_engine import QUANTIZED
from mumath_agent.serving import serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The report of a comparison."""

    comparisons: tuple[Comparison, ...]
    """One for each prompt."""
    engines: tuple[str, ...]
    """Those compared with transformers."""
    skipped: tuple[str, ...]
    """Those that aren't there, and why."""
    quantized: bool = False
    """The embedded engine has quantised weights of its own, with which some tokens differ."""

    @property
    def is_equal(self) -> bool:
        """True if all engines wrote the same tokens for all prompts."""
        return all(comparison.is_equal for comparison in self.comparisons)

    @property
    def is_expected(self) -> bool:
        """True if nothing differs but what quantised weights explain."""
        return not any(
            difference.in_prompt or not (self.quantized and engine == "embedded engine")
            for one in self.comparisons
            for engine, difference in one.differences.items()
            if difference is not None
        )

    @property
    def summary(self) -> str:
        """The result in one line."""
        equal = sum(comparison.is_equal for comparison in self.comparisons)
        tokens = sum(comparison.tokens for comparison in self.comparisons)
        same = sum(comparison.equal_tokens for comparison in self.comparisons)
        counted = f"{tokens} tokens" if self.is_equal else f"{same} of {tokens} tokens before a difference"
        engines = ", ".join(self.engines)
        quantized = " (quantised)" if self.quantized else ""
        return (
            f"{equal} of {len(self.comparisons)} prompts equal, {counted}: transformers, {engines}{quantized}"
        )


def compare_engines(
    folder: Path,
    *,
    questions: Sequence[str] = (),
    dialect: str = "fenced",
    max_tokens: int = MAX_TOKENS,
    base_url: str | None = None,
    vllm: Path | None = None,
) -> Agreement:
    """Have every engine continue the same prompts, and return where they differ.

    Args:
        folder: an exported folder.
        questions: what the prompts ask; without any, a few short questions of the project's own.
        dialect: how the questions are put.
        max_tokens: the longest continuation.
        base_url: address of a vLLM that serves the folder.
        vllm: Python of an environment with vLLM, to start one instead.

    Raises:
        InputError: the folder can't be used, or there is nothing to compare transformers with.
        ModelUnreachable, ModelRefused: vLLM doesn't answer.
    """
    if base_url and vllm:
        raise InputError("--base-url and --vllm are two ways to name a vLLM; give one")
    marks = get_text_dialect(dialect)
    reference = Reference(folder, max_tokens=max_tokens)
    engines: dict[str, Writer] = {}
    skipped: list[str] = []
    with ExitStack() as opened:
        if (engine := embedded(folder, reference)) is not None:
            engines["embedded engine"] = engine
        else:
            skipped.append(f"the embedded engine; {folder} doesn't have its format")
        if vllm:
            base_url = opened.enter_context(serving(folder, python=vllm, dtype="float32"))
        if base_url:
            engines["vLLM"] = served(base_url, reference, stop=marks.stop)
        else:
            skipped.append("vLLM; name a server with --base-url, or an environment with --vllm")
        if not engines:
            raise InputError("only transformers is there: nothing to compare it with")
        texts = prompts(marks, questions)
        found = tuple(compare(text, reference, engines, stop=marks.stop) for text in texts)
    return Agreement(
        comparisons=found,
        engines=tuple(engines),
        skipped=tuple(skipped),
        quantized="embedded engine" in engines and (folder / QUANTIZED).is_file(),
    )
