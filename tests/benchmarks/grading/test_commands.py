"""`grade-pairs` and `regrade`, as a user calls them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from benchmarks.commands.grading import grade_pairs, regrade
from benchmarks.grading.fuzz import KINDS, fuzzed
from benchmarks.grading.pairs import Agreement, ExpectedPair, GradedPair, KindCounts, load_pairs
from benchmarks.perf.grading import measure
from benchmarks.runs import load_run
from mumath_agent.errors import InputError
from mumath_agent.records import (
    Answer,
    AnswerSource,
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
from mumath_agent.runs.locks import only_writer
from mumath_agent.transcript import Kind, Segment, Transcript

app = typer.Typer()
app.command()(grade_pairs)
app.command()(regrade)


def _call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _file(folder: Path, *lines: object) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def _pair(gold: object, pred: object, equal: object) -> dict[str, object]:
    return {"gold": gold, "pred": pred, "equal": equal}


AGREED = [
    _pair("5", "5.0", True),
    _pair(0.5, r"\frac{1}{2}", True),
    _pair("x+1", "1+x", True),
    _pair(5, 6, False),
    _pair("5", None, None),
    _pair(r"\frac{", "5", None),
    _pair("5", "10^{10^{8}}", None),
    _pair(12345678901234567890123, "12345678901234567890124", False),
]


def test_agreement_is_exit_code_0_and_one_json_document(tmp_path: Path) -> None:
    result = _call("grade-pairs", _file(tmp_path, *AGREED), "--json", "--timeout", "0.5")
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert list(found) == ["n", "agreed", "agreement", "seconds", "pairs_per_s", "kinds", "differing"]
    assert (found["n"], found["agreed"], found["agreement"], found["differing"]) == (8, 8, 1.0, [])
    assert found["pairs_per_s"] == pytest.approx(found["n"] / found["seconds"], rel=0.05)


def test_differing_rows_are_listed_and_exit_code_1(tmp_path: Path) -> None:
    rows = [_pair("5", "6", True), *AGREED[:2], _pair("5", "5", None), _pair(r"\frac{", "5", False)]
    path = _file(tmp_path, "", *rows)
    result = _call("grade-pairs", path, "--json", "--workers", "2")
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (found["n"], found["agreed"]) == (5, 2)
    assert [(row["line"], row["equal"], row["outcome"]) for row in found["differing"]] == [
        (2, True, "incorrect"),
        (5, None, "correct"),
        (6, False, "ungraded"),
    ]
    shown = _call("grade-pairs", path).stdout
    assert "2 of 5 agree (40.00%)" in shown and "[/" not in shown


@pytest.mark.worker
def test_no_made_pair_is_falsely_equal_and_the_same_seed_makes_the_same_pairs() -> None:
    """The kinds are those of `fuzz.py`; a night's run takes another seed (`test_fuzz.py`)."""
    found = json.loads(_call("grade-pairs", "--fuzz", len(KINDS) * 12, "--seed", 1, "--json").stdout)
    assert {
        name: (counts["n"], counts["false_equal"]) for name, counts in found["kinds"].items()
    } == dict.fromkeys(KINDS, (12, 0))
    assert found["differing"] == []
    assert fuzzed(100, 7) == fuzzed(100, 7) != fuzzed(100, 8)


@pytest.mark.worker
def test_kinds_are_shown_and_the_seed_is_said() -> None:
    shown = _call("grade-pairs", "--fuzz", 40)
    assert "--seed " in shown.stderr and "false unequal" in shown.stdout and "choices" in shown.stdout


def test_what_is_falsely_equal_and_unequal_is_counted() -> None:
    outcomes = [
        (True, Outcome.INCORRECT),
        (False, Outcome.CORRECT),
        (False, Outcome.UNGRADED),
        (True, Outcome.CORRECT),
    ]
    rows = [
        GradedPair(
            pair=ExpectedPair(line=1, gold="5", pred="5", equal=equal, kind="k"),
            verdict=Verdict(outcome=outcome, method="text"),
        )
        for equal, outcome in outcomes
    ]
    assert Agreement(graded=tuple(rows), seconds=1.0).kinds == {"k": KindCounts(4, 1, 1, 1)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give either a file of pairs or --fuzz"),
        (["p.jsonl", "--fuzz", "5"], "give either a file of pairs or --fuzz"),
        (["p.jsonl", "--seed", "5"], "--seed goes with --fuzz"),
    ],
)
def test_a_file_and_made_pairs_exclude_each_other(arguments: list[str], said: str) -> None:
    assert said in str(_call("grade-pairs", *arguments).exception)


def test_brackets_in_an_answer_are_no_markup(tmp_path: Path) -> None:
    assert "[bold]x[/red]" in _call("grade-pairs", _file(tmp_path, _pair("5", "[bold]x[/red]", True))).stdout


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 1 is left out"),
        ("[1]", "it isn't a JSON object"),
        ('{"pred": "5", "equal": true}', '"gold" is missing'),
        ('{"gold": ["5"], "pred": "5", "equal": true}', '"gold" is ["5"]'),
        ('{"gold": "5", "equal": true}', '"pred" is missing'),
        ('{"gold": "5", "pred": "5"}', '"equal" is missing'),
        ('{"gold": "5", "pred": "5", "equal": "yes"}', '"equal" is "yes"'),
        ('{"gold": "5", "pred": "5", "equal": 1}', '"equal" is "1"'),
        ("[" * 100_000, "line 1 is left out"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_goes_on(tmp_path: Path, line: str, words: str) -> None:
    result = _call("grade-pairs", _file(tmp_path, line, AGREED[0]), "--json")
    assert words in result.stderr and json.loads(result.stdout)["n"] == 1
    assert (result.exit_code, result.stderr.count("\n")) == (0, 1)


@pytest.mark.parametrize("name", ["pairs.jsonl", "missing.jsonl", "."])
def test_a_file_without_pairs_is_refused(tmp_path: Path, name: str) -> None:
    _file(tmp_path, "{}")
    result = _call("grade-pairs", tmp_path / name)
    assert isinstance(result.exception, InputError)


@given(st.sampled_from(Outcome), st.sampled_from([True, False, None]))
def test_what_agrees(outcome: Outcome, equal: bool | None) -> None:
    row = GradedPair(
        pair=ExpectedPair(line=1, gold="5", pred="5", equal=equal),
        verdict=Verdict(outcome=outcome, method="text"),
    )
    assert row.agrees is (
        (outcome is Outcome.CORRECT, outcome is Outcome.INCORRECT) == (equal is True, equal is False)
    )


def test_no_text_makes_reading_pairs_raise(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b'\xff\x00{"gold"\n{"gold": "\\ud800", "pred": "5", "equal": false}\nnull\n\n')
    assert [type(item) for item in load_pairs(path)] == [InputError, ExpectedPair, InputError]
    assert _call("grade-pairs", path, "--json").exit_code in (0, 1)


def _record(
    number: int,
    text: str,
    target: str | None,
    verdict: Outcome | None = None,
    stop_reason: StopReason = StopReason.ANSWERED,
) -> RunRecord:
    return RunRecord(
        problem=Problem(id=f"p{number}", question=f"question {number}", target=target),
        settings=Settings(model="m", dialect="fenced", limits=Limits(), sampling=Sampling()),
        isolation="none",
        version="0",
        trajectory=Trajectory(
            transcript=Transcript(
                question=f"question {number}", segments=(Segment(kind=Kind.RATIONALE, text=text),)
            ),
            completions=(),
            executions=(),
            answer=Answer(text="old", found_in=AnswerSource.PHRASE),
            stop_reason=stop_reason,
        ),
        verdict=None if verdict is None else Verdict(outcome=verdict, method="text"),
    )


RECORDS = [
    _record(0, r"So \boxed{1+x}.", "x+1", Outcome.INCORRECT),
    _record(1, r"So \boxed{5}.", "5", Outcome.CORRECT),
    _record(2, r"So \boxed{5}.", "6"),
    _record(3, r"So \boxed{5}.", "5", stop_reason=StopReason.MAX_TOKENS),
    _record(4, r"So \boxed{5}.", "5", stop_reason=StopReason.KERNEL_ERROR),
    _record(5, r"So \boxed{5}.", None),
    _record(6, "Nothing.", "5", Outcome.CORRECT),
]


def test_a_run_is_graded_again_without_generating(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    replace_lines(path, RECORDS)
    result = _call("regrade", path, "--json")
    found, after = json.loads(result.stdout), load_run(path).records
    assert result.exit_code == 0 and found["n"] == len(RECORDS)
    assert found["before"] == {"correct": 2, "incorrect": 1, "no_answer": 0, "ungraded": 0, "not graded": 4}
    assert found["after"] == {"correct": 2, "incorrect": 1, "no_answer": 2, "ungraded": 0, "not graded": 2}
    assert [row["id"] for row in found["flipped"]] == ["p0", "p2", "p3", "p6"]
    assert after[0].trajectory.answer == Answer(text="1+x", found_in=AnswerSource.BOXED)
    assert after[3].trajectory.answer is None
    assert after[4] == RECORDS[4]
    assert (after[5].trajectory.answer, after[5].verdict) == (
        Answer(text="5", found_in=AnswerSource.BOXED),
        None,
    )
    assert json.loads(_call("regrade", path, "--json").stdout)["flipped"] == []
    assert "not graded" in _call("regrade", path).stdout


def test_another_file_may_be_written(tmp_path: Path) -> None:
    path, out = tmp_path / "run.jsonl", tmp_path / "again.jsonl"
    replace_lines(path, RECORDS)
    before = path.read_bytes()
    assert _call("regrade", path, "--out", out).exit_code == 0
    assert path.read_bytes() == before
    assert [r.problem for r in load_run(out).records] == [r.problem for r in RECORDS]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.jsonl", "run.jsonl"]


def test_a_run_that_is_being_written_is_refused(tmp_path: Path) -> None:
    replace_lines(tmp_path / "attempts.jsonl", RECORDS)
    with only_writer(tmp_path / "attempts.jsonl"):
        result = _call("regrade", tmp_path)
    assert isinstance(result.exception, InputError) and "in use" in str(result.exception)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    replace_lines(path, RECORDS)
    before = path.read_bytes()
    broken = replace(RECORDS[0], version="\ud800")
    with pytest.raises(UnicodeEncodeError):
        replace_lines(path, [*RECORDS, broken])
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["run.jsonl"]


@pytest.mark.slow
def test_every_row_of_the_graders_speed_is_measured() -> None:
    rows = measure(quick=True)
    assert len(rows) >= 5 and all(row.ours for row in rows)
