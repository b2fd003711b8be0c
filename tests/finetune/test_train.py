"""Real trainings of seconds: they learn, hand over, come back from kill -9 bit for bit, and refuse what can't be."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from finetune.recipe import Recipe, Shape, read_recipe
from finetune.train import MANIFEST, TrainingDiverged, evaluation_loss, prepare, train
from mumath_agent.errors import InputError

pytestmark = pytest.mark.train

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "finetune" / "recipes"
FIRST, SECOND = RECIPES / "tiny-stage1.toml", RECIPES / "tiny-stage2.toml"


@pytest.fixture(scope="module")
def start(corpus: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    tokenizer.save_pretrained(corpus)
    return corpus


@pytest.fixture(scope="module")
def stage1(start: Path) -> Path:
    train(read_recipe(FIRST), data=start / "stage1.jsonl", start=start, out=start / "stage1")
    return start / "stage1"


@pytest.fixture(scope="module")
def stage2(start: Path, stage1: Path) -> Path:
    train(read_recipe(SECOND), data=start / "stage2.jsonl", start=stage1, out=start / "stage2")
    return start / "stage2"


def losses(folder: Path, key: str = "loss") -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    return [line[key] for line in lines if key in line]


def test_both_stages_learn(stage1: Path, stage2: Path) -> None:
    for folder in (stage1, stage2):
        assert losses(folder)[-1] < 0.8 * losses(folder)[0]
        held_out = losses(folder, "evaluation_loss")
        assert held_out[-1] < held_out[0]


def test_stage_2_starts_from_the_weights_of_stage_1(start: Path, stage1: Path, stage2: Path) -> None:
    stage = prepare(read_recipe(SECOND), data=start / "stage2.jsonl", start=stage1)
    for name, tensor in load_file(stage1 / "model.safetensors").items():
        assert torch.equal(stage.model.state_dict()[name], tensor)
    trained = load_file(stage2 / "model.safetensors")
    assert not torch.equal(trained["model.norm.weight"], stage.model.state_dict()["model.norm.weight"])


def test_a_manifest_ties_the_weights_to_what_made_them(stage2: Path) -> None:
    manifest = json.loads((stage2 / MANIFEST).read_text("utf-8"))
    assert manifest["identity"]["recipe"]["name"] == "tiny stage 2"
    assert set(manifest["identity"]["start_sha256"]) == {"tokenizer.json", "model.safetensors"}
    assert manifest["tokens"] > 0
    assert not list(stage2.glob("checkpoint*"))


def test_killed_at_any_point_it_ends_with_the_same_weights(start: Path, stage1: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "finetune", "train", FIRST, "--start", start]
    command += ["--data", start / "stage1.jsonl", "--out", tmp_path]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path / "checkpoint.pt").exists():
        assert running.poll() is None
        time.sleep(0.005)
    running.kill()
    running.wait()
    assert not (tmp_path / MANIFEST).exists()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "step 10/40" not in done.stdout  # it went on, it did not start anew
    resumed, unbroken = load_file(tmp_path / "model.safetensors"), load_file(stage1 / "model.safetensors")
    assert resumed.keys() == unbroken.keys()
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)
    assert losses(tmp_path) == losses(stage1)


def test_a_finished_stage_is_left_alone(start: Path, stage1: Path) -> None:
    before = (stage1 / "model.safetensors").stat().st_mtime_ns
    train(read_recipe(FIRST), data=start / "stage1.jsonl", start=start, out=stage1)
    assert (stage1 / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize(("change", "what"), [({"seed": 5}, "recipe"), ({}, "data_sha256")])
def test_a_folder_of_another_run_is_refused(
    start: Path, stage1: Path, change: dict[str, int], what: str
) -> None:
    recipe = read_recipe(FIRST).model_copy(update=change)
    data = start / ("stage2.jsonl" if what == "data_sha256" else "stage1.jsonl")
    with pytest.raises(InputError, match=f"made with another {what}"):
        train(recipe, data=data, start=start, out=stage1)


def test_a_loss_that_is_no_number_ends_the_run(start: Path, tmp_path: Path) -> None:
    recipe = read_recipe(FIRST)
    wild = recipe.optimizer.model_copy(update={"rate": 1e30, "warmup_steps": 1})
    with pytest.raises(TrainingDiverged, match=r"lower optimizer\.rate"):
        train(
            recipe.model_copy(update={"optimizer": wild}),
            data=start / "stage1.jsonl",
            start=start,
            out=tmp_path,
        )
    assert not (tmp_path / MANIFEST).exists()


def test_bf16_starts_from_the_same_loss(start: Path) -> None:
    recipe = read_recipe(FIRST)
    found = []
    for precision in ("fp32", "bf16"):
        stage = prepare(
            recipe.model_copy(update={"precision": precision}), data=start / "stage1.jsonl", start=start
        )
        torch.manual_seed(0)
        stage = replace(stage, model=prepare(recipe, data=start / "stage1.jsonl", start=start).model)
        found.append(evaluation_loss(stage))
    assert found[0] == pytest.approx(found[1], rel=0.02)


def test_stage_2_needs_a_finished_stage(start: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train stage 1 first"):
        train(read_recipe(SECOND), data=start / "stage2.jsonl", start=start, out=tmp_path)


def test_too_few_rows(start: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 usable rows"):
        train(read_recipe(FIRST), data=start / "few.jsonl", start=start, out=tmp_path)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_recipes_are_valid(path: Path) -> None:
    recipe = read_recipe(path)
    assert isinstance(recipe, Recipe)
    assert (recipe.model is not None) == path.stem.endswith("stage1")
    assert recipe.model is None or isinstance(recipe.model, Shape)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("step = 1", "Extra inputs are not permitted|Field required"),
        ("steps = ", "no TOML"),
        (FIRST.read_text("utf-8").replace("seed", "sede"), "sede: Extra inputs are not permitted"),
        (
            FIRST.read_text("utf-8").replace("steps = 40", "steps = 0"),
            "steps: Input should be greater than 0",
        ),
        (FIRST.read_text("utf-8") + "momentum = 1", "optimizer.momentum: Extra inputs"),
    ],
)
def test_recipes_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_recipe(path)


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "finetune",
        "train",
        "no.toml",
        "--data",
        "x",
        "--start",
        "x",
        "--out",
        tmp_path,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "error: no such recipe: no.toml\n")
