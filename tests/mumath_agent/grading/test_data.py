"""Gold answers of the benchmarks and recorded answers, graded."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mumath_agent.answers import boxed_answers
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome

pytestmark = [pytest.mark.anyio, pytest.mark.data]

DATA = Path(os.environ.get("MUMATH_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
GOLDS: dict[str, Callable[[dict[str, Any]], object]] = {
    "math/test.jsonl": lambda row: boxed_answers(row["solution"])[-1],
    "math/math500.jsonl": lambda row: boxed_answers(row["solution"])[-1],
    "gsm8k/test.jsonl": lambda row: row["answer"].partition("####")[2],
    "gsm_hard/test.jsonl": lambda row: row["target"],
    "svamp/test.jsonl": lambda row: row["Answer"],
    "mawps/addsub.jsonl": lambda row: row["target"],
    "mawps/singleop.jsonl": lambda row: row["target"],
    "mawps/singleeq.jsonl": lambda row: row["target"],
    "mawps/multiarith.jsonl": lambda row: row["target"],
}


def _text(name: str) -> str:
    if not (DATA / name).is_file():
        pytest.skip(f"NOT CHECKED on real answers: {DATA / name} is missing; set MUMATH_DATA to its folder")
    return (DATA / name).read_text(encoding="utf-8")


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _text(name).splitlines()]


def _respelt(gold: str) -> str:
    """Return the same answer as another model would typeset it."""
    respelt = gold.replace("\\frac", "\\dfrac")
    if "\\left" not in respelt:
        respelt = re.sub(r"(?<!\\)\(", r"\\left( ", re.sub(r"(?<!\\)\)", r" \\right)", respelt))
    return f"${respelt}$."


async def _wrong(golds: set[str]) -> list[str]:
    async with Grader(timeout_s=10) as grader:
        verdicts = [
            (gold, answer, await grader.grade(answer, gold))
            for gold in sorted(golds)
            for answer in (gold, _respelt(gold))
        ]
    return [
        f"{answer!r} is not {gold!r}: {v}" for gold, answer, v in verdicts if v.outcome is not Outcome.CORRECT
    ]


@pytest.mark.parametrize("name", GOLDS)
async def test_every_gold_answer_equals_itself_however_it_is_set(name: str) -> None:
    assert await _wrong({str(GOLDS[name](row)).strip() for row in _rows(name)}) == []


async def test_every_gold_answer_of_tabmwp_equals_itself_however_it_is_set() -> None:
    rows = json.loads(_text("tabmwp/problems_test1k.json")).values()
    assert await _wrong({row["answer"] for row in rows}) == []


async def test_no_gold_number_equals_its_neighbour_its_opposite_or_its_percentage() -> None:
    golds = {row["answer"].partition("####")[2].strip().replace(",", "") for row in _rows("gsm8k/test.jsonl")}
    async with Grader() as grader:
        for gold in golds - {"0"}:
            for other in (str(int(gold) + 1), str(-int(gold)), f"{gold}0", f"{gold}00", str(int(gold) / 100)):
                assert (await grader.grade(other, gold)).outcome is Outcome.INCORRECT


async def test_recorded_answers_of_mathcoder_on_math() -> None:
    """Read by eye: where this differs from math-verify alone, this is right, but for the rule of four digits."""
    rows = _rows("transcripts/mathcoder-cl-34b.minival.jsonl")
    async with Grader(timeout_s=10) as grader:
        verdicts = [await grader.grade(row["completion"], row["ground_truth"]["answer"]) for row in rows]
    counts = Counter(verdict.outcome.value for verdict in verdicts)
    assert counts == {"correct": 227, "incorrect": 270, "ungraded": 2, "no_answer": 1}
