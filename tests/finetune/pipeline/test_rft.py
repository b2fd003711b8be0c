"""Rounds of rejection sampling with a model that was taught to be right every other time.

By day one round, undisturbed, and what ends rounds; killed again and again it is slow.
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

from finetune.data.records import Solution
from finetune.pipeline.rft import Rounds
from finetune.training.recipe import RECIPES
from mumath_agent.records import from_json, to_json
from mumath_agent.runs.jsonl import load_records
from tests.finetune.pipeline.conftest import TAUGHT
from tests.programs import call

pytestmark = [pytest.mark.train, pytest.mark.kernel, pytest.mark.model, pytest.mark.xdist_group("taught")]

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def embedded_engine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUMATH_VLLM_PYTHON", raising=False)


def rounds(folder: Path, work: Path, *options: object, temperature: float = 1) -> list[str]:
    given = ("--start", folder / "model", "--questions", folder / "questions.jsonl")
    measured = ("--held-out", folder / "held-out.jsonl", "--work", work, "--max-new-tokens", 60)
    more = (*given, *measured, "--temperature", temperature, *options)
    return ["rft", str(folder / "recipe.toml"), *map(str, more)]


def manifest(work: Path) -> Rounds:
    return from_json(Rounds, json.loads((work / "rft.json").read_text("utf-8")))


def test_rounds_learn_from_what_is_sometimes_solved(folder: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    command = rounds(folder, work, "--rounds", 2, "--no-stop")
    done = call("finetune", *command)
    assert done.code == 0, done.stderr
    first, *others = manifest(work).rounds
    assert (first.questions, first.gain, first.rows) == ({}, None, 0)
    for one in others:
        assert sum(one.questions.values()) == len(TAUGHT) and one.questions["sometimes solved"]
        assert one.gain is not None and one.gain.low <= one.gain.value <= one.gain.high
        rows = load_records(work / f"round-{one.number}" / "rows.jsonl", Solution)
        assert len(rows) == one.rows > 0
        assert all(f"boxed{{{TAUGHT[row.question]}}}" in row.solution for row in rows)
    assert first.weights_sha256 not in {one.weights_sha256 for one in others}
    assert "all rounds are made; best: round 0" in done.stdout and "round 2: " in done.stdout
    before = {path: path.stat().st_mtime_ns for path in (work / "round-2").rglob("*") if path.is_file()}
    again = call("finetune", *command, "--json")
    assert json.loads(again.stdout) == to_json(manifest(work))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    other = call("finetune", *rounds(folder, work, "--rounds", 2, "--no-stop", temperature=0.5))
    assert other.code == 2 and "temperature 1" in " ".join(other.stderr.split())


def test_rounds_end_when_one_helped_no_more(folder: Path, tmp_path: Path) -> None:
    """Two problems are too few to see any gain: the first round is the last."""
    done = call("finetune", *rounds(folder, tmp_path, "--rounds", 3, "--from-last", "--json"))
    assert done.code == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["rounds"]) == 2
    assert (found["ended"], found["best"]) == ("round 1 helped no more", 0)


def test_without_a_question_that_is_sometimes_solved_there_is_no_round(folder: Path, tmp_path: Path) -> None:
    done = call("finetune", *rounds(folder, tmp_path, "--json", temperature=0))
    assert done.code == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["rounds"]) == 1 and found["ended"] == "in round 1 no question was solved sometimes"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe": RECIPES / "tiny-stage1.toml"}, "makes a new model"),
        ({"recipe": "tiny"}, "has 2 stages"),
        ({"--held-out": "unanswered.jsonl"}, "has no answer to compare with"),
        ({"--held-out": "nowhere.jsonl"}, "nowhere.jsonl"),
        ({"--questions": "nowhere.jsonl"}, "nowhere.jsonl"),
        ({"--start": "tokenizer"}, "holds no weights"),
    ],
)
def test_what_rounds_cannot_begin_with_is_said(
    folder: Path, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    command = rounds(folder, tmp_path)
    for name, value in changes.items():
        place = 1 if name == "recipe" else command.index(name) + 1
        command[place] = str(value if name == "recipe" else folder / str(value))
    done = call("finetune", *command)
    assert done.code == 2 and said in " ".join(done.stderr.split()), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--from-base", "--from-last"])
def test_killed_in_any_step_it_ends_with_the_same_weights(folder: Path, tmp_path: Path, option: str) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    options = ("--rounds", 2, "--no-stop", option)
    assert call("finetune", *rounds(folder, unbroken, *options)).code == 0
    command = [sys.executable, "-m", "finetune", *rounds(folder, broken, *options)]
    for ended in range(0, 14, 2):  # steps that have ended at the kill; the next one has begun, or soon will
        running = subprocess.Popen(
            command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not (broken / "steps.jsonl").exists() or count_lines(broken / "steps.jsonl") < ended:
            assert running.poll() is None
            time.sleep(0.005)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    done = call("finetune", *rounds(folder, broken, *options))
    assert done.code == 0, done.stderr
    weights = [[one.weights_sha256 for one in manifest(work).rounds] for work in (unbroken, broken)]
    assert weights[0] == weights[1] and len(set(weights[0])) == 3


def count_lines(path: Path) -> int:
    return path.read_text("utf-8").count("\n")
