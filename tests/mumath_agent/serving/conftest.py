"""An adapter for the tests of serving, trained as anybody would."""

import json
from pathlib import Path

import pytest

from tests.toy import TOY


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a low-rank adapter on the toy's weights, which counts on instead of writing a program."""
    pytest.importorskip("torch")
    from finetune.training.recipe import RECIPES, Lora, read_recipe
    from finetune.training.train import train

    folder = tmp_path_factory.mktemp("adapter")
    rows = [
        {"question": f"What is {n} plus 1?", "solution": f"Count on: $\\boxed{{{n + 1}}}$."}
        for n in range(32)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    few = {"lora": Lora(rank=4, alpha=8), "steps": 25, "eval_rows": 4}
    recipe = read_recipe(RECIPES / "tiny-stage2.toml").model_copy(update=few)
    train(recipe, data=folder / "rows.jsonl", start=TOY, out=folder / "trained")
    return folder / "trained"
