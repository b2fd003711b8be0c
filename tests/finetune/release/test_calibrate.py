"""A curve that is fitted to answers says how often such answers are right."""

import json
from pathlib import Path
from random import Random

import pytest

from finetune.release.calibrate import fit
from mumath_agent.errors import InputError
from mumath_agent.models.calibration import FILE, Calibration
from mumath_agent.records import (
    Answer,
    AnswerSource,
    Completion,
    FinishReason,
    Limits,
    Outcome,
    Problem,
    RunRecord,
    Sampling,
    Settings,
    StopReason,
    Trajectory,
    Verdict,
    to_json,
)
from mumath_agent.transcript import Transcript
from tests.programs import call


def attempt(number: int, logprob: float | None, is_right: bool) -> RunRecord:
    return RunRecord(
        problem=Problem(id=str(number), question="q", target="1"),
        settings=Settings(model="m", dialect="fenced", limits=Limits(), sampling=Sampling()),
        isolation="full",
        version="0",
        trajectory=Trajectory(
            transcript=Transcript(question="q"),
            completions=(
                Completion(
                    text="1",
                    finish_reason=FinishReason.STOP,
                    prompt_tokens=1,
                    completion_tokens=1,
                    logprob=logprob,
                ),
            ),
            executions=(),
            answer=Answer(text="1", found_in=AnswerSource.BOXED),
            stop_reason=StopReason.ANSWERED,
        ),
        verdict=Verdict(outcome=Outcome.CORRECT if is_right else Outcome.INCORRECT, method="exact"),
    )


def drawn(curve: Calibration, number: int, seed: int) -> list[RunRecord]:
    """Draw attempts that are right as often as a curve says."""
    chance = Random(seed)
    sums = [-chance.uniform(0, 12) for _ in range(number)]
    return [attempt(n, total, chance.random() < right(curve, total)) for n, total in enumerate(sums)]


def right(curve: Calibration, total: float) -> float:
    return curve(attempt(0, total, False).trajectory.completions) or 0.0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("intercept", "slope"), [(1.0, 0.4), (3.0, 0.8), (-0.5, 0.1)])
def test_a_curve_is_found_again(intercept: float, slope: float, seed: int) -> None:
    found = fit(drawn(Calibration(intercept=intercept, slope=slope), 4000, seed))
    assert found.calibration.intercept == pytest.approx(intercept, abs=0.35)
    assert found.calibration.slope == pytest.approx(slope, abs=0.08)
    assert found.error < 0.05
    assert sum(each.attempts for each in found.bins) == found.attempts == 4000


def test_right_and_wrong_that_are_apart_give_a_curve_of_numbers() -> None:
    found = fit([attempt(n, -float(n), n < 50) for n in range(100)])
    assert all(0 <= each.confidence <= 1 for each in found.bins)
    assert found.calibration.slope > 0


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (
            [attempt(n, -1.0, n < 5) for n in range(100)],
            "100 answers with log-probabilities, 5 of them right",
        ),
        ([attempt(n, None, n < 50) for n in range(100)], "0 answers with log-probabilities"),
    ],
)
def test_too_little_to_tell_is_refused(records: list[RunRecord], said: str) -> None:
    with pytest.raises(InputError, match=said):
        fit(records)


def test_the_command_writes_what_the_model_reads(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    records = drawn(Calibration(intercept=1.0, slope=0.4), 300, 0)
    (run / "attempts.jsonl").write_text("".join(json.dumps(to_json(record)) + "\n" for record in records))
    ended = call("finetune", "calibrate", tmp_path, "--run", run)
    assert ended.code == 0, ended.stderr
    assert ended.stdout.splitlines()[-1].startswith("300 answers, ")
    assert Calibration.read(tmp_path) == fit(records).calibration
    assert len(json.loads((tmp_path / FILE).read_text())["reliability"]) == 5
