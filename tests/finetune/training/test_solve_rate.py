"""The solve rate of a model, with real kernels."""

import json
from pathlib import Path

import pytest

from finetune.training.solve_rate import SolveRate, solve_rate, table
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.problems import load_problems
from tests.toy import TOY


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.anyio
@pytest.mark.kernel
async def test_right_and_wrong_are_counted_by_source(tmp_path: Path) -> None:
    rows = [
        {"question": "What is 17 plus 25?", "answer": 42, "source": "template/arithmetic"},
        {
            "question": "What is 17 plus 26?",
            "solution": "It is $\\boxed{44}$.",
            "source": "gsm8k-train",
        },
    ]
    done: list[None] = []
    problems = load_problems(write(tmp_path / "p.jsonl", *rows))
    model = EmbeddedModel(TOY)
    try:
        rates = await solve_rate(model, problems, concurrency=2, on_done=lambda: done.append(None))
    finally:
        await model.aclose()
    assert len(done) == 2
    assert rates == {
        "all": SolveRate(problems=2, solved=1, output_right=1),
        "gsm8k-train": SolveRate(problems=1, solved=0, output_right=0),
        "template/arithmetic": SolveRate(problems=1, solved=1, output_right=1),
    }
    assert list(table(rates))[2] == "| all | 2 | 50.0 % | 50.0 % |"
