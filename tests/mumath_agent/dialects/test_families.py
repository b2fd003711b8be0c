r"""The registry of families, and the prompts of each, byte for byte as its authors publish them."""

import pytest

from mumath_agent.dialects import get_dialect, get_text_dialect
from mumath_agent.dialects.families import DIALECT_KEY, family_of
from mumath_agent.errors import InputError
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason
from mumath_agent.transcript import Transcript

QUESTION = "What is $2^{10}$?\nGive a number."
PROGRAM = "We compute it.\n```python\nprint(2**10)\n```"
OUTPUT = "\n```output\n1024\n```\n"

# What each project's own code sends first, and again after one program. Sources: `Family.source`.
PUBLISHED = {
    "weihao1/MuMath-Code-L-7B": (
        f"<|user|>\n{QUESTION}\n<|assistant|>\n",
        f"<|user|>\n{QUESTION}\n<|assistant|>\n{PROGRAM}{OUTPUT}",
    ),
    "llm-agents/tora-code-7b-v1.0": (
        f"<|user|>\n{QUESTION}\n<|assistant|>\n",
        f"<|user|>\n{QUESTION}\n<|assistant|>\n{PROGRAM}{OUTPUT}",
    ),
    "Qwen/Qwen2.5-Math-7B-Instruct": (
        "<|im_start|>system\nPlease integrate natural language reasoning with programs to solve the problem above, "
        "and put your final answer within \\boxed{}.<|im_end|>\n"
        f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n",
        "<|im_start|>system\nPlease integrate natural language reasoning with programs to solve the problem above, "
        "and put your final answer within \\boxed{}.<|im_end|>\n"
        f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n{PROGRAM}{OUTPUT}",
    ),
    # Numina's own client leaves the newline behind the last fence to the model, which writes it.
    "AI-MO/NuminaMath-7B-TIR": (
        f"### Problem: {QUESTION}\n### Solution: ",
        f"### Problem: {QUESTION}\n### Solution: {PROGRAM}{OUTPUT}",
    ),
    "MathLLMs/MathCoder-CL-7B": (
        "<|system|><|text|>Below is a math problem. Please solve it step by step.<|endofblock|><|endofmessage|>"
        f"<|user|><|text|>{QUESTION}<|endofblock|><|endofmessage|><|assistant|>",
        "<|system|><|text|>Below is a math problem. Please solve it step by step.<|endofblock|><|endofmessage|>"
        f"<|user|><|text|>{QUESTION}<|endofblock|><|endofmessage|><|assistant|>"
        "<|text|>We compute it.<|endofblock|><|code|>print(2**10)<|endofblock|><|execution|>1024<|endofblock|>",
    ),
}
BLOCKS = "<|text|>We compute it.<|endofblock|><|code|>print(2**10)<|endofblock|>"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_prompts_are_the_published_bytes(name: str) -> None:
    dialect = get_text_dialect(family_of(name).dialect)
    begun = Transcript(question=QUESTION)
    text = BLOCKS if dialect.name == "blocks" else f"{PROGRAM}\n"
    said = Completion(text=text, finish_reason=FinishReason.STOP, prompt_tokens=1, completion_tokens=1)
    printed = Execution(status=ExecutionStatus.OK, stdout="1024\n")
    answered = dialect.with_output(dialect.with_completion(begun, said), printed, max_chars=400)
    assert (dialect.prompt(begun), dialect.prompt(answered)) == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "family", "dialect", "rope_theta"),
    [
        ("weihao1/MuMath-Code-L-7B", "MuMath-Code-L", "fenced", 1e4),
        ("weihao1/MuMath-Code-CL-7B", "MuMath-Code-CL", "fenced", 1e6),
        ("weihao1/MuMath-Code-CL-34B", "MuMath-Code-CL", "fenced", 1e6),
        ("weihao1/MuMath-Code-CL-70B", "MuMath-Code-CL-70B", "fenced", 1e4),
        ("/models/MuMath-Code-L-70B/", "MuMath-Code-L", "fenced", 1e4),
        ("hub/models--weihao1--MuMath-Code-CL-13B/snapshots/0a1b", "MuMath-Code-CL", "fenced", 1e6),
        ("mumath-code-cl-7b", "MuMath-Code-CL", "fenced", 1e6),
        ("llm-agents/tora-7b-v1.0", "ToRA", "fenced", 1e4),
        ("llm-agents/tora-code-34b-v1.0", "ToRA-Code", "fenced", 1e6),
        ("MathLLMs/MathCoder-L-13B", "MathCoder-L", "blocks", 1e4),
        ("MathLLMs/MathCoder-CL-34B", "MathCoder-CL", "blocks", 1e6),
        ("Qwen/Qwen2.5-Math-1.5B-Instruct", "Qwen2.5-Math-Instruct", "fenced-qwen", 1e4),
        ("Qwen/Qwen2.5-Math-72B", "Qwen2.5-Math", "fenced-qwen", 1e4),
        ("AI-MO/NuminaMath-7B-TIR-GPTQ", "NuminaMath-7B-TIR", "fenced-numina", 1e4),
        ("mumath_agent/weights/embedded", "embedded", "fenced", None),
        ("MathLLMs/MathCoder2-Llama-3-8B", "unknown", "chat", None),
        ("AI-MO/NuminaMath-7B-CoT", "unknown", "chat", None),
        ("Qwen/Qwen2.5-7B-Instruct", "unknown", "chat", None),
        ("someone/fedora-7b", "unknown", "chat", None),
        ("gpt-4o", "unknown", "chat", None),
        ("", "unknown", "chat", None),
    ],
)
def test_a_name_says_the_family(name: str, family: str, dialect: str, rope_theta: float | None) -> None:
    found = family_of(name)
    assert (found.name, found.dialect, found.rope_theta) == (family, dialect, rope_theta)
    assert found.is_known == (family != "unknown")
    assert get_dialect(found.dialect).name == dialect


@pytest.mark.parametrize("name", ["gpt-4o", "Qwen/Qwen2.5-Math-7B"])
def test_what_a_person_should_know_is_said(name: str) -> None:
    assert name.split("/")[-1].removesuffix("-7B") in str(family_of(name).notice)


def test_what_a_config_says_of_itself_goes_before_the_name() -> None:
    assert family_of("weihao1/MuMath-Code-L-7B", {DIALECT_KEY: "blocks"}).dialect == "blocks"
    assert family_of("checkpoint-300", {"_name_or_path": "llm-agents/tora-7b-v1.0"}).name == "ToRA"
    assert family_of("llm-agents/tora-7b-v1.0", {"model_type": "llama"}).name == "ToRA"


def test_an_unknown_dialect_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        InputError,
        match="'fence'; known: fenced, fenced-qwen, fenced-numina, blocks, chat, chat-examples, "
        "chat-program, tools, words",
    ):
        get_dialect("fence")


@pytest.mark.parametrize(("name", "trained"), [("blocks", "blocks"), ("chat", "fenced"), ("tools", "fenced")])
def test_transcripts_of_chats_are_trained_in_fences(name: str, trained: str) -> None:
    assert get_text_dialect(name).name == trained
