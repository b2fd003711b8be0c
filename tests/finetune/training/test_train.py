"""Real trainings of seconds: they learn, hand over, come back from kill -9 bit for bit, and refuse what can't be.

By day one kind of training is killed, and the weights find no room; the others, a log without room, and what takes two
processes or a process a stage, are slow.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

from finetune.cli import app
from finetune.training.batches import endless, layout_of
from finetune.training.checkpoints import checkpoints
from finetune.training.encode import encoded_rows
from finetune.training.metrics import Tracking
from finetune.training.optimizers import TrainingDiverged
from finetune.training.recipe import RECIPES, read_recipe
from finetune.training.train import (
    MANIFEST,
    TrainingRun,
    evaluation_loss,
    prepare,
    train,
)
from mumath_agent.errors import InputError
from tests.programs import call

pytestmark = pytest.mark.train

ROOT = Path(__file__).parents[3]
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


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "finetune", *map(str, arguments)]


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


VARIANTS = {
    "padded": "",
    "packed": "packing = true\nmicrobatch_tokens = 512\n",
    "adapter": "packing = true\ngradient_checkpointing = true\n[lora]\nrank = 4\nalpha = 8\ndropout = 0.1\n",
}


def variant(name: str, folder: Path, *, of: Path = FIRST) -> Path:
    """Write a tiny recipe with some more settings; an adapter is trained on stage 1's weights."""
    text = of.read_text("utf-8")
    if name == "adapter":
        text = SECOND.read_text("utf-8")
    head, mark, tail = text.partition("[")
    path = folder / f"{name}.toml"
    path.write_text(f"{head}{VARIANTS[name]}{mark}{tail}", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "packed" else pytest.mark.slow) for name in VARIANTS],
)
def test_killed_at_any_point_it_ends_with_the_same_weights(
    start: Path, stage1: Path, tmp_path: Path, name: str
) -> None:
    recipe, begin = variant(name, tmp_path), stage1 if name == "adapter" else start
    weights = "adapter_model.safetensors" if name == "adapter" else "model.safetensors"
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    train(read_recipe(recipe), data=start / "stage1.jsonl", start=begin, out=unbroken)
    arguments = ("train", recipe, "--start", begin, "--data", start / "stage1.jsonl", "--out", broken)
    running = subprocess.Popen(
        command(*arguments), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not checkpoints(broken):
        assert running.poll() is None
        time.sleep(0.002)
    running.kill()
    running.wait()
    assert not (broken / MANIFEST).exists()
    done = call("finetune", *arguments)
    assert done.code == 0, done.stderr
    assert "step 10/40" not in done.stdout  # it went on, it did not start anew
    resumed, expected = load_file(broken / weights), load_file(unbroken / weights)
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    assert losses(broken) == losses(unbroken)
    assert not list(broken.glob("checkpoint*"))


def launched(processes: int, recipe: Path, start: Path, out: Path, data: Path, *more: Path | str) -> Path:
    """Train a stage in so many processes, on CPUs."""
    alone = [
        sys.executable,
        "-W",
        "error::UserWarning:finetune",
        "-m",
        "torch.distributed.run",
        "--standalone",
    ]
    stage = ["finetune", "train", recipe, "--start", start, "--data", data, "--out", out, *more]
    command = [*alone, "--nproc_per_node", str(processes), "-m", *map(str, stage)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["packed", "adapter"])
def test_two_processes_learn_what_one_learns(start: Path, stage1: Path, tmp_path: Path, name: str) -> None:
    text = variant(name, tmp_path).read_text("utf-8")
    text = text.replace("dropout = 0.1", "dropout = 0.0").replace(
        "rate = 6e-3", 'rate = 6e-3\nkind = "adamw"'
    )
    if "microbatch" not in text:
        text = f"microbatch_tokens = 512\n{text}"
    recipe, begin = tmp_path / "recipe.toml", stage1 if name == "adapter" else start
    recipe.write_text(text, encoding="utf-8")
    train(read_recipe(recipe), data=start / "stage2.jsonl", start=begin, out=tmp_path / "one")
    launched(2, recipe, begin, tmp_path / "two", start / "stage2.jsonl")
    for key in ("loss", "evaluation_loss", "tokens"):
        assert losses(tmp_path / "two", key) == pytest.approx(losses(tmp_path / "one", key), rel=2e-3)
    file = "adapter_model.safetensors" if name == "adapter" else "model.safetensors"
    one, two = load_file(tmp_path / "one" / file), load_file(tmp_path / "two" / file)
    assert one.keys() == two.keys()


@pytest.mark.slow
def test_passes_that_cannot_be_shared_out_are_refused(start: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="can't be shared out evenly over 2 processes"):
        launched(2, FIRST, start, tmp_path, start / "stage1.jsonl")


@pytest.mark.slow
def test_solving_with_several_processes_is_refused_before_anything_is_loaded(
    start: Path, tmp_path: Path
) -> None:
    recipe, problems = tmp_path / "recipe.toml", tmp_path / "problems.jsonl"
    recipe.write_text(
        f"solve_every = 20\nmicrobatch_tokens = 512\n{FIRST.read_text('utf-8')}", encoding="utf-8"
    )
    problems.write_text('{"question": "What is 1 + 1?", "answer": "2"}\n', encoding="utf-8")
    with pytest.raises(AssertionError, match="by one process only; leave out --solve"):
        launched(2, recipe, start, tmp_path / "out", start / "stage1.jsonl", "--solve", problems)
    assert not (tmp_path / "out").exists()


def test_solving_needs_a_recipe_that_says_when(start: Path, tmp_path: Path) -> None:
    command = ["train", "tiny-stage1", "--start", str(start), "--data", str(start / "stage1.jsonl")]
    refused = CliRunner().invoke(app, [*command, "--out", str(tmp_path), "--solve", "problems.jsonl"])
    assert isinstance(refused.exception, InputError)
    assert "--solve does nothing without solve_every" in str(refused.exception)


def test_an_adapter_is_handed_over_and_merged(start: Path, stage1: Path, tmp_path: Path) -> None:
    recipe = read_recipe(variant("adapter", tmp_path)).model_copy(update={"steps": 5})
    first, second, whole = tmp_path / "first", tmp_path / "second", tmp_path / "whole"
    train(recipe, data=start / "stage1.jsonl", start=stage1, out=first)
    stage = prepare(recipe, data=start / "stage2.jsonl", start=first)
    saved = load_file(first / "adapter_model.safetensors")
    found = {name.replace(".default", ""): value for name, value in stage.model.state_dict().items()}
    assert all(torch.equal(found[name], value) for name, value in saved.items())
    assert {name for name, weight in stage.model.named_parameters() if weight.requires_grad} == {
        name for name, _ in stage.model.named_parameters() if "lora_" in name
    }
    train(recipe, data=start / "stage2.jsonl", start=first, out=second)
    full = recipe.model_copy(update={"lora": None, "steps": 1})
    adapted = evaluation_loss(prepare(recipe, data=start / "stage2.jsonl", start=second))
    merged = evaluation_loss(prepare(full, data=start / "stage2.jsonl", start=second))
    assert merged == pytest.approx(adapted, rel=1e-4)
    train(full, data=start / "stage2.jsonl", start=second, out=whole)
    assert (whole / "model.safetensors").is_file()


@pytest.mark.slow
def test_both_stages_in_one_command(start: Path, stage2: Path, tmp_path: Path) -> None:
    data = ("--data", start / "stage1.jsonl", "--data", start / "stage2.jsonl")
    done = call("finetune", "train", "tiny", "--start", start, "--out", tmp_path, *data)
    assert done.code == 0, done.stderr
    made, expected = (
        load_file(tmp_path / "stage2" / "model.safetensors"),
        load_file(stage2 / "model.safetensors"),
    )
    assert all(torch.equal(made[name], expected[name]) for name in expected)


def test_epochs_are_counted_in_steps(start: Path) -> None:
    recipe = read_recipe(FIRST).model_copy(update={"steps": None, "epochs": 3})
    stage = prepare(recipe, data=start / "stage1.jsonl", start=start)
    seen = [
        row
        for numbers in islice(endless(stage.rows.lengths, layout_of(recipe, seed=0), skip=0), stage.steps)
        for row in numbers
    ]
    assert all(count >= 3 for count in Counter(seen).values())
    assert len(seen) < 3.2 * len(stage.rows.trained)


@pytest.mark.slow
@pytest.mark.kernel
def test_the_share_of_problems_solved_is_measured_and_changes_nothing(
    start: Path, stage1: Path, tmp_path: Path
) -> None:
    problems = tmp_path / "problems.jsonl"
    problems.write_text(
        "".join(json.dumps({"question": f"What is {n} + 1?", "answer": str(n + 1)}) + "\n" for n in range(3)),
        encoding="utf-8",
    )
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f"solve_every = 20\n{SECOND.read_text('utf-8')}", encoding="utf-8")
    data = ("--data", start / "stage2.jsonl", "--out", tmp_path / "out")
    done = call("finetune", "train", recipe, "--start", stage1, "--solve", problems, *data)
    assert done.code == 0, done.stderr
    shares = losses(tmp_path / "out", "solved")
    assert len(shares) == 2
    assert all(0 <= share <= 1 for share in shares)
    train(read_recipe(recipe), data=start / "stage2.jsonl", start=stage1, out=tmp_path / "plain")
    measured, plain = (load_file(tmp_path / name / "model.safetensors") for name in ("out", "plain"))
    assert all(torch.equal(measured[name], plain[name]) for name in plain)


def test_a_dry_run_says_what_a_stage_takes(start: Path) -> None:
    command = ["train", "tiny-stage1", "--start", start, "--out", start / "none"]
    command += ["--data", start / "stage1.jsonl", "--dry-run", "--gpus", "2", "--gpu", "h200", "--json"]
    done = call("finetune", *command)
    assert done.code == 0, done.stderr
    (cost,) = json.loads(done.stdout).values()
    assert (cost["steps"], cost["tokens"]) == (40, 40 * 1024)
    assert cost["trained_parameters"] == cost["parameters"] > 0
    assert not (start / "none").exists()


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Files of this process can't grow beyond `size` bytes: what a full disk does, without filling one."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_too_full_for_a_checkpoint_is_said_in_one_line(start: Path, tmp_path: Path) -> None:
    with (
        files_up_to(200_000),
        pytest.raises(InputError, match=r"can't write a checkpoint to .*: .*; what"),
    ):
        train(read_recipe(FIRST), data=start / "stage1.jsonl", start=start, out=tmp_path)
    assert not checkpoints(tmp_path)


@pytest.mark.parametrize(
    ("room", "what"),
    [
        pytest.param(500, "log.jsonl", id="log", marks=pytest.mark.slow),
        pytest.param(50_000, "the model to", id="weights"),
    ],
)
def test_a_disk_that_fills_up_late_loses_nothing(
    start: Path, stage1: Path, tmp_path: Path, room: int, what: str
) -> None:
    """Full after the last checkpoint, at step 30 of 40; with room again, the same command ends as if nothing was."""
    recipe = read_recipe(FIRST).model_copy(update={"checkpoint_every": 30, "solve_every": 35})
    with ExitStack() as full:

        def fill(training: TrainingRun) -> float:
            full.enter_context(files_up_to(room))
            return 0.0

        with pytest.raises(
            InputError, match=f"can't write .*{what}.*; what was written before is safe"
        ) as caught:
            train(recipe, data=start / "stage1.jsonl", start=start, out=tmp_path, solve_rate=fill)
    assert "\n" not in str(caught.value)
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-30"]
    train(recipe, data=start / "stage1.jsonl", start=start, out=tmp_path)
    made, expected = (load_file(folder / "model.safetensors") for folder in (tmp_path, stage1))
    assert all(torch.equal(made[name], expected[name]) for name in expected)
    assert losses(tmp_path) == losses(stage1)


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard shows of a stage: steps and values by name."""
    found = EventAccumulator(str(folder / "tensorboard"))
    found.Reload()
    return {
        name: [(event.step, event.value) for event in found.Scalars(name)] for name in found.Tags()["scalars"]
    }


def test_tensorboard_shows_what_the_log_says_also_after_an_interruption(start: Path, tmp_path: Path) -> None:
    recipe = read_recipe(FIRST).model_copy(update={"solve_every": 20})

    def stopped_once(training: TrainingRun) -> float:
        if not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            raise KeyboardInterrupt
        return 0.25

    def go() -> None:
        rows = start / "stage1.jsonl"
        train(
            recipe,
            data=rows,
            start=start,
            out=tmp_path,
            solve_rate=stopped_once,
            track=[Tracking.TENSORBOARD],
        )

    with pytest.raises(KeyboardInterrupt):
        go()
    go()
    logged: dict[str, list[tuple[int, object]]] = {}
    for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines():
        step, *values = json.loads(line).items()
        for name, value in values:
            logged.setdefault(name, []).append((step[1], pytest.approx(value)))
    assert set(logged) == {
        "loss", "gradient_norm", "learning_rate", "tokens", "tokens_per_s", "evaluation_loss", "solved"
    }  # fmt: skip
    assert curves(tmp_path) == logged


def test_a_tracker_that_is_not_installed_is_asked_for_by_its_extra(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"--track wandb needs .*mumath-agent\[finetune,wandb\]"):
        train(
            read_recipe(FIRST),
            data=start / "stage1.jsonl",
            start=start,
            out=tmp_path / "out",
            track=[Tracking.WANDB],
        )
    assert not (tmp_path / "out").exists()


def test_a_question_is_held_out_with_all_its_solutions(
    start: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    lines = (start / "stage1.jsonl").read_text("utf-8").splitlines()[:40]
    rows = [json.loads(line) for line in lines]
    data = tmp_path / "rows.jsonl"
    several = [{**row, "solution": f"{'So. ' * n}{row['solution']}"} for row in rows for n in range(5)]
    data.write_text("".join(json.dumps(row) + "\n" for row in several), encoding="utf-8")
    split = encoded_rows(read_recipe(FIRST), tokenizer, data)
    asked = [
        {tokenizer.decode(row.ids[: row.prompt_tokens].tolist()) for row in side}
        for side in (split.trained, split.held_out)
    ]
    assert not asked[0] & asked[1]
    assert 16 <= len(split.held_out) < 16 + 5  # eval_rows
    assert len(split.trained) + len(split.held_out) == 200


def test_a_finished_stage_is_left_alone(start: Path, stage1: Path) -> None:
    before = (stage1 / "model.safetensors").stat().st_mtime_ns
    train(read_recipe(FIRST), data=start / "stage1.jsonl", start=start, out=stage1)
    assert (stage1 / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize(("change", "what"), [({"seed": 5}, "recipe.seed"), ({}, "data_sha256")])
def test_a_folder_of_another_run_is_refused(
    start: Path, stage1: Path, change: dict[str, int], what: str
) -> None:
    recipe = read_recipe(FIRST).model_copy(update=change)
    data = start / ("stage2.jsonl" if what == "data_sha256" else "stage1.jsonl")
    with pytest.raises(InputError, match=f"made with {what} .*, now it is"):
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


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    done = call("finetune", "train", "no.toml", "--data", "x", "--start", "x", "--out", tmp_path)
    assert (done.code, done.stderr) == (2, "error: no such recipe: no.toml\n")
