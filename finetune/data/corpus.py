"""Build the corpus of the tiny model: a deterministic mix of stories, GSM8K and bare arithmetic.

Whole schemas and some GSM8K rows are held out from training, to measure what was learned.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, TypedDict

from finetune.data.jobs import JobIdentity, JobManifest, begin, sha256, write_manifest
from finetune.wordproblems.gsm8k import Converted, Gsm8kRow, load, read_gsm8k, vary
from finetune.wordproblems.load import bare, stories
from finetune.wordproblems.problem import (
    WordProblem,
    code_solution,
    thought_solution,
    two_round_solution,
)
from mumath_agent.runs.jsonl import replace_lines

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusConfig:
    """The rows to write."""

    out: Path
    stage: Stage
    size: int
    """Rows."""
    seed: int = 0
    gsm8k: Path | None = None
    """GSM8K's train.jsonl; without it stories take its share."""
    held_out: bool = False
    """Write problems that training never sees; see `dev_split`."""


def corpus(config: CorpusConfig) -> JobManifest:
    """Write the rows of a stage, with a manifest that counts them by origin.

    Raises:
        InputError: GSM8K's file can't be used, or the output can't be written or belongs to another job.
    """
    identity = JobIdentity(
        stage="corpus",
        inputs={config.gsm8k.name: sha256(config.gsm8k)} if config.gsm8k else {},
        settings={
            "stage": config.stage,
            "size": config.size,
            "seed": config.seed,
            "held_out": config.held_out,
        },
    )
    begin(config.out, identity)
    gsm8k = [row for _, row in read_gsm8k(config.gsm8k)] if config.gsm8k else []
    side = dev_split if config.held_out else build
    counts: Counter[str] = Counter()

    def counted() -> Iterator[Row]:
        for row in side(gsm8k, stage=config.stage, size=config.size, seed=config.seed):
            counts[row["source"].partition("/")[0]] += 1
            yield row

    replace_lines(config.out, counted())
    manifest = JobManifest(identity=identity, rows=counts.total(), counts=dict(sorted(counts.items())))
    write_manifest(config.out, manifest)
    return manifest


def build(gsm8k_rows: Iterable[Gsm8kRow], *, stage: Stage, size: int, seed: int) -> Iterator[Row]:
    """Yield `size` training rows of a stage; equal arguments give equal rows.

    Held-out schemas and held-out GSM8K rows never occur. Without GSM8K rows, stories fill their share.
    """
    yield from _rows(load(_side(gsm8k_rows, held_out=False)), False, stage, size, seed)


def dev_split(gsm8k_rows: Iterable[Gsm8kRow], *, stage: Stage, size: int, seed: int) -> Iterator[Row]:
    """Yield `size` rows of held-out schemas, then every held-out GSM8K row that converts, as it is."""
    yield from _rows([], True, stage, size, seed)
    for index, one in enumerate(load(_side(gsm8k_rows, held_out=True))):
        yield _row(f"dev-gsm8k-{index}", one.problem, stage, Random(seed), again=False)


def training_side(rows: Iterable[Gsm8kRow]) -> list[Gsm8kRow]:
    """Return GSM8K's rows without those that are held out."""
    return _side(rows, held_out=False)


def held_out_side(rows: Iterable[Gsm8kRow]) -> list[Gsm8kRow]:
    """Return the rows of GSM8K's training split that no corpus trains on."""
    return _side(rows, held_out=True)


def _side(rows: Iterable[Gsm8kRow], *, held_out: bool) -> list[Gsm8kRow]:
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
    return one.problem if rng.random() < GSM8K_ORIGINAL_SHARE else vary(one, rng, trusting=True)


def _row(name: str, problem: WordProblem, stage: Stage, rng: Random, *, again: bool) -> Row:
    source = problem.source
    if again:
        source, solution = f"two-round/{source}", two_round_solution(problem, rng)
    else:
        solution = code_solution(problem) if stage == 2 else thought_solution(problem)
    return {"id": name, "source": source, "question": problem.question, "solution": solution}
