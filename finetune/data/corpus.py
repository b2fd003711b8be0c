"""Build the corpus of the tiny model: a deterministic mix of stories, GSM8K and bare arithmetic.

Whole schemas and some GSM8K rows are held out from training, to measure what was learned.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Literal, TypedDict

from finetune.wordproblems.gsm8k import Converted, load, vary
from finetune.wordproblems.load import bare, stories
from finetune.wordproblems.problem import (
    WordProblem,
    code_solution,
    thought_solution,
    two_round_solution,
)

Stage = Literal[1, 2]

GSM8K_SHARE = 0.21
GSM8K_ORIGINAL_SHARE = 0.15
BARE_SHARE = 0.04
TWO_ROUND_SHARE = 0.04
GSM8K_HELD_OUT = 300


class Row(TypedDict):
    """One training sample."""

    id: str
    source: str
    question: str
    solution: str


def build(gsm8k_rows: Iterable[Mapping[str, str]], *, stage: Stage, size: int, seed: int) -> Iterator[Row]:
    """Yield `size` training rows of a stage; equal arguments give equal rows.

    Held-out schemas and held-out GSM8K rows never occur. Without GSM8K rows, stories fill their share.
    """
    yield from _rows(load(_side(gsm8k_rows, held_out=False)), False, stage, size, seed)


def dev_split(
    gsm8k_rows: Iterable[Mapping[str, str]], *, stage: Stage, size: int, seed: int
) -> Iterator[Row]:
    """Yield `size` rows of held-out schemas, then every held-out GSM8K row that converts, as it is."""
    yield from _rows([], True, stage, size, seed)
    for index, one in enumerate(load(_side(gsm8k_rows, held_out=True))):
        yield _row(f"dev-gsm8k-{index}", one.problem, stage, Random(seed), again=False)


def write(path: Path, rows: Iterable[Row]) -> int:
    """Write the rows to `path` as JSON lines as they come, and return their number."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def _side(rows: Iterable[Mapping[str, str]], *, held_out: bool) -> list[Mapping[str, str]]:
    """Return the training or the held-out rows; the hash of a question decides, not its place in the file."""
    known = list(rows)
    ranked = sorted(known, key=lambda row: hashlib.sha256(row["question"].encode()).digest())
    gone = {row["question"] for row in ranked[: min(GSM8K_HELD_OUT, len(ranked) // 4)]}
    return [row for row in known if (row["question"] in gone) == held_out]


def _rows(gsm8k: Sequence[Converted], held_out: bool, stage: Stage, size: int, seed: int) -> Iterator[Row]:
    told, plain = stories(held_out=held_out), bare()
    side = "dev" if held_out else "train"
    rng = Random(f"{side}-{stage}-{seed}")
    for index in range(size):
        chance = rng.random()
        if gsm8k and chance < GSM8K_SHARE:
            problem = _from_gsm8k(gsm8k[rng.randrange(len(gsm8k))], rng)
        elif not held_out and chance > 1 - BARE_SHARE:
            problem = plain[rng.randrange(len(plain))].problem(rng)
        else:
            problem = told[rng.randrange(len(told))].problem(rng)
        again = not held_out and stage == 2 and rng.random() < TWO_ROUND_SHARE
        yield _row(f"{side}-{stage}-{seed}-{index}", problem, stage, rng, again=again)


def _from_gsm8k(one: Converted, rng: Random) -> WordProblem:
    return one.problem if rng.random() < GSM8K_ORIGINAL_SHARE else vary(one, rng)


def _row(name: str, problem: WordProblem, stage: Stage, rng: Random, *, again: bool) -> Row:
    source = problem.source
    if again:
        source, solution = f"two-round/{source}", two_round_solution(problem, rng)
    else:
        solution = code_solution(problem) if stage == 2 else thought_solution(problem)
    return {"id": name, "source": source, "question": problem.question, "solution": solution}
