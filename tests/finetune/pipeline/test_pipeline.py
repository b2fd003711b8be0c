"""Everything, from seeds to a measured model, in one command; interrupted, the same command goes on.

By day it runs once, undisturbed; killed three times, with a real vLLM, it is slow.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime_genai")

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.commands.run import run as benchmark
from finetune.data.augment.own import own_questions
from finetune.data.jobs import read_records
from finetune.data.records import Question
from finetune.data.seeds import same_form
from finetune.pipeline.all import SIZES, held_out_problems, making, measuring
from finetune.pipeline.steps import Ledger, Step, StepFailed
from finetune.training.recipe import read_stages
from mumath_agent.errors import InputError
from tests.programs import call

ROOT = Path(__file__).resolve().parents[3]


def command(work: Path, *options: object) -> list[str]:
    return [sys.executable, "-m", "finetune", "all", "--work", str(work), *map(str, options)]


def ended(work: Path) -> dict[str, dict[str, object]]:
    lines = [json.loads(line) for line in (work / "steps.jsonl").read_text("utf-8").splitlines()]
    assert len({line["name"] for line in lines}) == len(lines), "a step was done twice"
    return {line["name"]: line for line in lines}


def processes() -> Iterator[psutil.Process]:
    return psutil.process_iter(["cmdline"])


@pytest.mark.train
@pytest.mark.kernel
def test_one_command_makes_and_measures_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    monkeypatch.delenv("MUMATH_VLLM_PYTHON", raising=False)
    first = call("finetune", "all", "--work", work)
    assert first.code == 0, first.stderr
    steps = [*making(SIZES["tiny"], work, None), *measuring(work, None)]
    assert list(ended(work)) == [step.name for step in steps]
    card = (work / "exported" / "README.md").read_text("utf-8")
    right = re.search(r"(\d+\.\d)% right", str(ended(work)["benchmarks"]["said"]))
    assert right and f"| held-out.jsonl | 8 | {right[1]} % |" in card
    for name in ("seeds.jsonl", "augmented.jsonl", "cot.jsonl", "code.jsonl", "tiny stage 1", "tiny stage 2"):
        assert f"| {name} |" in card
    assert "6 of 6 prompts equal" in str(ended(work)["verify"]["said"])
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    again = call("finetune", "all", "--work", work, "--json")
    assert [step["name"] for step in json.loads(again.stdout)] == [step.name for step in steps]
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()} == before
    other = call("finetune", "all", "--work", work, "--size", "small")
    assert other.code != 0 and "name another --work" in other.stderr


def test_what_failed_is_done_again_and_what_ended_is_not(tmp_path: Path) -> None:
    called: list[str] = []

    def call(command: Sequence[str]) -> int:
        called.append(command[0])
        if called == ["first", "second"]:
            raise InputError("the teacher is away")
        print(f"{command[0]} is done")
        return 0

    steps = [Step(name=name, command=(name,)) for name in ("first", "second")]
    before = Ledger(tmp_path, {"size": "1"}, call)
    before.do(steps[0])
    with pytest.raises(StepFailed, match="second: the teacher is away"):
        before.do(steps[1])
    again = Ledger(tmp_path, {"size": "1"}, call)
    for step in (*steps, *steps):
        again.do(step)
    assert called == ["first", "second", "second"]
    assert [ended.said for ended in again.ended] == ["first is done", "second is done"]
    with pytest.raises(InputError, match="begun with size 1, now it is 2"):
        Ledger(tmp_path, {"size": "2"}, call)
    failing = Ledger(tmp_path, {"size": "1"}, lambda command: 1)
    with pytest.raises(StepFailed, match="exit code 1"):
        failing.do(Step(name="third", command=("third",)))


def test_a_work_folder_that_cannot_be_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="can't write to"):
        Ledger(tmp_path / "file", {}, len)


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.kernel
@pytest.mark.timeout(3600)
def test_killed_again_and_again_it_still_arrives(tmp_path: Path) -> None:
    """With a real vLLM where there is one."""
    for steps in (3, 8, 13):  # the last has made the server start
        running = subprocess.Popen(
            command(tmp_path), cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL
        )
        while not (tmp_path / "steps.jsonl").exists() or len(ended(tmp_path)) < steps:
            assert running.poll() is None
            time.sleep(0.02)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    while any(str(tmp_path) in " ".join(process.info["cmdline"] or ()) for process in processes()):
        time.sleep(0.5)  # for ever, if a server outlives what started it
    done = subprocess.run(command(tmp_path), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    engine = "vLLM" if "MUMATH_VLLM_PYTHON" in os.environ else "embedded engine"
    verified = str(ended(tmp_path)["verify"]["said"])
    assert "6 of 6 prompts equal" in verified and verified.endswith(engine)
    assert "right (" in str(ended(tmp_path)["benchmarks"]["said"])


def test_weights_are_for_the_embedded_engine_only() -> None:
    with pytest.raises(InputError, match="leave it or --base-url out"):
        benchmark("held-out.jsonl", base_url=["http://127.0.0.1:9"], weights=Path("exported"))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25)
def test_what_is_measured_is_no_seed(seed: int) -> None:
    own = own_questions(seed)
    seeds = {same_form(next(own).problem.question) for _ in range(20)}
    problems = list(held_out_problems(20, seed=seed))
    assert problems == list(held_out_problems(20, seed=seed))
    assert not seeds & {same_form(problem.question) for problem in problems}
    assert all(problem.target for problem in problems)


@pytest.mark.parametrize("name", SIZES)
def test_a_size_fits_its_recipe(name: str) -> None:
    assert {recipe.max_tokens for recipe in read_stages(Path(SIZES[name].recipe))} == {SIZES[name].max_tokens}


@pytest.mark.data
@pytest.mark.kernel
def test_gsm8k_gives_seeds_too(tmp_path: Path) -> None:
    data = Path(os.environ.get("MUMATH_DATA", ROOT.parent / "shared" / "data")) / "gsm8k" / "train.jsonl"
    if not data.is_file():
        pytest.skip(f"no {data}: set MUMATH_DATA to the folder of the benchmark files")
    seeds = next(step for step in making(SIZES["tiny"], tmp_path, data) if step.name == "seeds")
    held_out = next(step for step in making(SIZES["tiny"], tmp_path, data) if step.name == "held-out")
    for step in (held_out, seeds):
        assert call("finetune", *step.command).code == 0
    assert seeds.out is not None
    found = [question.problem.source for question in read_records(seeds.out, Question)]
    assert found.count("gsm8k") == found.count("own") == SIZES["tiny"].seeds
