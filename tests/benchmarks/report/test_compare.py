"""Comparisons: the arithmetic against enumeration and simulation, the verdicts against what they claim."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmarks.commands.reports import compare as command
from benchmarks.report.attempts import Cause
from benchmarks.report.compare import Better, Comparison, compare
from benchmarks.report.compare_layout import warnings
from benchmarks.runs import Run
from mumath_agent.errors import InputError
from mumath_agent.records import Limits, Outcome, RunRecord, StopReason, from_json, to_json
from mumath_agent.runs.jsonl import dump_line
from mumath_agent.runs.paired import RESAMPLES, difference, more_problems

Attempt = Callable[..., RunRecord]
CORRECT, WRONG = Outcome.CORRECT, Outcome.INCORRECT


def run(name: str, *records: RunRecord) -> Run:
    return Run(path=Path(name), manifest=None, records=records)


def single(attempt: Attempt, name: str, scores: str) -> Run:
    """Return a run with one attempt per problem: "1" is correct, "0" is wrong."""
    outcomes = {"1": CORRECT, "0": WRONG}
    return run(name, *(attempt(f"p{n}", outcomes[score]) for n, score in enumerate(scores)))


# --- the arithmetic


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 20))
def test_p_of_flips_is_the_share_of_coin_tosses_at_least_as_uneven(won: int, lost: int, same: int) -> None:
    change = np.array([1.0] * won + [-1.0] * lost + [0.0] * (same + 1))
    tosses = [abs(sum(toss)) for toss in product((1, -1), repeat=won + lost)]
    found = difference(change)
    assert found.test.startswith("McNemar")
    assert found.p == pytest.approx(np.mean([toss >= abs(won - lost) for toss in tosses]))


@given(st.lists(st.sampled_from([-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 1]), min_size=1, max_size=9))
def test_p_of_several_samples_is_the_share_of_swaps_that_differ_as_much(changes: list[float]) -> None:
    change = np.array([*changes, 0.25])
    swaps = [abs(np.dot(signs, change)) for signs in product((1, -1), repeat=len(change))]
    expected = np.mean([swap >= abs(change.sum()) - 1e-9 for swap in swaps])
    found = difference(change)
    assert found.test == "paired permutation"
    assert found.p == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(RESAMPLES))


@given(st.lists(st.sampled_from([-1, -0.5, 0, 0.5, 1]), min_size=1, max_size=30))
def test_the_interval_holds_the_difference_and_turns_with_it(changes: list[float]) -> None:
    change = np.array(changes, dtype=float)
    here, there = difference(change), difference(-change)
    assert here.value == pytest.approx(change.mean())
    assert -1 <= here.low <= here.value + 1e-9
    assert here.value - 1e-9 <= here.high <= 1
    assert there.low == pytest.approx(-here.high, abs=1 / len(change) + 1e-9)  # it moves in steps
    assert here.p == pytest.approx(there.p, abs=0.02)


@pytest.mark.parametrize(
    ("gains", "losses", "problems"),
    [
        (0.05, 0.02, 60),
        (0.08, 0.0, 60),
        *(
            pytest.param(*row, marks=pytest.mark.slow)  # thousands of resamplings each
            for row in ((0.01, 0.01, 60), (0.3, 0.2, 60), (0.05, 0.02, 500))
        ),
    ],
)
def test_the_interval_holds_the_truth_19_times_out_of_20(gains: float, losses: float, problems: int) -> None:
    draw = np.random.default_rng(7)
    changes = draw.choice([1.0, -1.0, 0.0], p=[gains, losses, 1 - gains - losses], size=(200, problems))
    found = [difference(change) for change in changes]
    held = np.mean([one.low <= gains - losses <= one.high for one in found])
    assert held >= 0.91


def test_no_flip_is_no_certainty_and_less_so_the_fewer_problems() -> None:
    few, many = difference(np.zeros(10)), difference(np.zeros(1000))
    assert few.low < -0.05 < 0.05 < few.high
    assert -0.01 < many.low < 0 < many.high < 0.01
    assert few.p == many.p == 1


@pytest.mark.parametrize(("gains", "losses"), [(0.06, 0.03), (0.2, 0.12)])
def test_as_many_problems_as_asked_for_show_the_difference_four_times_out_of_five(
    gains: float, losses: float
) -> None:
    counts = {1.0: round(100 * gains), -1.0: round(100 * losses)}
    observed = np.zeros(100)
    observed[: counts[1.0]], observed[counts[1.0] : counts[1.0] + counts[-1.0]] = 1, -1
    more = more_problems(observed, margin=0.01)
    assert more is not None
    draw = np.random.default_rng(3)
    shape = (150, 100 + more)
    changes = draw.choice([1.0, -1.0, 0.0], p=[gains, losses, 1 - gains - losses], size=shape)
    seen = np.mean([difference(change).p < 0.05 for change in changes])
    assert 0.68 <= seen <= 0.94


def test_a_difference_of_nothing_would_take_for_ever() -> None:
    assert more_problems(np.zeros(10), margin=0.0) is None
    assert more_problems(np.array([]), margin=0.01) is None


# --- the verdict


@pytest.mark.parametrize(
    ("a", "b", "margin", "better", "words"),
    [
        ("0" * 20 + "1" * 80, "1" * 100, 0.01, Better.B, "B is better by 20 points (95 % interval 12."),
        ("1" * 100, "0" * 20 + "1" * 80, 0.01, Better.A, "A is better by 20 points (95 % interval 12."),
        (
            "10" * 500,
            "10" * 500,
            0.01,
            Better.NEITHER,
            "A and B are equal within ±1 point: B − A is 0 points",
        ),
        ("10" * 50, "10" * 50, 0.05, Better.NEITHER, "A and B are equal within ±5 points: "),
        ("10" * 5, "10" * 5, 0.01, Better.OPEN, "can't tell: B − A is 0 points (95 % interval −"),
        ("00" + "1" * 98, "1" * 100, 0.01, Better.OPEN, "can't tell: B − A is 2 points"),
    ],
)
def test_verdicts(attempt: Attempt, a: str, b: str, margin: float, better: Better, words: str) -> None:
    found = compare(single(attempt, "a", a), single(attempt, "b", b), margin=margin)
    assert found.better is better
    assert found.verdict.startswith(words)
    assert (found.more_problems is not None) is (better is Better.OPEN)
    assert ("more problems are needed" in found.verdict) is (better is Better.OPEN)


@given(st.data())
def test_whoever_is_better_is_better_from_either_side(attempt: Attempt, data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.sampled_from(["00", "01", "10", "11"]), min_size=1, max_size=60))
    a, b = ("".join(pair[side] for pair in pairs) for side in (0, 1))
    here = compare(single(attempt, "a", a), single(attempt, "b", b))
    there = compare(single(attempt, "b", b), single(attempt, "a", a))
    assert here.difference is not None
    assert there.difference is not None
    assert there.difference.value == pytest.approx(-here.difference.value)
    assert there.difference.p == pytest.approx(here.difference.p)
    assert {(f.id, f.score_a) for f in here.flips} == {(f.id, f.score_b) for f in there.flips}
    if here.difference.p < 0.01:
        assert {here.better, there.better} == {Better.A, Better.B}


def test_attempts_that_say_nothing_are_left_out_and_counted(attempt: Attempt) -> None:
    broken = {"outcome": None, "answer": None, "stop": StopReason.KERNEL_ERROR}
    a = run("a", attempt("1"), attempt("2", Outcome.UNGRADED), attempt("3"), attempt("4", WRONG))
    b = run("b", attempt("1", WRONG), attempt("2"), attempt("3", **broken), attempt("4"))
    found = compare(a, b)
    assert (found.problems, found.left_out) == (2, 2)
    assert found.attempts_left_out == {Cause.BROKEN: 1, Cause.NO_VERDICT: 0, Cause.UNGRADED: 1}
    assert list(warnings(found)) == [
        "attempts left out: 1 broken machinery, 1 ungraded; 2 problems not compared for want of others"
    ]
    assert (found.accuracy_a, found.accuracy_b) == (0.5, 0.5)


def test_of_several_samples_those_that_say_something_are_averaged(attempt: Attempt) -> None:
    a = run(
        "a", *(attempt("1", o, sample=n) for n, o in enumerate((CORRECT, WRONG, WRONG, Outcome.UNGRADED)))
    )
    b = run("b", *(attempt("1", o, sample=n) for n, o in enumerate((CORRECT, CORRECT, CORRECT, WRONG))))
    found = compare(a, b)
    assert found.accuracy_a == pytest.approx(1 / 3)
    assert found.accuracy_b == pytest.approx(3 / 4)
    assert (found.problems, found.left_out, found.flips) == (1, 0, ())


def test_nothing_graded_is_said_and_no_error(attempt: Attempt) -> None:
    found = compare(run("a", attempt(outcome=None)), run("b", attempt(outcome=None)))
    assert found.difference is None
    assert found.verdict == "can't tell: no problem has a graded attempt in both runs"


def test_problems_pair_by_id_and_question_and_the_others_are_named(attempt: Attempt) -> None:
    other = attempt("2")
    other = replace(other, problem=replace(other.problem, question="Another question"))
    found = compare(run("a", attempt("1"), attempt("2")), run("b", attempt("1"), other, attempt("3")))
    assert found.problems == 1
    assert found.only_in_a == ("2",)
    assert found.only_in_b == ("2", "3")


def test_runs_of_different_tasks_are_no_comparison(attempt: Attempt) -> None:
    with pytest.raises(InputError, match="no problem in common"):
        compare(run("a", attempt("1")), run("b", attempt("2")))


def test_flips_show_both_answers_or_why_there_is_none(attempt: Attempt) -> None:
    late = {"answer": None, "stop": StopReason.MAX_TURNS}
    found = compare(
        run("a", attempt("1", answer="5"), attempt("2", WRONG, answer="6")),
        run("b", attempt("1", Outcome.NO_ANSWER, **late), attempt("2", answer="5.0")),
    )
    shown = [(f.id, f.target, f.answer_a, f.answer_b, f.score_a, f.score_b) for f in found.flips]
    assert shown == [("1", "5", "5", "(turn limit)", 1.0, 0.0), ("2", "5", "6", "5.0", 0.0, 1.0)]


def test_what_else_differs_is_listed_but_not_the_model_nor_seeds(attempt: Attempt) -> None:
    one, two = attempt("1", model="a"), attempt("1", model="b", target="6")
    settings = replace(two.settings, limits=Limits(max_turns=9))
    settings = replace(settings, sampling=replace(settings.sampling, seed=3))
    found = compare(run("a", one), run("b", replace(two, settings=settings, isolation="full")))
    assert found.differing == (
        "isolation: none and full",
        "limits.max_turns: 4 and 9",
        "gold answer of 1 problem(s), such as 1",
    )


# --- the command


@pytest.fixture
def files(attempt: Attempt, tmp_path: Path) -> list[str]:
    for name, scores in (("a", "0" * 30 + "1" * 31), ("b", "1" * 60)):
        lines = map(dump_line, single(attempt, name, scores).records)
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]


def invoke(*arguments: str) -> tuple[str, str]:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_the_command_prints_flips_and_verdict_and_remarks_on_stderr(files: list[str]) -> None:
    out, err = invoke(*files)
    assert "B is better by 50 points" in out.splitlines()[-1]
    assert "p29" in out
    assert "only in a, not compared: 1 problem (p60)" in err


def test_json_is_one_document_that_reads_back(files: list[str], attempt: Attempt) -> None:
    out, err = invoke(*files, "--json")
    found = from_json(Comparison, json.loads(out))
    assert found.better is Better.B
    assert len(found.flips) == 30
    assert to_json(found) == json.loads(out)
    assert not err
