"""The results file: nothing finished is lost or made twice, however a run ended."""

from dataclasses import replace
from pathlib import Path

import pytest

from mumath_agent.errors import InputError
from mumath_agent.records import Limits, Problem, RunRecord, Sampling, Settings, StopReason, Trajectory
from mumath_agent.runs.results import ResultsFile
from mumath_agent.transcript import Transcript

SETTINGS = Settings(model="m", dialect="fenced", limits=Limits(), sampling=Sampling())


def record(number: int, stop: StopReason = StopReason.ANSWERED) -> RunRecord:
    question = f"What is {number}?"
    return RunRecord(
        problem=Problem(id=str(number), question=question),
        settings=SETTINGS,
        isolation="none",
        version="0",
        trajectory=Trajectory(
            transcript=Transcript(question=question),
            completions=(),
            executions=(),
            answer=None,
            stop_reason=stop,
        ),
    )


@pytest.mark.parametrize("cut", [2, 10, 200])
def test_a_line_torn_by_a_crash_is_dropped_and_made_again(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "r.jsonl"
    results = ResultsFile(path)
    for number in (1, 2):
        results.append(record(number))
    path.write_bytes(path.read_bytes()[:-cut])
    resumed = ResultsFile(path)
    assert resumed.done(record(1).problem, 0, "") == record(1)
    assert resumed.done(record(2).problem, 0, "") is None
    resumed.append(record(2))
    assert len(path.read_text().splitlines()) == 2


def test_an_interrupted_run_ends_with_the_same_file_as_an_unbroken_one(tmp_path: Path) -> None:
    problems = [record(number).problem for number in range(4)]
    whole, broken = ResultsFile(tmp_path / "whole"), ResultsFile(tmp_path / "broken")
    for number in (2, 0, 1, 3):
        whole.append(record(number))
    for number in (3, 1):
        broken.append(record(number))
    resumed = ResultsFile(tmp_path / "broken")
    for problem in problems:
        if not resumed.done(problem, 0, ""):
            resumed.append(record(int(problem.id)))
    whole.sort(problems)
    resumed.sort(problems)
    assert (tmp_path / "broken").read_bytes() == (tmp_path / "whole").read_bytes()
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize("stop", [StopReason.MODEL_ERROR, StopReason.KERNEL_ERROR])
def test_an_attempt_lost_to_broken_machinery_is_made_again_and_leaves_one_line(
    tmp_path: Path, stop: StopReason
) -> None:
    path = tmp_path / "r"
    ResultsFile(path).append(record(1, stop))
    resumed = ResultsFile(path)
    assert resumed.done(record(1).problem, 0, "") is None
    resumed.append(record(1))
    resumed.sort([record(1).problem])
    assert path.read_text().count("\n") == 1


def test_results_of_other_settings_are_not_mixed_in(tmp_path: Path) -> None:
    results = ResultsFile(tmp_path / "r")
    results.append(record(1))
    results.check(SETTINGS)
    with pytest.raises(InputError, match="made with model m, now it is n"):
        results.check(replace(SETTINGS, model="n"))
    seeded = replace(SETTINGS, sampling=Sampling(seed=4))
    results.check(seeded)  # every attempt draws its own from the run's
    warm = replace(SETTINGS, sampling=Sampling(temperature=0.7))
    results.append(replace(record(1), sample=1, settings=warm))
    results.check(SETTINGS, warm)
    with pytest.raises(InputError, match=r"temperature 0\.7, now it is 0\.0"):
        results.check(SETTINGS)


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes\nmore\n")
    with pytest.raises(InputError, match="line 1 isn't a run record"):
        ResultsFile(path)
    assert path.read_text() == "my notes\nmore\n"
