"""A little corpus and its tokenizer, shared by the tests of training.

Only fixtures import what needs torch: tests beside these do without it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def _sums(count: int, *, code: bool) -> Iterator[dict[str, str]]:
    random = Random(count)
    for _ in range(count):
        first, second = random.randrange(100), random.randrange(100)
        worked = f"{first} + {second} = {first + second}\n"
        program = f"```python\nn0 = {first}\nn1 = {second}\na = n0 + n1\nprint(a)\n```\n"
        nested = f"{program}```output\n{first + second}\n```\n"
        yield {
            "question": f"Tom has {first} apples and gets {second} more. How many apples does Tom have?",
            "solution": f"Add.\n{nested if code else worked}The answer is $\\boxed{{{first + second}}}$.",
        }


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with stage1.jsonl, stage2.jsonl (300 rows each) and few.jsonl (3)."""
    folder = tmp_path_factory.mktemp("corpus")
    for name, count, code in (("stage1", 300, False), ("stage2", 300, True), ("few", 3, False)):
        lines = (json.dumps(row) + "\n" for row in _sums(count, code=code))
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tokenizer(corpus: Path) -> "PreTrainedTokenizerFast":
    from finetune.training.encode import read_rows
    from finetune.training.tokenizer import train_tokenizer

    rows = read_rows(corpus / "stage1.jsonl") + read_rows(corpus / "stage2.jsonl")
    return train_tokenizer((text for row in rows for text in (row.question, row.solution)), vocab_size=400)


@pytest.fixture(scope="session")
def llama2_like(corpus: Path) -> "PreTrainedTokenizerFast":
    """Llama 2's and CodeLlama's kind: SentencePiece BPE, a made-up space in front, bytes for what is unknown, <s>."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    learner = Tokenizer(models.BPE(unk_token="<unk>"))
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "removed"), pre_tokenizers.Metaspace()]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
    )
    learner.train_from_iterator(_texts(corpus), trainer)
    learned = json.loads(learner.to_str())["model"]
    size = len(learned["vocab"])
    vocabulary = learned["vocab"] | {f"<0x{byte:02X}>": size + byte for byte in range(256)}
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.fixture(scope="session")
def llama3_like(corpus: Path) -> "PreTrainedTokenizerFast":
    """Llama 3's and Qwen's kind: byte-level BPE whose pieces join newlines with what stands before them."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    words = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<|begin|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Runs of newlines, also behind marks, are common in the data of the real ones: one token.
    newlines = "a\n\nb\n\n\nc|>\n\nd|>\n\n\n" * 200
    tokenizer.train_from_iterator([*_texts(corpus), newlines], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|begin|>", eos_token="<|end|>")


def _texts(corpus: Path) -> list[str]:
    from finetune.training.encode import read_rows

    rows = read_rows(corpus / "stage1.jsonl") + read_rows(corpus / "stage2.jsonl")
    return [text for row in rows for text in (row.question, row.solution)]
