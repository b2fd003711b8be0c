"""A model comes to prefer what is right, off a file of attempts: no kernel and no engine, only files."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

from finetune.data.jobs import sha256
from mumath_agent.dialects import get_text_dialect
from mumath_agent.records import (
    Answer,
    AnswerSource,
    Execution,
    ExecutionStatus,
    Limits,
    Outcome,
    Problem,
    RunRecord,
    Sampling,
    Settings,
    StopReason,
    Trajectory,
    Verdict,
)
from mumath_agent.runs.jsonl import replace_lines
from mumath_agent.transcript import Transcript
from tests.finetune.pipeline.conftest import TAUGHT, solution
from tests.programs import call

pytestmark = [pytest.mark.train, pytest.mark.xdist_group("taught")]

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = "model.safetensors"


def record(question: str, number: int, *, sample: int) -> RunRecord:
    text, target = solution(number), TAUGHT[question]
    transcript = Transcript(question=question, segments=get_text_dialect("fenced").parse(text))
    return RunRecord(
        problem=Problem(id=question, question=question, target=str(target)),
        sample=sample,
        settings=Settings(model="taught", dialect="fenced", limits=Limits(), sampling=Sampling()),
        isolation="full",
        version="0",
        trajectory=Trajectory(
            transcript=transcript,
            completions=(),
            executions=(Execution(status=ExecutionStatus.OK, stdout=f"{number}\n"),),
            answer=Answer(text=str(number), found_in=AnswerSource.BOXED),
            stop_reason=StopReason.ANSWERED,
        ),
        verdict=Verdict(outcome=Outcome.CORRECT if number == target else Outcome.INCORRECT, method="number"),
    )


@pytest.fixture
def attempts(tmp_path: Path) -> Path:
    path = tmp_path / "attempts.jsonl"
    first, *others = TAUGHT
    pairs = [(question, TAUGHT[question] + wrong) for question in others for wrong in (0, 1)]
    records = [record(question, number, sample=n) for n, (question, number) in enumerate(pairs)]
    replace_lines(path, [record(first, TAUGHT[first], sample=99), *records])
    return path


def run(folder: Path, attempts: Path, out: Path, *options: object) -> list[str]:
    given = ("--start", folder / "model", "--attempts", attempts, "--out", out)
    return ["prefer", str(folder / "recipe.toml"), *map(str, (*given, *options))]


def test_what_is_right_is_preferred_more_than_before(folder: Path, attempts: Path, tmp_path: Path) -> None:
    done = call("finetune", *run(folder, attempts, tmp_path / "out", "--json"))
    assert done.code == 0, done.stderr
    manifest = json.loads((tmp_path / "out" / "stage.json").read_text("utf-8"))
    assert (manifest["pairs"], manifest["always_right"], manifest["never_right"]) == (len(TAUGHT) - 1, 1, 0)
    assert manifest["preferred"] == 1.0
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in log if "preferred" in line] == list(range(1, manifest["steps"] + 1))
    other = call("finetune", *run(folder, attempts, tmp_path / "out", "--beta", "0.5"))
    assert other.code == 2 and "beta" in " ".join(other.stderr.split())


def test_without_a_pair_it_is_said(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "attempts.jsonl"
    replace_lines(path, [record(question, TAUGHT[question], sample=0) for question in TAUGHT])
    done = call("finetune", *run(folder, path, tmp_path / "out"))
    assert done.code == 2 and "no question has a right and a wrong attempt" in " ".join(done.stderr.split())


@pytest.mark.slow
def test_killed_it_ends_with_the_same_weights(folder: Path, attempts: Path, tmp_path: Path) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert call("finetune", *run(folder, attempts, unbroken)).code == 0
    command = [sys.executable, "-m", "finetune", *run(folder, attempts, broken)]
    for seen in ("checkpoint-2", "checkpoint-4"):
        running = subprocess.Popen(
            command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not (broken / seen).exists():
            assert running.poll() is None
            time.sleep(0.002)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    assert call("finetune", *run(folder, attempts, broken)).code == 0
    assert sha256(broken / WEIGHTS) == sha256(unbroken / WEIGHTS) != sha256(folder / "model" / WEIGHTS)
