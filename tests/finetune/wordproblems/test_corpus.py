"""The corpus of the tiny model: GSM8K as programs, honest splits, determinism, and the very bytes."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from random import Random
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.data.corpus import CorpusConfig, Row, build, corpus, dev_split
from finetune.wordproblems.gsm8k import Gsm8kRow, convert, vary
from finetune.wordproblems.load import stories
from finetune.wordproblems.problem import clean, code_solution, numbers_in
from mumath_agent.errors import InputError

GSM8K_ROWS: list[Gsm8kRow] = [
    {
        "question": "Nora has 12 red beads and twice as many blue beads. How many beads does Nora have?",
        "answer": "She has 12*2=<<12*2=24>>24 blue beads.\nIn all 24+12=<<24+12=36>>36.\n#### 36",
    },
    {
        "question": "A pump moves 1,500 liters in 3 hours. How many liters does it move in 45 minutes?",
        "answer": "Per hour 1500/3=<<1500/3=500>>500.\n45 minutes are 45/60=<<45/60=0.75>>0.75 hours.\n"
        "It moves 500*.75=<<500*.75=375>>375.\n#### 375",
    },
    {
        "question": "Omar pays $40 for a lamp and gets a discount of 25%. What does he pay?",
        "answer": "He saves 40*.25=$<<40*.25=10>>10.\nHe pays 40-10=<<40-10=30>>30.\n#### 30",
    },
]
BROKEN_ROW: Gsm8kRow = {"question": "What are 2 and 3?", "answer": "2+3=<<2+3=5>>5\n#### 6"}


@pytest.mark.parametrize(
    ("row", "answer", "steps"),
    [
        (GSM8K_ROWS[0], 36, ["n0 * 2", "a + n0"]),
        (GSM8K_ROWS[1], 375, ["n0 / n1", "n2 / 60", "a * b"]),
        (GSM8K_ROWS[2], 30, ["n1 / 100", "n0 * a", "n0 - b"]),
    ],
)
def test_gsm8k_marks_become_steps(row: Gsm8kRow, answer: int, steps: list[str]) -> None:
    one = convert(row, 0)
    assert one is not None
    assert one.problem.answer == answer
    assert [step.expression for step in one.problem.steps] == steps


def test_gsm8k_row_with_another_answer_is_dropped() -> None:
    assert convert(BROKEN_ROW, 0) is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(GSM8K_ROWS))
def test_gsm8k_variation_stays_sane(seed: int, row: Gsm8kRow) -> None:
    one = convert(row, 0)
    assert one is not None
    varied = vary(one, Random(seed))
    assert varied.numbers == numbers_in(varied.question)
    assert varied.answer > 0
    assert varied.steps == one.problem.steps
    assert code_solution(varied)


def digest(rows: Iterable[Row]) -> str:
    """Return the sha256 of the rows as `corpus` puts them into a file."""
    whole = hashlib.sha256()
    for row in rows:
        whole.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return whole.hexdigest()


# The rows that published weights were trained on. A change of stories changes them: put the new digests here, in a
# commit that says so.
@pytest.mark.parametrize(
    ("stage", "seed", "expected"),
    [
        (1, 0, "4380f2f394ef5b095fc80aa3b327dd8957e511c342cdbf3e857caf06b90df438"),
        (1, 3, "aec839e51196fe2c920e598a19317ac968047cb0de8acce7a79a985f14cffdaf"),
        (2, 0, "076edf8f119469eb4913c8c8c2c0672892b7ac5b8f2c45e09b811c02ddb42596"),
        (2, 3, "05d2e519b728cc86a39fba78824a03f8def0e455aaf21b3e5bbf1d419f213fc8"),
    ],
)
def test_training_rows_keep_their_bytes(stage: Literal[1, 2], seed: int, expected: str) -> None:
    assert digest(build([], stage=stage, size=3000, seed=seed)) == expected


def test_held_out_rows_keep_their_bytes() -> None:
    rows = dev_split([], stage=2, size=500, seed=0)
    assert digest(rows) == "2d41b60bb07fbef1ca66a1542bcc1f150e71fd347e8932c6862234e8c4bd4545"


@pytest.mark.parametrize("stage", [1, 2])
def test_equal_seeds_give_equal_rows(stage: int) -> None:
    def rows(seed: int) -> list[object]:
        return list(build(GSM8K_ROWS, stage=1 if stage == 1 else 2, size=80, seed=seed))

    assert rows(3) == rows(3) != rows(4)


def test_mix_of_sources() -> None:
    sources = [row["source"] for row in build(GSM8K_ROWS, stage=2, size=3000, seed=1)]

    def share(start: str) -> float:
        return sum(source.startswith(start) for source in sources) / len(sources)

    assert share("template/") > 0.6
    assert 0.15 < share("gsm8k-train/") < 0.25
    assert 0.02 < share("two-round/") < 0.06
    assert any(source.startswith("template/arithmetic/") for source in sources)


def test_held_out_schemas_never_train() -> None:
    gone = {one.name for one in stories(held_out=True)}
    assert 0.03 < len(gone) / len(stories()) < 0.15
    trained = {row["source"].split("/", 1)[1] for row in build([], stage=1, size=3000, seed=2)}
    kept = {row["source"].split("/", 1)[1] for row in dev_split([], stage=1, size=300, seed=2)}
    assert not trained & gone
    assert kept <= gone


def test_held_out_gsm8k_rows_never_train() -> None:
    rows: list[Gsm8kRow] = [
        {**GSM8K_ROWS[0], "question": GSM8K_ROWS[0]["question"] + " " * i + "!" * i} for i in range(8)
    ]
    trained = {
        row["question"] for row in build(rows, stage=2, size=400, seed=1) if row["source"].count("/") == 1
    }
    held = {row["question"] for row in dev_split(rows, stage=2, size=0, seed=1)}
    assert len(held) == 2
    assert not trained & held


def test_a_corpus_is_the_rows_and_a_manifest_that_counts_them(tmp_path: Path) -> None:
    gsm8k, path = tmp_path / "train.jsonl", tmp_path / "corpus.jsonl"
    gsm8k.write_text("".join(json.dumps(row) + "\n" for row in GSM8K_ROWS), encoding="utf-8")
    manifest = corpus(CorpusConfig(out=path, stage=2, size=60, seed=1, gsm8k=gsm8k))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest(
        build(GSM8K_ROWS, stage=2, size=60, seed=1)
    )
    assert manifest.rows == sum(manifest.counts.values()) == 60
    assert manifest.counts.keys() == {"gsm8k-train", "template", "two-round"}
    with pytest.raises(InputError, match="size 60, now it is 61"):
        corpus(CorpusConfig(out=path, stage=2, size=61, seed=1, gsm8k=gsm8k))


_RUNNER = """
import contextlib, io, json, sys
for code in json.load(sys.stdin):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            exec(code, {})
        except NameError as error:
            line = error.__traceback__.tb_next.tb_lineno
            print(f"line {line}: {code.splitlines()[line - 1].strip()}")
            print(f"NameError: {error}")
    sys.stdout.write(json.dumps(out.getvalue().removesuffix("\\n")) + "\\n")
"""


def test_python_prints_the_recorded_outputs() -> None:
    rows = list(islice(build(GSM8K_ROWS, stage=2, size=300, seed=7), 300))
    blocks = [
        pair
        for row in rows
        for pair in re.findall(r"```python\n(.*?)\n```\n```output\n(.*?)\n```\n", row["solution"], re.S)
    ]
    done = subprocess.run(
        [sys.executable, "-c", _RUNNER],
        input=json.dumps([code for code, _ in blocks]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [output for _, output in blocks]
    for row in rows:
        output = re.findall(r"```output\n(.*?)\n```", row["solution"], re.S)[-1]
        assert row["solution"].endswith(f"The answer is $\\boxed{{{clean(output)}}}$.")
