"""A second grader: what it disputes is found in both directions, and hostile answers cost it no more than ours."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.report.second_opinion import SecondOpinion, second_opinion
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome, RunRecord, Verdict
from mumath_agent.runs.jsonl import dump_line
from tests.programs import call

pytestmark = [pytest.mark.anyio, pytest.mark.worker]

Attempt = Callable[..., RunRecord]
RIGHT, WRONG, OPEN = Outcome.CORRECT, Outcome.INCORRECT, Outcome.UNGRADED
STALLS = "10^{10^{8}}"
ROWS = [
    # answer, target, ours, the second's, disputed
    ("5", "5", RIGHT, RIGHT, False),
    (r"\frac12", "0.5", RIGHT, RIGHT, False),
    ("1,234", "1234", RIGHT, RIGHT, False),
    ("4", "5", WRONG, WRONG, False),
    ("Tuesday", "Monday", WRONG, WRONG, False),
    ("5000.04", "5000", WRONG, WRONG, False),
    (r"35.0\%", "35", RIGHT, WRONG, True),
    ("18 dollars", "18", RIGHT, WRONG, True),
    ("24000.000000000004", "24000", RIGHT, WRONG, True),
    ("7.1414", r"\sqrt{51}", RIGHT, WRONG, True),
    ("5}{", "5", WRONG, RIGHT, True),
    ("(1,2)", r"\{1,2\}", WRONG, RIGHT, True),
    ("5", "1.2.3", OPEN, WRONG, False),
    ("(2", "5", WRONG, OPEN, False),
    ("}", "5", WRONG, OPEN, False),
    (STALLS, "5", OPEN, OPEN, False),
    ("5" * 3000, "5", OPEN, OPEN, False),
    ("{" * 100 + "5" + "}" * 100, "5", OPEN, OPEN, False),
]


@dataclass
class CountingGrader(Grader):
    """A grader that knows what the second one was asked, and said."""

    asked: dict[tuple[str, str], list[Verdict]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(timeout_s=0.5)

    async def second_opinion(self, answer: str, target: str) -> Verdict:
        verdict = await super().second_opinion(answer, target)
        self.asked.setdefault((answer, target), []).append(verdict)
        return verdict


async def opinion(records: Sequence[RunRecord]) -> tuple[SecondOpinion, list[tuple[str, str]]]:
    async with CountingGrader() as grader:
        found = await second_opinion(records, grader)
        return found, [texts for texts, said in grader.asked.items() for _ in said]


async def test_what_two_graders_say(attempt: Attempt) -> None:
    async with CountingGrader() as grader:
        verdicts = [await grader.grade(answer, target) for answer, target, *_ in ROWS]
        records = [
            attempt(str(number), verdict.outcome, answer=answer, target=target)
            for number, (verdict, (answer, target, *_)) in enumerate(zip(verdicts, ROWS, strict=True))
        ]
        found = await second_opinion(records, grader)
    said = [grader.asked[answer, target][0] for answer, target, *_ in ROWS]
    for row, verdict, second in zip(ROWS, verdicts, said, strict=True):
        assert (verdict.outcome, second.outcome) == row[2:4], (row, verdict, second)
    assert [int(dispute.problem) for dispute in found.disputes] == [n for n, row in enumerate(ROWS) if row[4]]
    assert found.undecided == sum(row[3] is OPEN for row in ROWS)


HOSTILE = [
    "__import__('pathlib').Path('@canary@').touch()",
    r"5} + \mathrm{__import__('os').system('touch @canary@')",
    "\x1b[2J\x00",
    r"\boxed{" * 20,
    "$" * 1000,
]


async def test_a_hostile_answer_is_only_read(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    async with Grader(timeout_s=1.0) as grader:
        for answer in HOSTILE:
            verdict = await grader.second_opinion(answer.replace("@canary@", str(canary)), "42")
            assert verdict.outcome is not RIGHT and not canary.exists()
            assert (await grader.second_opinion("x+1", "1+x")).outcome is RIGHT


async def test_a_run_has_the_accuracy_that_the_second_grader_would_give(attempt: Attempt) -> None:
    records = [
        attempt("1", RIGHT, answer="5", target="5"),
        attempt("2", RIGHT, answer=r"50.0\%", target="50"),
        attempt("3", WRONG, answer=r"50.0\%", target="50", sample=0),
        attempt("3", RIGHT, answer=r"50.0\%", target="50", sample=1),
        attempt("4", WRONG, answer="(", target="5"),
        attempt("5", Outcome.NO_ANSWER, answer=None),
        attempt("6", None, answer="5", target=None),
    ]
    found, asked = await opinion(records)
    assert asked == [("5", "5"), (r"50.0\%", "50"), ("(", "5")]  # once about the same texts
    assert (found.asked, found.undecided, found.accuracy) == (5, 1, 1 / 5)
    assert [dispute.attempt for dispute in found.disputes] == ["2", "3~1"]
    assert found.summary == "2 of 5 (its own would make 20.0); 1 it can't decide"


async def test_without_disputes_the_accuracy_is_the_same(attempt: Attempt) -> None:
    found, _ = await opinion([attempt("1"), attempt("2", WRONG, answer="4")])
    assert (found.disputes, found.accuracy, found.summary) == ((), 0.5, "0 of 2")
    nothing, asked = await opinion([attempt("1", None)])
    assert (nothing.accuracy, nothing.summary, asked) == (None, "0 of 0", [])


async def test_long_lists_are_cut_in_tables_and_control_characters_do_not_get_there(attempt: Attempt) -> None:
    answer = "5}{\x1b[2J" + "s" * 80
    found, _ = await opinion([attempt(str(n), WRONG, answer=answer, target="5") for n in range(50)])
    shown = found.in_words
    assert len(found.disputes) == 50 and len(shown) == 41 and shown["and more"] == "10; --json has them all"
    assert all(text.isprintable() and "… for 5: incorrect (typed); correct (" in text for text in
               list(shown.values())[:-1])  # fmt: skip


def test_the_command_names_disputes_in_every_form(attempt: Attempt, tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    records = [attempt("a", answer=r"35.0\%", target="35"), attempt("b", WRONG, answer="4")]
    file.write_text("".join(f"{dump_line(record)}\n" for record in records))
    (shown,) = json.loads(call("benchmarks", "report", file, "--json").stdout)["runs"]
    (dispute,) = shown["second"]["disputes"]
    assert (dispute["problem"], dispute["verdict"]["outcome"], dispute["second"]["outcome"]) == (
        "a",
        "correct",
        "incorrect",
    )
    assert (shown["lenient"]["value"], shown["second"]["accuracy"]) == (0.5, 0.0)
    table = call("benchmarks", "report", file, "--markdown").stdout
    assert "| disputed verdicts | 1 of 2 (its own would make 0.0) |" in table
    assert (
        r"| a | 35.0\\% for 35: correct (typed); incorrect (math-verify, as 35.0*(1/100) and 35) |" in table
    )
    without = call("benchmarks", "report", file, "--no-second-opinion", "--json").stdout
    assert json.loads(without)["runs"][0]["second"] is None
