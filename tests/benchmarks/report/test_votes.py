"""What votes over recorded samples are worth: every way gets the same attempts."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.report.prefixes import shared_programs
from benchmarks.report.reliability import calibration_error, diagram, reliability
from benchmarks.report.votes import FIRST, SPELLING, VoteReport, vote_report
from benchmarks.runs import Run
from mumath_agent.bridge import run_sync
from mumath_agent.dialects import get_dialect
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason, Outcome, RunRecord
from mumath_agent.runs.jsonl import dump_line
from mumath_agent.transcript import Transcript
from tests.programs import call

pytestmark = pytest.mark.worker

Attempt = Callable[..., RunRecord]


def samples(
    attempt: Attempt,
    name: str,
    *answers: str,
    logprob: float | None = None,
    tail: tuple[float, ...] | None = None,
) -> list[RunRecord]:
    """Return attempts at a problem whose answer is 1/2; the n-th wrote n + 1 tens of tokens."""
    found = []
    for sample, answer in enumerate(answers):
        record = attempt(answer=answer, outcome=Outcome.CORRECT, sample=sample)
        completion = Completion(
            text="x",
            finish_reason=FinishReason.STOP,
            prompt_tokens=1,
            completion_tokens=10 * (sample + 1),
            logprob=logprob,
            tail_logprobs=tail,
        )
        trajectory = replace(record.trajectory, completions=(completion,), executions=())
        problem = replace(record.problem, id=name, question=f"{name}?", target="1/2")
        found.append(replace(record, problem=problem, trajectory=trajectory))
    return found


def report_of(*records: RunRecord, first: int | None = None) -> VoteReport:
    async def made() -> VoteReport:
        async with Grader() as grader:
            return await vote_report(
                Run(path=Path("a-run"), manifest=None, records=records), grader, samples=first
            )

    return run_sync(made())


def test_equal_answers_vote_together_and_the_problems_that_differ_are_listed(attempt: Attempt) -> None:
    a = samples(attempt, "a", "3", "0.5", "1/2", "3")  # by spelling 3, by equality a tie that 3 wins
    b = samples(attempt, "b", "0.5", "4", "1/2", "4")  # by spelling 4, by equality 0.5
    c = samples(attempt, "c", "0.5", "0.5", "0.5", "7")
    report = report_of(*reversed([*a, *b, *c]))  # whatever the order in which they were written
    right = {way.name: round(3 * way.accuracy.value) for way in report.ways}
    assert right == {FIRST: 2, SPELLING: 1, "vote, weight count": 2, "vote, weight consistent": 2}
    assert [each.id for each in report.differing] == ["b"]
    assert (report.differing[0].by_spelling, report.differing[0].by_equality) == ("4", "0.5")
    one, other, *early = report.early_stops
    assert [stop.saved for stop in early[:2]] == [
        one.saved,
        other.saved,
    ]  # three votes are no confidence of 0.95
    assert (one.tokens, one.same_answers, other.same_answers) == (300, 3, 3)
    assert one.saved == pytest.approx(40 / 300)  # of c, the fourth attempt isn't needed
    assert other.saved == pytest.approx(10 / 300)  # it has written 30 of its 40 when the third ends
    assert [(each.answers, each.right.value) for each in report.reliability] == [(2, 0.5), (1, 1.0)]
    assert [(row.attempts, round(3 * row.accuracy.value), row.tokens) for row in report.more] == [
        (1, 2, 30),
        (2, 2, 90),
        (4, 2, 300),
    ]


def test_log_probabilities_are_a_way_where_they_were_recorded(attempt: Attempt) -> None:
    report = report_of(*samples(attempt, "a", "3", "3", logprob=-9.0), *samples(attempt, "b", "0.5", "3"))
    assert "vote, weight logprob" not in [way.name for way in report.ways]
    report = report_of(*samples(attempt, "a", "0.5", "3", logprob=-9.0))
    names = [way.name for way in report.ways]
    assert "vote, weight logprob" in names and "vote, weight tail" not in names
    report = report_of(*samples(attempt, "a", "0.5", "3", logprob=-9.0, tail=(-1.0,)))
    assert "vote, weight tail" in [way.name for way in report.ways]


def test_without_several_samples_there_is_no_vote(attempt: Attempt) -> None:
    with pytest.raises(InputError, match="no problem with several graded samples"):
        report_of(*samples(attempt, "a", "3"))


def test_programs_are_shared_where_all_before_them_are_the_same(attempt: Attempt) -> None:
    def ran(sample: int, *programs: str) -> RunRecord:
        dialect, transcript = get_dialect("fenced"), Transcript(question="q")
        done = Execution(status=ExecutionStatus.OK, stdout="1\n", duration_s=1.0)
        completions = [
            Completion(
                text=f"```python\n{program}\n```\n",
                finish_reason=FinishReason.STOP,
                prompt_tokens=1,
                completion_tokens=1,
            )
            for program in programs
        ]
        for completion in completions:
            transcript = dialect.with_completion(transcript, completion)
            transcript = dialect.with_output(transcript, done, max_chars=400)
        record = attempt(answer="1", outcome=Outcome.CORRECT, sample=sample)
        trajectory = replace(
            record.trajectory,
            transcript=transcript,
            completions=tuple(completions),
            executions=(done,) * len(programs),
        )
        return replace(record, trajectory=trajectory, settings=replace(record.settings, dialect="fenced"))

    attempts = (ran(0, "a", "b"), ran(1, "a", "c"), ran(2, "b"), ran(3, "a", "b", "c"))
    found = shared_programs([attempts, (ran(0, "a"),)])
    assert (found.programs, found.repeated) == (9, 3)  # a of the second; a and b of the fourth
    assert (found.seconds, found.repeated_seconds) == (9.0, 3.0)


def test_a_reliability_diagram_is_an_svg_with_a_point_for_each_bin() -> None:
    bins = reliability([(0.9, True), (0.9, False), (0.2, False), (1.0, True)])
    assert [(each.low, each.answers, each.right.value) for each in bins] == [
        (0.0, 1, 0.0),
        (0.9, 2, 0.5),
        (0.95, 1, 1.0),
    ]
    assert calibration_error(bins) == pytest.approx((0.2 + 2 * 0.4 + 0) / 4)
    drawn = ElementTree.fromstring(diagram(bins, "<a> & b"))
    svg = "{http://www.w3.org/2000/svg}"
    assert drawn.findtext(f"{svg}title") == "<a> & b"
    circles = drawn.findall(f"{svg}circle")
    assert [circle.findtext(f"{svg}title") for circle in circles] == [
        "1 answers of confidence 0.20: 0% right",
        "2 answers of confidence 0.90: 50% right",
        "1 answers of confidence 1.00: 100% right",
    ]
    left, middle, right = (float(circle.get("cx", "")) for circle in circles)
    assert left < middle < right


def test_the_command_prints_tables_and_json(attempt: Attempt, tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    records = samples(attempt, "b", "0.5", "4", "1/2", "4")
    file.write_text("".join(f"{dump_line(record)}\n" for record in records))
    drawn = tmp_path / "r.svg"
    shown = call("benchmarks", "votes", file, "--figure", drawn)
    assert "1 problems, 4 attempts each" in drawn.read_text()
    assert shown.code == 0 and "1 problems, 4 samples each" in shown.stdout
    assert "b: by spelling 4, by equality 0.5, right is 1/2" in shown.stderr
    (told,) = [json.loads(call("benchmarks", "votes", file, "--json", "--samples", "2").stdout)]
    assert told["samples"] == 2 and told["problems"] == 1
