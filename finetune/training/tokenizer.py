"""Train, load and copy tokenizers. The embedded model's is byte-level BPE with single digits and single newlines.

Every piece keeps its bytes, so decoding gives back any text. Each newline is a piece of its own and no added token
holds one: the ids of a text that ends in a newline are a prefix of the ids of every text that continues it. That makes
the prompt of each turn a prefix of the next in ids, too. Single digits let a tiny model copy numbers it has never seen.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from mumath_agent.errors import InputError

END = "<|end|>"
"""The token that ends a solution."""
PAD = "<|pad|>"
MARKS = (
    "<|user|>",
    "<|assistant|>",
    "```python",
    "```output",
    "```",
    "\\boxed{",
    *(f"n{i}" for i in range(10)),
)
"""Strings that are always one token: the marks of the fenced dialect and the names of a program's inputs."""

_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "chat_template.jinja",
)


def train_tokenizer(texts: Iterable[str], *, vocab_size: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer learned from `texts`, with at most `vocab_size` entries, marks and end token included."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", behavior="isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(MARKS),
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((_without_marks(text) for text in texts), trainer)
    tokenizer.add_tokens([AddedToken(mark, normalized=False, special=False) for mark in MARKS])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False
    )


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Return the tokenizer saved in `folder`, as servers load it.

    Raises:
        InputError: `folder` holds none, or one without character offsets or end token, which can't be trained with.
    """
    if not (folder / "tokenizer.json").is_file():
        raise InputError(f"no tokenizer.json in {folder}; make one with `python -m finetune tokenizer`")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise InputError(
            f"the tokenizer in {folder} reports no character offsets; convert it to tokenizer.json"
        )
    if tokenizer.eos_token is None:
        raise InputError(
            f"the tokenizer in {folder} has no end token; set eos_token in tokenizer_config.json"
        )
    return tokenizer


def copy_tokenizer(start: Path, out: Path) -> None:
    """Give `out` the tokenizer of `start`, byte for byte.

    Raises:
        OSError: it can't be written.
    """
    for name in _FILES:
        if (start / name).is_file():
            shutil.copyfile(start / name, out / name)


def _without_marks(text: str) -> str:
    """Put a line break in the place of each mark, so that no merge is learned across or inside one."""
    for mark in sorted(MARKS, key=len, reverse=True):
        text = text.replace(mark, "\n")
    return text
