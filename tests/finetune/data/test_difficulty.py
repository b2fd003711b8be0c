"""Questions are told apart by how often they are solved; what nobody could grade doesn't count."""

from pathlib import Path

import pytest

from finetune.data.difficulty import Difficulty, keep_sometimes
from mumath_agent.errors import InputError
from mumath_agent.records import (
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
from mumath_agent.runs.jsonl import load_records, replace_lines
from mumath_agent.transcript import Transcript

RIGHT, WRONG, NONE, UNGRADED = Outcome.CORRECT, Outcome.INCORRECT, Outcome.NO_ANSWER, Outcome.UNGRADED


def record(name: str, sample: int, outcome: Outcome | None) -> RunRecord:
    return RunRecord(
        problem=Problem(id=name, question=f"{name}?", target="5"),
        sample=sample,
        settings=Settings(model="scripted", dialect="fenced", limits=Limits(), sampling=Sampling()),
        isolation="none",
        version="0",
        trajectory=Trajectory(
            transcript=Transcript(question=f"{name}?"),
            completions=(),
            executions=(),
            answer=None,
            stop_reason=StopReason.NO_ANSWER,
        ),
        verdict=Verdict(outcome=outcome, method="number") if outcome else None,
    )


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((RIGHT, WRONG), Difficulty.SOMETIMES),
        ((RIGHT, NONE, UNGRADED), Difficulty.SOMETIMES),
        ((RIGHT, RIGHT), Difficulty.ALWAYS),
        ((RIGHT, UNGRADED, None), Difficulty.ALWAYS),
        ((WRONG, NONE), Difficulty.NEVER),
        ((WRONG, UNGRADED), Difficulty.NEVER),
        ((UNGRADED, None), Difficulty.UNKNOWN),
    ],
)
def test_only_what_is_sometimes_solved_is_kept(
    tmp_path: Path, outcomes: tuple[Outcome | None, ...], expected: Difficulty
) -> None:
    of_one = [record("one", sample, outcome) for sample, outcome in enumerate(outcomes)]
    of_other = [record("other", 0, RIGHT), record("other", 1, WRONG)]
    replace_lines(tmp_path / "in.jsonl", [of_other[0], *of_one, of_other[1]])
    counts = keep_sometimes(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    wanted = dict.fromkeys(Difficulty, 0) | {Difficulty.SOMETIMES: 1}
    assert counts == wanted | {expected: wanted[expected] + 1}
    kept = load_records(tmp_path / "out.jsonl", RunRecord)
    others = [one for one in kept if one.problem.id == "one"]
    assert [one for one in kept if one.problem.id == "other"] == of_other
    assert others == (of_one if expected is Difficulty.SOMETIMES else [])


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 1"):
        keep_sometimes(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
