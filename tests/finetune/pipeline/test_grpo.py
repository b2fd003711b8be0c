"""Reinforcement with a model that was taught to be right every other time, with real kernels and the real grader.

By day one run, undisturbed; killed again and again it is slow.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime_genai")

from finetune.data.jobs import sha256
from finetune.pipeline.grpo import Drawn
from finetune.training.recipe import RECIPES
from mumath_agent.runs.jsonl import load_records
from tests.finetune.pipeline.conftest import TAUGHT
from tests.programs import call

pytestmark = [pytest.mark.train, pytest.mark.kernel, pytest.mark.model, pytest.mark.xdist_group("taught")]

ROOT = Path(__file__).resolve().parents[3]
STEPS, GROUPS, SAMPLES = 3, 3, 4
LONGER = """
name = "longer"
seed = {seed}
steps = 8
batch_tokens = 4096
max_tokens = 256
threads = 1
eval_rows = 0
checkpoint_every = 4
log_every = 8

[optimizer]
kind = "adamw"
rate = 1e-3
matrix_decay = 0.0
other_decay = 0.0
warmup_steps = 1
flat_until = 0.99
final = 1.0
"""
"""docs/learning-training.md has the rewards of three seeds."""
WEIGHTS = "model.safetensors"


@pytest.fixture(autouse=True)
def embedded_engine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUMATH_VLLM_PYTHON", raising=False)


def run(folder: Path, out: Path, *options: object) -> list[str]:
    given = ("--start", folder / "model", "--questions", folder / "questions.jsonl", "--out", out)
    sizes = ("--groups", GROUPS, "--samples", SAMPLES, "--max-new-tokens", 60)
    return ["grpo", "tiny-grpo", *map(str, (*given, *sizes, *options))]


def test_a_model_learns_from_groups_that_differ(folder: Path, tmp_path: Path) -> None:
    out, exam = tmp_path / "out", ("--held-out", folder / "held-out.jsonl")
    done = call("finetune", *run(folder, out, *exam))
    assert done.code == 0, done.stderr
    manifest = json.loads((out / "stage.json").read_text("utf-8"))
    made = [load_records(out / "rollouts" / f"step-{step}.jsonl", Drawn) for step in range(1, STEPS + 1)]
    assert [len(drawn) for drawn in made] == [GROUPS * SAMPLES] * STEPS
    assert manifest["attempts"] == STEPS * GROUPS * SAMPLES
    assert manifest["attempts"] == manifest["learned"] + sum(manifest["left_out"].values())
    assert manifest["learned"] > 0
    questions = [drawn.problem.question for step in made for drawn in step[::SAMPLES]]
    assert set(questions) <= set(TAUGHT) and len(set(questions[:GROUPS])) == GROUPS
    assert len({drawn.rollout.completion_ids for step in made for drawn in step}) > len(TAUGHT)
    log = [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    steps = [line for line in log if "reward" in line]
    assert [line["step"] for line in steps] == [1, 2, 3] and all(line["gap"] < 1e-2 for line in steps)
    assert [exam["step"] for exam in manifest["held_out"]] == [0, STEPS]
    assert sha256(out / WEIGHTS) != sha256(folder / "model" / WEIGHTS)
    assert not list(out.glob("checkpoint-*")) and not (out / "policy").exists()
    before = (out / "stage.json").stat().st_mtime_ns
    again = call("finetune", *run(folder, out, *exam, "--json"))
    assert json.loads(again.stdout) == manifest and (out / "stage.json").stat().st_mtime_ns == before
    other = call("finetune", *run(folder, out, *exam, "--scaled"))
    assert other.code == 2 and "scaled" in " ".join(other.stderr.split())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe": RECIPES / "tiny-stage1.toml"}, "makes a new model"),
        ({"recipe": "tiny"}, "has 2 stages"),
        ({"recipe": "7b-lora"}, "counts epochs"),
        ({"--groups": "5"}, "has 4 questions; a step takes 5"),
        ({"--questions": "nowhere.jsonl"}, "nowhere.jsonl"),
        ({"--held-out": "unanswered.jsonl"}, "has no answer to compare with"),
        ({"--start": "tokenizer"}, "holds no finished stage"),
    ],
)
def test_what_it_cannot_begin_with_is_said(
    folder: Path, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    command = run(folder, tmp_path, "--held-out", folder / "held-out.jsonl")
    for name, value in changes.items():
        place = 1 if name == "recipe" else command.index(name) + 1
        command[place] = str(folder / str(value) if name.startswith("--") and name != "--groups" else value)
    done = call("finetune", *command)
    assert done.code == 2 and said in " ".join(done.stderr.split()), done.stderr


def test_an_unfinished_folder_goes_on_with_its_own_settings_only(folder: Path, tmp_path: Path) -> None:
    begun = {"recipe": {}, "samples": SAMPLES}
    (tmp_path / "begun.json").write_text(json.dumps(begun))
    done = call("finetune", *run(folder, tmp_path))
    assert done.code == 2 and str(tmp_path) in done.stderr.replace("\n", "")
    assert json.loads((tmp_path / "begun.json").read_text("utf-8")) == begun


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--updates", "2", "--kl", "0.1")])
def test_killed_at_any_point_it_ends_with_the_same_weights(
    folder: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert call("finetune", *run(folder, unbroken, *options)).code == 0
    command = [sys.executable, "-m", "finetune", *run(folder, broken, *options)]
    kills = 0
    for seen in ("policy", "rollouts/step-1.jsonl", "checkpoint-1", "rollouts/step-2.jsonl", "checkpoint-2"):
        running = subprocess.Popen(
            command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not (broken / seen).exists() and running.poll() is None:
            time.sleep(0.005)
        kills += running.poll() is None
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    assert kills == 5
    done = call("finetune", *run(folder, broken, *options, "--concurrency", "2"))
    assert done.code == 0, done.stderr
    assert sha256(broken / WEIGHTS) == sha256(unbroken / WEIGHTS) != sha256(folder / "model" / WEIGHTS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_what_is_rewarded_comes_more_often(folder: Path, tmp_path: Path, seed: int) -> None:
    recipe, out = tmp_path / "longer.toml", tmp_path / "out"
    recipe.write_text(LONGER.format(seed=seed))
    command = run(folder, out, "--groups", len(TAUGHT), "--samples", 8, "--seed", seed)
    command[1] = str(recipe)
    done = call("finetune", *command)
    assert done.code == 0, done.stderr
    log = [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    rewards = [line["reward"] for line in log if "reward" in line]
    assert rewards[0] < 0.7 and rewards[-1] > rewards[0] + 0.2, rewards
