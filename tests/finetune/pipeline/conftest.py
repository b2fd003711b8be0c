"""A model that was taught to be right every other time, for those that learn from its attempts."""

from pathlib import Path

import pytest

from finetune.data.records import Question
from finetune.training.recipe import RECIPES, read_recipe
from mumath_agent.records import Problem
from mumath_agent.runs.jsonl import replace_lines

TAUGHT = {
    "How many legs has a dog?": 4,
    "How many days are in one week?": 7,
    "Count the wheels of a tricycle.": 3,
    "What is the number of months of a year?": 12,
}
"""Half of the time right, half of the time one too many."""
EXAM = {"Mira owns two hens. Tell their wings.": 4, "Fingers on each hand of Tom, please?": 5}


def solution(number: int) -> str:
    return (
        f"Print it.\n```python\nprint({number})\n```\n```output\n{number}\n```\nIt is $\\boxed{{{number}}}$."
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, questions.jsonl, held-out.jsonl, recipe.toml."""
    from finetune.training.tokenizer import train_tokenizer
    from finetune.training.train import train

    folder = tmp_path_factory.mktemp("taught")
    known = TAUGHT | EXAM
    rows = [
        {"question": question, "solution": solution(number + wrong)}
        for question, number in known.items()
        for wrong in (0, 1)
    ]
    replace_lines(folder / "rows.jsonl", rows)
    train_tokenizer([text for row in rows for text in row.values()], vocab_size=400).save_pretrained(
        folder / "tokenizer"
    )
    taught = read_recipe(RECIPES / "tiny-stage1.toml").model_copy(update={"steps": 200, "eval_rows": 0})
    train(taught, data=folder / "rows.jsonl", start=folder / "tokenizer", out=folder / "model")
    recipe = (RECIPES / "tiny-stage2.toml").read_text("utf-8")
    recipe = recipe.replace("steps = 40", "steps = 6").replace("eval_rows = 16", "eval_rows = 0")
    (folder / "recipe.toml").write_text(recipe.replace("checkpoint_every = 10", "checkpoint_every = 2"))
    questions = (
        Question(problem=Problem(id=question, question=question, target=str(number)))
        for question, number in TAUGHT.items()
    )
    replace_lines(folder / "questions.jsonl", questions)
    exam = ({"question": question, "answer": str(number)} for question, number in EXAM.items())
    replace_lines(folder / "held-out.jsonl", exam)
    replace_lines(folder / "unanswered.jsonl", [{"question": "How many?"}])
    return folder
