"""`solve --attempts` with a tiny model: rows, votes, tables, notebooks, and runs that are killed.

The command is called in this process, but where it is killed or has a terminal.
"""

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mumath_agent.commands.attempt_rows import AttemptRows
from mumath_agent.records import RunRecord, from_json
from mumath_agent.solutions import Ending, Solution
from tests.programs import PROGRAM, Ended, mumath_agent
from tests.toy import WITH_TOY
from tests.waiting import comes_true

QUESTION = "Lina has 17 marbles. Tom gives her 25 more marbles. How many marbles does Lina have now?"
SUMS = "".join(f"What is {n} plus {n + 3}?\n" for n in range(10, 14))


def solve(*arguments: str, stdin: str = "", **environment: str) -> Ended:
    return mumath_agent("solve", *WITH_TOY, *arguments, stdin=stdin, **environment)


def solutions(ended: Ended) -> list[Solution]:
    return [from_json(Solution, each) for each in ended.objects()]


@pytest.mark.kernel
@pytest.mark.model
@pytest.mark.worker
def test_one_answer_with_its_votes_comes_of_several_attempts(tmp_path: Path) -> None:
    notebook = tmp_path / "n.ipynb"
    shown = solve(
        *(QUESTION, "--attempts", "3", "--no-early-stop", "--seed", "5", "--notebook", str(notebook))
    )
    assert shown.code == 0, shown.stderr
    assert shown.stdout.endswith("\nVotes: 42 (3); confidence 0.94\nAnswer: 42\n")
    rows = [line for line in shown.stderr.splitlines() if line.startswith("attempt ")]
    assert sorted(rows) == [f"attempt {n} of 3: Answer: 42, 1 program" for n in (1, 2, 3)]
    assert "Votes: 42 (3); confidence 0.94" in notebook.read_text()
    (solution,) = solutions(solve(QUESTION, "--json", "--no-early-stop", "--seed", "5", MUMATH_ATTEMPTS="3"))
    assert solution.how.number == 3 and solution.how.seed == 5
    assert [record.settings.sampling.temperature for record in solution.attempts] == [0.0, 0.7, 0.7]
    assert len({record.settings.sampling.seed for record in solution.attempts}) == 3


@pytest.mark.kernel
@pytest.mark.model
@pytest.mark.worker
def test_low_confidence_is_said_in_every_form(tmp_path: Path) -> None:
    notebook, table = tmp_path / "n", tmp_path / "t.csv"
    arguments = ("--file", "-", "--attempts", "2", "--min-confidence", "1", "--csv", str(table))
    shown = solve(*arguments, "--notebook", str(notebook), stdin="question,answer\nWhat is 3 + 4?,7\n")
    said = "Answer: 7 (low confidence: 2 of 2 attempts voted for it)"
    assert said in shown.stdout
    assert "1 problem: 1 answered, 0 without an answer, 0 broken; 1 answer" in shown.stderr
    assert "of low confidence; 1 of 1 right (100.0%)" in shown.stderr
    (file,) = notebook.iterdir()
    assert said in file.read_text()
    (row,) = csv.DictReader(table.read_text().splitlines())
    assert (row["answer"], row["attempts"], row["votes"], row["confidence"]) == ("7", "2", "2", "0.875")
    assert (row["low_confidence"], row["verdict"], row["stop_reason"]) == ("True", "correct", "all")
    (solution,) = solutions(solve(*arguments[:6], "--json", stdin="What is 3 + 4?\n"))
    assert solution.confidence.is_low


@pytest.mark.kernel
@pytest.mark.model
@pytest.mark.worker
def test_killed_in_the_middle_a_run_goes_on_to_the_same_answers_and_loses_no_attempt(tmp_path: Path) -> None:
    file, output, fresh = tmp_path / "p.txt", tmp_path / "r.jsonl", tmp_path / "fresh.jsonl"
    file.write_text(SUMS)
    options = ("solve", *WITH_TOY, "--file", str(file), "--attempts", "3", "--concurrency", "2")
    arguments = [*options, "--output", str(output)]
    running = subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert comes_true(lambda: output.exists() and output.read_bytes().count(b"\n") >= 3)
    running.kill()
    running.wait()
    before = [line for line in output.read_text().splitlines(keepends=True) if line.endswith("\n")]
    broken = solutions(mumath_agent(*arguments, "--json"))
    after = output.read_text().splitlines(keepends=True)
    assert set(before) <= set(after) and len(after) <= 3 * 4
    samples = [(record.problem.id, record.sample) for record in _records(output)]
    assert samples == sorted(set(samples), key=lambda each: (int(each[0][5:]), each[1]))
    unbroken = solutions(mumath_agent(*options, "--json", "--output", str(fresh)))
    assert _answers(broken) == _answers(unbroken) and len(broken) == 4


@pytest.mark.kernel
@pytest.mark.model
@pytest.mark.worker
def test_a_run_that_is_over_gives_what_it_has_and_exit_code_1() -> None:
    ended = solve("--file", "-", "--json", "--run-wall", "0.1", stdin=SUMS)
    found = solutions(ended)
    assert ended.code == 1 and len(found) == 4
    assert found[-1].budget.ending is Ending.RUN_WALL and found[-1].answer is None
    told = solve("--file", "-", "--run-wall", "0.1", "--attempts", "2", stdin=SUMS)
    assert "line-4: No answer: the time for all problems was over" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--approve", "--attempts", "2"], "--approve goes with one attempt"),
        (["--attempts", "0"], "--attempts"),
        (["--enough", "0.3"], "--enough"),
        (["--weight", "heavy"], "--weight"),
        (["--problem-wall", "0"], "--problem-wall"),
    ],
)
def test_what_does_not_go_together_is_said(arguments: list[str], message: str) -> None:
    ended = solve("q", *arguments)
    assert ended.code == 2 and message in ended.stderr


@pytest.mark.parametrize("columns", [20, 60, 100])
def test_rows_are_calm_whole_lines_and_hold_no_control_characters(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=columns, height=50, color_system=None)
    monkeypatch.setattr("mumath_agent.commands.attempt_rows.stderr", console)
    rows = AttemptRows(20)

    def heard(event: str, sample: int, text: str = "", **more: Any) -> None:
        rows.heard({"event": event, "problem": "p", "text": text, "sample": sample, **more})  # type: ignore[typeddict-item]

    for sample in range(20):
        heard("attempt", sample)
    heard("text", 0, "We add.")
    heard("program", 0, "print(1)")
    heard("program", 0, "print(2)")
    heard("ended", 1, f"Answer: \x1b[2J{'9' * 200}")
    heard("cancelled", 2)
    rows.heard({"event": "votes", "problem": "p", "text": "9", "votes": {"9\x1b[1A": 2, "8" * 99: 1}})
    console.print(rows._shown())
    lines = screen.getvalue().replace("\x1b[2m", "").replace("\x1b[0m", "").splitlines()
    assert len(lines) == 18 and all(len(line) <= columns for line in lines)
    assert "\x1b" not in "".join(lines)
    if columns > 50:
        assert "attempt 1 of 20: runs a program, 2 programs" in lines
        assert "and 4 more" in lines[-2] and lines[-1].startswith("votes: 9[1A (2), 888")


@pytest.mark.slow  # a process at a pseudo-terminal; what the rows look like is tested above
@pytest.mark.kernel
@pytest.mark.model
@pytest.mark.worker
def test_at_a_terminal_the_rows_are_gone_when_the_answer_is_there() -> None:
    from tests.terminals import at_terminal

    shown = at_terminal([*PROGRAM, "solve", *WITH_TOY, QUESTION, "--attempts", "3"], columns=60)
    assert shown.code == 0 and "Answer: 42" in shown.screen
    assert not [line for line in shown.screen if line.startswith("attempt ")]


def _records(path: Path) -> list[RunRecord]:
    return [from_json(RunRecord, json.loads(line)) for line in path.read_text().splitlines()]


def _answers(found: list[Solution]) -> dict[str, str | None]:
    return {solution.problem.id: solution.answer for solution in found}
