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
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import psutil
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime_genai")

from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.commands.all import embedded
from finetune.data.augment.own import own_questions
from finetune.data.held_out import held_out_problems, write_held_out
from finetune.data.jobs import read_manifest
from finetune.data.records import Question
from finetune.data.seeds import SeedsConfig, same_form, seeds
from finetune.pipeline.plans import PLANS, Plan, Size, Synthesis, WordProblems
from finetune.pipeline.steps import StepFailed, Steps
from finetune.training.recipe import read_stages
from mumath_agent.errors import InputError
from mumath_agent.runs.jsonl import load_records
from tests.programs import call
from tests.toy import toy_as_default

ROOT = Path(__file__).resolve().parents[3]
STEPS = (
    *("held-out", "seeds", "augment"),
    *("synthesize cot, seeds", "synthesize cot, augmented", "select cot"),
    *("synthesize code, seeds", "synthesize code, augmented", "select code"),
    *("tokenizer", "audit", "train", "export", "verify", "benchmarks", "card"),
)


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
    work, few = tmp_path / "work", Synthesis(seeds=10, samples=2)  # every step does its work with as many
    monkeypatch.setitem(cast(dict[Size, Plan], PLANS), Size.TINY, replace(PLANS[Size.TINY], rows=few))
    monkeypatch.delenv("MUMATH_VLLM_PYTHON", raising=False)
    with toy_as_default():  # it teaches
        first = call("finetune", "all", "--work", work)
    assert first.code == 0, first.stderr
    assert list(ended(work)) == list(STEPS)
    card = (work / "exported" / "README.md").read_text("utf-8")
    right = re.match(r"run: (\d+\.\d)% right \(", str(ended(work)["benchmarks"]["summary"]))
    assert right and f"| held-out.jsonl | 8 | {right[1]} % |" in card
    for name in ("seeds.jsonl", "augmented.jsonl", "cot.jsonl", "code.jsonl", "tiny stage 1", "tiny stage 2"):
        assert f"| {name} |" in card
    assert "6 of 6 prompts equal" in str(ended(work)["verify"]["summary"])
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    again = call("finetune", "all", "--work", work, "--json")
    assert [step["name"] for step in json.loads(again.stdout)] == list(STEPS)
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()} == before
    other = call("finetune", "all", "--work", work, "--size", "small")
    assert other.code == 2 and "seeds 10, now it is 480" in " ".join(other.stderr.split())


def test_what_failed_is_done_again_and_what_ended_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []

    def work(name: str) -> int | str:
        done.append(name)
        print(f"{name} prints")
        if done == ["first", "second"]:
            raise InputError("the teacher is away")
        return 7 if name == "first" else f"{name} is done"

    before = Steps(tmp_path, {"size": 1})
    before.do("first", lambda: work("first"))
    with pytest.raises(StepFailed, match=r"second: the teacher is away; see .*second\.log"):
        before.do("second", lambda: work("second"))
    again = Steps(tmp_path, {"size": 1})
    for name in ("first", "second", "first", "second"):
        again.do(name, lambda name=name: work(name))  # type: ignore[misc]
    assert done == ["first", "second", "second"]
    assert [(report.rows, report.summary) for report in again.reports] == [(7, ""), (None, "second is done")]
    assert again.log("second").read_text("utf-8") == "second prints\n" and not capsys.readouterr().out
    with pytest.raises(InputError, match="was made with size 1, now it is 2"):
        Steps(tmp_path, {"size": 2})


@pytest.mark.parametrize("torn", ["", '{"name": "second", "ro'])
def test_a_step_counts_when_its_line_is_whole(tmp_path: Path, torn: str) -> None:
    Steps(tmp_path, {}).do("first", lambda: 1)
    with (tmp_path / "steps.jsonl").open("a", encoding="utf-8") as file:
        file.write(torn)
    again = Steps(tmp_path, {})
    assert again.has("first") and not again.has("second")
    again.do("second", lambda: 2)
    assert list(ended(tmp_path)) == ["first", "second"]


def test_what_lies_around_steps_is_a_step_with_its_own_time(tmp_path: Path) -> None:
    told: list[str] = []
    steps = Steps(tmp_path, {}, on_end=lambda report: told.append(report.name))
    with steps.clocked("server"):
        steps.do("inside", lambda: "")
    again = Steps(tmp_path, {}, on_end=lambda report: told.append(report.name))
    for name in ("inside", "server", "other"):
        again.repeat(name)
    assert told == ["inside", "server"] * 2


def test_a_work_folder_that_cannot_be_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="can't write to"):
        Steps(tmp_path / "file", {})


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
    verified = str(ended(tmp_path)["verify"]["summary"])
    assert "6 of 6 prompts equal" in verified and verified.endswith(engine)
    assert "right (" in str(ended(tmp_path)["benchmarks"]["summary"])


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.kernel
def test_the_embedded_model_is_made_by_the_same_steps_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = WordProblems(thought_rows=300, code_rows=300)
    monkeypatch.setitem(cast(dict[Size, Plan], PLANS), Size.EMBEDDED, replace(PLANS[Size.TINY], rows=rows))
    work, out = tmp_path / "work", tmp_path / "out"
    embedded(work=work, out=out)
    assert list(ended(work)) == ["held-out", "corpus cot", "corpus code", *STEPS[9:]]
    names = {file.name for file in (work / "exported").iterdir()}
    assert {file.name for file in out.iterdir()} == names
    assert "| held-out.jsonl | 8 |" in (out / "README.md").read_text("utf-8")
    assert read_manifest(work / "code.jsonl").counts["template"] > 200


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_what_is_measured_is_no_seed(seed: int) -> None:
    own = own_questions(seed)
    seeds = {same_form(next(own).problem.question) for _ in range(20)}
    problems = list(held_out_problems(20, seed=seed))
    assert problems == list(held_out_problems(20, seed=seed))
    assert not seeds & {same_form(problem.question) for problem in problems}
    assert all(problem.target for problem in problems)


@pytest.mark.parametrize("size", Size)
def test_a_plan_has_a_recipe_for_two_stages(size: Size) -> None:
    assert len(read_stages(Path(PLANS[size].recipe))) == 2


@pytest.mark.anyio
@pytest.mark.data
async def test_gsm8k_gives_seeds_too(tmp_path: Path) -> None:
    data = Path(os.environ.get("MUMATH_DATA", ROOT.parent / "shared" / "data")) / "gsm8k" / "train.jsonl"
    if not data.is_file():
        pytest.skip(f"no {data}: set MUMATH_DATA to the folder of the benchmark files")
    rows = PLANS[Size.TINY].rows
    assert isinstance(rows, Synthesis)
    held_out, out = tmp_path / "held-out.jsonl", tmp_path / "seeds.jsonl"
    write_held_out(held_out, size=8)
    await seeds(SeedsConfig(out=out, gsm8k=data, own=rows.seeds, limit=rows.seeds, not_in=(held_out,)))
    found = [question.problem.source for question in load_records(out, Question)]
    assert found.count("gsm8k") == found.count("own") == rows.seeds
