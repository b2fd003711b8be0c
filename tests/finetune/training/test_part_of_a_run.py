"""Part of the layers or part of the steps: what is frozen stays as it is, and a run may stop at its best evaluation."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from finetune.training.checkpoints import checkpoints
from finetune.training.recipe import RECIPES, Recipe, read_recipe
from finetune.training.train import MANIFEST, TrainingRun, prepare, train
from mumath_agent.errors import InputError
from tests.programs import call

pytestmark = pytest.mark.train


class Interrupted(Exception):
    pass


@pytest.fixture(scope="module")
def stage1(
    corpus: Path, tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    start, out = tmp_path_factory.mktemp("start"), tmp_path_factory.mktemp("stage1")
    tokenizer.save_pretrained(start)
    recipe = read_recipe(RECIPES / "tiny-stage1.toml").model_copy(update={"steps": 10})
    train(recipe, data=corpus / "stage1.jsonl", start=start, out=out)
    return out


def recipe(**settings: Any) -> Recipe:
    """Return tiny stage 2 with other settings; those of the optimiser have its name in front."""
    given = read_recipe(RECIPES / "tiny-stage2.toml").model_dump()
    for name, value in settings.items():
        within, _, inner = name.rpartition("__")
        (given[within] if within else given)[inner] = value
    return Recipe.model_validate(given)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return found


@pytest.mark.parametrize("lower_layers", [0, 1])
def test_what_is_frozen_stays_and_the_rest_is_trained(
    corpus: Path, stage1: Path, tmp_path: Path, lower_layers: int
) -> None:
    chosen = recipe(frozen_layers=lower_layers, packing=True, optimizer__kind="adamw", steps=10)
    train(chosen, data=corpus / "stage2.jsonl", start=stage1, out=tmp_path)
    before, after = weights(stage1), weights(tmp_path)
    frozen = ("model.embed_tokens", *(f"model.layers.{number}." for number in range(lower_layers)))
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(value, after[name]) == name.startswith(frozen), name


def test_no_gradient_goes_below_what_is_frozen(corpus: Path, stage1: Path) -> None:
    training = prepare(recipe(frozen_layers=1), data=corpus / "stage2.jsonl", start=stage1)
    hidden = training.model(torch.tensor([[1, 2, 3]]), output_hidden_states=True).hidden_states
    assert [states.requires_grad for states in hidden] == [False, False, True]


def test_as_many_layers_as_there_are_cannot_be_frozen(corpus: Path, stage1: Path) -> None:
    with pytest.raises(InputError, match="frozen_layers = 2 leaves nothing to train: the model has 2 layers"):
        prepare(recipe(frozen_layers=2), data=corpus / "stage2.jsonl", start=stage1)


STOPPING = {
    "patience": 2,
    "eval_every": 5,
    "checkpoint_every": 5,
    "steps": 60,
    "frozen_layers": 0,
    "packing": True,
}


GETS_WORSE = recipe(**STOPPING, solve_every=1, optimizer__rate=3.0)


@pytest.fixture(scope="module")
def stopped(corpus: Path, stage1: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stopped")
    train(GETS_WORSE, data=corpus / "stage2.jsonl", start=stage1, out=out)
    return out


def test_a_run_stops_when_it_gets_worse_and_keeps_its_best_weights(stopped: Path) -> None:
    manifest = json.loads((stopped / MANIFEST).read_text("utf-8"))
    best = manifest["best_step"]
    assert manifest["steps"] == best + 10 < 60
    log = [json.loads(line) for line in (stopped / "log.jsonl").read_text("utf-8").splitlines()]
    evaluated = {line["step"]: line["evaluation_loss"] for line in log if "evaluation_loss" in line}
    assert evaluated[best] == min(evaluated.values()) == pytest.approx(manifest["evaluation_loss"], abs=1e-3)
    assert not list(stopped.glob("checkpoint*"))


@pytest.mark.parametrize("at", [7, pytest.param(12, marks=pytest.mark.slow)])
def test_an_interrupted_run_stops_where_an_unbroken_one_does(
    corpus: Path, stage1: Path, stopped: Path, tmp_path: Path, at: int
) -> None:
    chosen, rows = GETS_WORSE, corpus / "stage2.jsonl"
    steps: list[int] = []

    def interrupt(training: TrainingRun) -> float:
        steps.append(len(steps))
        if len(steps) == at:
            raise Interrupted
        return 0.0

    manifest = json.loads((stopped / MANIFEST).read_text("utf-8"))
    assert manifest["steps"] > at
    with pytest.raises(Interrupted):
        train(chosen, data=rows, start=stage1, out=tmp_path / "broken", solve_rate=interrupt)
    assert checkpoints(tmp_path / "broken")
    train(chosen, data=rows, start=stage1, out=tmp_path / "broken")
    made, expected = weights(tmp_path / "broken"), weights(stopped)
    assert all(torch.equal(made[name], value) for name, value in expected.items())
    again = json.loads((tmp_path / "broken" / MANIFEST).read_text("utf-8"))
    assert [again[key] for key in ("steps", "best_step", "tokens")] == [
        manifest[key] for key in ("steps", "best_step", "tokens")
    ]


def test_variants_of_a_recipe_are_compared_by_what_they_cost(
    corpus: Path, stage1: Path, tmp_path: Path
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text((RECIPES / "tiny-stage2.toml").read_text("utf-8"), encoding="utf-8")
    options = ("--data", corpus / "stage2.jsonl", "--start", stage1, "--rounds", 1, "--json")
    done = call("finetune", "bench-recipe", path, *options, "--vary", "frozen_layers = 1")
    assert done.code == 0, done.stderr
    costs = json.loads(done.stdout)
    assert list(costs) == ["as it is", "frozen_layers = 1"]
    assert all(cost["passes"] > 0 for cost in costs.values())
