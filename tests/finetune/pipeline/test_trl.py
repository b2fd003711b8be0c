"""The examples for TRL, in an environment of its own: real steps of its GRPO, of models that are right sometimes.

They are slow: TRL's environment is made first, and importing it alone takes ten seconds of computing.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("torch")

from finetune.data.jobs import sha256
from mumath_agent.runs.jsonl import replace_lines
from tests.finetune.pipeline.conftest import TAUGHT
from tests.trl_env import NoTrl, trl_python

pytestmark = [pytest.mark.train, pytest.mark.kernel, pytest.mark.model, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[3]
STEPS = 2
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def python() -> Path:
    try:
        return trl_python()
    except NoTrl as error:
        pytest.skip(str(error))


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "problems.jsonl"
    replace_lines(path, ({"question": q, "answer": str(number)} for q, number in TAUGHT.items()))
    return path


def run(python: Path, *arguments: object) -> str:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MUMATH_")},
        "HF_HUB_OFFLINE": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }
    command = [str(python), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_trl_learns_from_our_rollouts(python: Path, folder: Path, problems: Path, tmp_path: Path) -> None:
    out, size = tmp_path / "out", ("--steps", STEPS, "--max-new-tokens", 60)
    said = run(python, ROOT / "examples" / "trl_rollouts.py", folder / "model", problems, "--out", out, *size)
    rewards = [float(found) for found in re.findall(r"^step \d+: reward ([\d.]+)", said, re.MULTILINE)]
    assert len(rewards) == STEPS and 0 < max(rewards) < 1
    assert sha256(out / WEIGHTS) != sha256(folder / "model" / WEIGHTS)


def test_trl_learns_in_our_environment(python: Path, problems: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "model", tmp_path / "out"
    run(python, ROOT / "tests" / "trl_chat_model.py", model, problems)
    size = ("--steps", STEPS, "--tokens", 160, "--cpu")
    said = run(python, ROOT / "examples" / "trl_environment.py", model, problems, "--out", out, *size)
    steps = re.findall(r"^step \d+: reward ([\d.]+), calls ([\d.]+)", said, re.MULTILINE)
    assert len(steps) == STEPS and 0 < max(float(reward) for reward, _ in steps) < 1
    assert max(float(calls) for _, calls in steps) > 0
    assert sha256(out / WEIGHTS) != sha256(model / WEIGHTS)
    assert json.loads((out / "config.json").read_text("utf-8"))["model_type"] == "llama"
