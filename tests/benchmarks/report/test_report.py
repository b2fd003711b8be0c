"""Reports: every attempt is counted once, every number says what it is worth, every form of a report says the same."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmarks.commands.reports import report as command
from benchmarks.report.attempts import Cause, cause_of, is_correct, is_strictly_correct
from benchmarks.report.figures import RunReport, make_report
from benchmarks.report.layout import markdown, named_remarks, sections
from benchmarks.runs import Run, RunManifest
from mumath_agent.bridge import run_sync
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.records import (
    BROKEN,
    AnswerSource,
    Completion,
    Execution,
    ExecutionStatus,
    FinishReason,
    Outcome,
    RunRecord,
    StopReason,
    from_json,
    to_json,
)
from mumath_agent.runs.jsonl import dump_line
from mumath_agent.transcript import Kind, Segment, Transcript

Attempt = Callable[..., RunRecord]
CORRECT, WRONG, UNGRADED = Outcome.CORRECT, Outcome.INCORRECT, Outcome.UNGRADED
NO_ANSWER = {"outcome": Outcome.NO_ANSWER, "answer": None}
KERNEL_ERROR = {"outcome": None, "answer": None, "stop": StopReason.KERNEL_ERROR}


def report_of(*records: RunRecord, manifest: RunManifest | None = None) -> RunReport:
    run = Run(path=Path("a-run"), manifest=manifest, records=records)

    async def made() -> RunReport:
        async with Grader() as grader:
            return await make_report(run, grader)

    return run_sync(made())


def manifest_of(record: RunRecord, problems: int) -> RunManifest:
    return RunManifest(
        task="sums",
        source="here",
        problems=problems,
        samples=1,
        seed=3,
        settings=record.settings,
        isolation="none",
        started_at="2026-01-02T03:04:05+00:00",
        versions={"python": "3.11"},
        commit="abc+",
        servers=({"engine": "vllm"},),
    )


# --- what became of attempts


@pytest.mark.parametrize(
    ("outcome", "stop", "cause"),
    [
        (CORRECT, StopReason.ANSWERED, Cause.CORRECT),
        (CORRECT, StopReason.MAX_TURNS, Cause.CORRECT),
        (WRONG, StopReason.ANSWERED, Cause.WRONG),
        (UNGRADED, StopReason.ANSWERED, Cause.UNGRADED),
        (Outcome.NO_ANSWER, StopReason.NO_ANSWER, Cause.NO_ANSWER),
        (Outcome.NO_ANSWER, StopReason.ANSWERED, Cause.NO_ANSWER),
        (Outcome.NO_ANSWER, StopReason.MAX_TURNS, Cause.TURN_LIMIT),
        (Outcome.NO_ANSWER, StopReason.MAX_TOKENS, Cause.TOKEN_LIMIT),
        (Outcome.NO_ANSWER, StopReason.WALL_CLOCK, Cause.TIME_OUT),
        (Outcome.NO_ANSWER, StopReason.KERNEL_DIED, Cause.KERNEL_DIED),
        (None, StopReason.ANSWERED, Cause.NO_VERDICT),
        *((outcome, stop, Cause.BROKEN) for outcome in (None, CORRECT) for stop in sorted(BROKEN)),
    ],
)
def test_causes(attempt: Attempt, outcome: Outcome | None, stop: StopReason, cause: Cause) -> None:
    assert cause_of(attempt(outcome=outcome, stop=stop)) is cause


@given(st.data())
def test_every_attempt_has_one_cause_and_they_add_up(attempt: Attempt, data: st.DataObject) -> None:
    every_kind = list(product((None, *Outcome), StopReason))
    kinds = data.draw(st.lists(st.sampled_from(every_kind), min_size=1, max_size=30))
    found = report_of(*(attempt(str(n), outcome, stop=stop) for n, (outcome, stop) in enumerate(kinds)))
    unscored = found.causes[Cause.BROKEN] + found.causes[Cause.NO_VERDICT]
    assert sum(found.causes.values()) == found.attempts == len(kinds)
    assert found.scored == found.attempts - unscored
    if found.lenient:
        assert found.lenient.value == pytest.approx(found.causes[Cause.CORRECT] / found.scored)


def test_the_strict_score_wants_a_box(attempt: Attempt) -> None:
    places = {place: attempt(place, found_in=place) for place in AnswerSource}
    assert all(map(is_correct, places.values()))
    assert [place for place, record in places.items() if is_strictly_correct(record)] == [AnswerSource.BOXED]
    found = report_of(*places.values())
    assert found.lenient is not None
    assert found.strict is not None
    assert (found.lenient.value, found.strict.value) == (1, pytest.approx(1 / 3))


def test_ungraded_counts_as_not_correct_and_the_other_bound_is_said(attempt: Attempt) -> None:
    found = report_of(attempt("1"), attempt("2", WRONG), attempt("3", UNGRADED), attempt("4", UNGRADED))
    assert found.lenient is not None
    assert (found.lenient.value, found.if_ungraded_right) == (0.25, 0.75)
    assert any("25.0% if all are wrong and 75.0% if all are right" in remark for remark in found.remarks)


def test_a_broken_attempt_is_no_wrong_one(attempt: Attempt) -> None:
    found = report_of(attempt("1"), attempt("2", **KERNEL_ERROR))
    assert found.lenient is not None
    assert found.lenient.value == 1
    assert found.lenient.problems == 1
    assert any("broken machinery ended 1 attempt" in remark for remark in found.remarks)


def test_where_nothing_is_graded_there_is_no_accuracy(attempt: Attempt) -> None:
    found = report_of(attempt(outcome=None))
    assert (found.lenient, found.strict, found.if_ungraded_right) == (None, None, None)
    assert "nothing is scored" in markdown([found])


# --- several samples


def test_votes_are_by_equal_answers_and_silence_has_none(attempt: Attempt) -> None:
    found = report_of(
        attempt("1", sample=0, answer="1/2"),
        attempt("1", sample=1, answer="0.5"),
        attempt("1", WRONG, sample=2, answer="7"),
        attempt("1", sample=3, **NO_ANSWER),
    )
    majority = {at.k: at.estimate.value for at in found.maj_at}
    passing = {at.k: at.estimate.value for at in found.pass_at}
    assert found.samples == 4
    assert majority == {1: 0.5, 2: pytest.approx(4 / 6), 4: 1.0}
    assert passing == {1: 0.5, 2: pytest.approx(5 / 6), 4: 1.0}


def test_one_sample_needs_no_votes(attempt: Attempt) -> None:
    found = report_of(attempt("1"), attempt("2"))
    assert (found.pass_at, found.maj_at) == ((), ())


# --- groups, programs, usage, remarks


def test_groups_are_by_tag_and_sorted_as_a_person_would(attempt: Attempt) -> None:
    tagged = [attempt(str(n), WRONG if n == 2 else CORRECT, tags=(f"level:{n}", "odd")) for n in (10, 2, 1)]
    found = report_of(*tagged, attempt("no tags"))
    assert [(g.key, g.value, g.lenient.value) for g in found.groups] == [
        ("level", "1", 1),
        ("level", "2", 0),
        ("level", "10", 1),
    ]


def test_nudged_attempts_are_counted_and_a_refused_program_did_not_run(attempt: Attempt) -> None:
    note = Segment(kind=Kind.NOTE, text="```output\n[Go on.]\n```\n")
    nudged = Transcript(question="q", segments=(note, note))
    refused = Execution(status=ExecutionStatus.REFUSED)
    found = report_of(attempt("1", transcript=nudged), attempt("2", executions=(refused,)), attempt("3"))
    assert (found.with_program, found.nudged) == (0, 1)
    (needed,) = [section for section in sections([found]) if section.title == "Attempts by what was needed"]
    assert [(row.label, row.values) for row in needed.rows] == [("nudged", ("1 (33.3%)",))]


def test_programs_and_usage_are_counted(attempt: Attempt) -> None:
    completion = Completion(text="", finish_reason=FinishReason.STOP, prompt_tokens=100, completion_tokens=10)
    ran = [
        Execution(status=status) for status in (ExecutionStatus.OK, ExecutionStatus.OK, ExecutionStatus.ERROR)
    ]
    lost = Execution(status=ExecutionStatus.TIMEOUT, state_lost=True)
    rebuilt = Execution(status=ExecutionStatus.DIED, state_replayed=True)
    found = report_of(
        attempt("1", completions=(completion,) * 4, executions=tuple(ran), duration_s=2.0),
        attempt("2", completions=(completion,) * 2, executions=(lost, rebuilt), duration_s=4.0),
        attempt("3", **KERNEL_ERROR, completions=(completion,), duration_s=100.0),
    )
    assert {status: n for status, n in found.cells.items() if n} == {
        ExecutionStatus.OK: 2,
        ExecutionStatus.ERROR: 1,
        ExecutionStatus.TIMEOUT: 1,
        ExecutionStatus.DIED: 1,
    }
    assert (found.sessions_lost, found.sessions_rebuilt) == (1, 1)
    assert {name: spread.total for name, spread in found.usage.items()} == {
        "turns": 6,
        "cells": 5,
        "prompt_tokens": 600,
        "completion_tokens": 60,
        "seconds": 6,
    }
    assert (found.with_program, found.nudged) == (2, 0)
    seconds = found.usage["seconds"]
    assert (seconds.mean, seconds.median, seconds.p95) == (3, 3, pytest.approx(3.9))


def test_remarks_tell_what_weakens_the_numbers(attempt: Attempt) -> None:
    records = [attempt(str(n)) for n in range(30)]
    mixed = [replace(record, isolation="full") for record in records[:15]] + records[15:]
    found = report_of(*mixed, manifest=manifest_of(records[0], problems=40))
    assert "30 problems: the interval is ±6 points" in found.remarks
    assert any(remark.startswith("attempts were made in 2 different ways") for remark in found.remarks)
    assert any("10 attempts are missing" in remark for remark in found.remarks)
    assert report_of(*(attempt(str(n)) for n in range(100))).remarks == ()


def test_each_sample_has_a_seed_of_its_own_and_that_is_no_other_way(attempt: Attempt) -> None:
    records = [attempt(str(n)) for n in range(100)]
    seeded = [
        replace(r, settings=replace(r.settings, sampling=replace(r.settings.sampling, seed=n)))
        for n, r in enumerate(records)
    ]
    assert report_of(*seeded).remarks == ()


# --- how it looks


def test_json_reads_back_as_the_same_report(attempt: Attempt) -> None:
    found = report_of(attempt("1", tags=("level:1",)), manifest=manifest_of(attempt(), problems=1))
    assert from_json(RunReport, json.loads(json.dumps(to_json(found)))) == found


def test_markdown_has_a_column_a_run_and_model_names_break_no_table(attempt: Attempt) -> None:
    reports = [report_of(attempt("1", model="a|b <i>"), attempt("2", WRONG)), report_of(attempt("1"))]
    text = markdown(reports)
    rows = [line for line in text.split("\n") if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") == 4 for line in rows)
    assert "| model | a\\|b &lt;i> | m |" in rows
    assert "| accuracy | 50.0 (9.5–90.5) | 100.0 (20.7–100.0) |" in rows
    for remark in named_remarks(reports):
        assert f"- {remark}" in text


def test_figures_that_a_run_lacks_are_dashes(attempt: Attempt) -> None:
    both = sections([report_of(attempt("1")), report_of(attempt("1", WRONG, tags=("level:1",)))])
    rows = {row.label: row.values for section in both for row in section.rows}
    assert rows["1"] == ("–", "0.0 (0.0–79.3) of 1")
    assert rows["correct"] == ("1 (100.0%)", "–")


@pytest.fixture
def run_file(attempt: Attempt, tmp_path: Path) -> Path:
    path = tmp_path / "run.jsonl"
    path.write_text("".join(f"{dump_line(attempt(str(n)))}\n" for n in range(3)))
    return path


def invoke(*arguments: str) -> tuple[str, str]:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_the_command_prints_a_table_and_remarks_on_stderr(run_file: Path) -> None:
    out, err = invoke(str(run_file), str(run_file))
    assert "100.0 (43.9–100.0)" in out
    assert "note: run: 3 problems: the interval is ±28 points" in err


def test_the_command_prints_json_or_markdown_but_not_both(run_file: Path) -> None:
    document = json.loads(invoke(str(run_file), "--json")[0])
    assert [run["lenient"]["value"] for run in document["runs"]] == [1.0]
    assert invoke(str(run_file), "--markdown")[0].startswith("| What was run | run |\n| --- | ---: |")
    with pytest.raises(InputError, match="--json and --markdown"):
        invoke(str(run_file), "--json", "--markdown")


def test_the_command_writes_a_page(run_file: Path, tmp_path: Path) -> None:
    invoke(str(run_file), "--html", str(tmp_path / "run.html"))
    assert (tmp_path / "run.html").read_text("utf-8").startswith("<!doctype html>")
    with pytest.raises(InputError, match=r"can't write .*no-folder"):
        invoke(str(run_file), "--html", str(tmp_path / "no-folder" / "run.html"))
