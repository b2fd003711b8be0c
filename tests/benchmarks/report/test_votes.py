"""What votes over recorded samples are worth: every way gets the same attempts."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.report.votes import FIRST, SPELLING, VoteReport, vote_report
from benchmarks.runs import Run
from mumath_agent.bridge import run_sync
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.records import Completion, FinishReason, Outcome, RunRecord
from mumath_agent.runs.jsonl import dump_line
from tests.programs import call

pytestmark = pytest.mark.worker

Attempt = Callable[..., RunRecord]


def samples(attempt: Attempt, name: str, *answers: str, logprob: float | None = None) -> list[RunRecord]:
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
    report = report_of(*a, *b, *c)
    right = {way.name: round(3 * way.accuracy.value) for way in report.ways}
    assert right == {FIRST: 2, SPELLING: 1, "vote, weight count": 2, "vote, weight consistent": 2}
    assert [each.id for each in report.differing] == ["b"]
    assert (report.differing[0].by_spelling, report.differing[0].by_equality) == ("4", "0.5")
    one, other, *early = report.early_stops
    assert [stop.saved for stop in early] == [one.saved, other.saved]  # three votes are no confidence of 0.95
    assert (one.tokens, one.same_answers, other.same_answers) == (300, 3, 3)
    assert one.saved == pytest.approx(40 / 300)  # of c, the fourth attempt isn't needed
    assert other.saved == pytest.approx(10 / 300)  # it has written 30 of its 40 when the third ends
    assert [(each.answers, each.right) for each in report.reliability] == [(2, 0.5), (1, 1.0)]


def test_log_probabilities_are_a_way_where_they_were_recorded(attempt: Attempt) -> None:
    report = report_of(*samples(attempt, "a", "3", "3", logprob=-9.0), *samples(attempt, "b", "0.5", "3"))
    assert "vote, weight logprob" not in [way.name for way in report.ways]
    report = report_of(*samples(attempt, "a", "0.5", "3", logprob=-9.0))
    assert "vote, weight logprob" in [way.name for way in report.ways]


def test_without_several_samples_there_is_no_vote(attempt: Attempt) -> None:
    with pytest.raises(InputError, match="no problem with several graded samples"):
        report_of(*samples(attempt, "a", "3"))


def test_the_command_prints_tables_and_json(attempt: Attempt, tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    records = samples(attempt, "b", "0.5", "4", "1/2", "4")
    file.write_text("".join(f"{dump_line(record)}\n" for record in records))
    shown = call("benchmarks", "votes", file)
    assert shown.code == 0 and "1 problems, 4 samples each" in shown.stdout
    assert "b: by spelling 4, by equality 0.5, right is 1/2" in shown.stderr
    (told,) = [json.loads(call("benchmarks", "votes", file, "--json", "--samples", "2").stdout)]
    assert told["samples"] == 2 and told["problems"] == 1
