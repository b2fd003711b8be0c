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
    """A folder with stage1.jsonl, stage2.jsonl (300 rows each) and few.jsonl (3)."""
    folder = tmp_path_factory.mktemp("corpus")
    for name, count, code in (("stage1", 300, False), ("stage2", 300, True), ("few", 3, False)):
        lines = (json.dumps(row) + "\n" for row in _sums(count, code=code))
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tokenizer(corpus: Path) -> "PreTrainedTokenizerFast":
    from finetune.encode import read_rows
    from finetune.tokenizer import train_tokenizer

    rows = read_rows(corpus / "stage1.jsonl") + read_rows(corpus / "stage2.jsonl")
    return train_tokenizer((text for row in rows for text in (row.question, row.solution)), vocab_size=400)
