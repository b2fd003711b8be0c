"""Learn a tokenizer from files of training rows, and save it."""

from collections.abc import Sequence
from pathlib import Path

from finetune.training.encode import read_rows
from finetune.training.tokenizer import train_tokenizer


def learn_tokenizer(data: Sequence[Path], out: Path, *, vocab_size: int) -> int:
    """Write a tokenizer for the questions and solutions of some files; return how many tokens it has.

    Raises:
        InputError: a file can't be read, or a line isn't a row.
    """
    texts = (text for path in data for row in read_rows(path) for text in (row.question, row.solution))
    learned = train_tokenizer(texts, vocab_size=vocab_size)
    learned.save_pretrained(out)
    return len(learned)
