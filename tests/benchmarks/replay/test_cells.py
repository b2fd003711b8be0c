"""Recorded solutions are read, run again in real kernels, and compared."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from benchmarks.replay.cells import CellDifference, differences, replay_cells
from benchmarks.replay.outputs import DifferenceCause
from benchmarks.replay.recordings import RecordedCell, RecordedSolution, Runtime, load_recorded
from mumath_agent.errors import InputError
from mumath_agent.records import Execution, ExecutionStatus
from mumath_agent.runs.replay import Replay
from tests.programs import call

HEAD = f"{'-' * 75} ZeroDivisionError      Traceback (most recent call last)"
TRACEBACK = f"{HEAD} Cell In[1], line 1\n ZeroDivisionError: no"


def mathcoder(*cells: tuple[str, str]) -> dict[str, Any]:
    blocks = [{"role": "system", "content": "Solve."}, {"role": "user", "content": "How many?"}]
    for code, output in cells:
        blocks += [{"role": "text", "content": "So."}, {"role": "code", "content": code}]
        blocks += [{"role": "execution", "content": output}]
    blocks += [{"role": "text", "content": "It is 5."}, {"role": "text", "content": "5"}]
    return {"ground_truth": {"answer": 5.0}, "debug_result": blocks, "completion": "5"}


def tora(solution: str) -> dict[str, Any]:
    return {"idx": 3, "question": "How many?", "gt": "5", "code": [solution], "pred": ["5"], "report": [None]}


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def solutions_of(path: Path) -> list[RecordedSolution]:
    return [item for item in load_recorded(path) if isinstance(item, RecordedSolution)]


def replayed(path: Path, **options: Any) -> list[Replay]:
    async def run() -> list[Replay]:
        return await replay_cells(solutions_of(path), timeout_s=10, concurrency=2, **options)

    return anyio.run(run)


def differing(path: Path) -> list[CellDifference]:
    return [
        row
        for solution, replay in zip(solutions_of(path), replayed(path), strict=True)
        for row in differences(solution, replay.executions)
    ]


def test_mathcoders_format_becomes_our_record(tmp_path: Path) -> None:
    (solution,) = solutions_of(written(tmp_path / "a.jsonl", mathcoder(("x = 5\nx", "5"))))
    assert (solution.id, solution.question, solution.target, solution.answer) == (
        "a:1",
        "How many?",
        "5.0",
        "5",
    )
    assert (solution.runtime, solution.settings.dialect) == (Runtime.MATHCODER, "blocks")
    assert not solution.settings.fresh_cells
    assert solution.cells == (RecordedCell(code="x = 5\nx", output="5"),)
    assert [turn.text for turn in solution.turns] == [
        "<|text|>So.<|endofblock|><|code|>x = 5\nx<|endofblock|>",
        "<|text|>It is 5.<|endofblock|><|text|>5<|endofblock|>",
    ]


def test_toras_format_becomes_our_record(tmp_path: Path) -> None:
    fenced = "So.\n```python\nprint(5)\n```\n```output\n5\n```\nIt is $\\boxed{5}$."
    (solution,) = solutions_of(written(tmp_path / "a.jsonl", tora(fenced)))
    assert (solution.id, solution.question, solution.target, solution.answer) == (
        "tora:3",
        "How many?",
        "5",
        "5",
    )
    assert (solution.runtime, solution.settings.dialect) == (Runtime.TORA, "fenced")
    assert solution.settings.fresh_cells
    assert solution.cells == (RecordedCell(code="print(5)\n", output="5\n"),)
    texts = [turn.text for turn in solution.turns]
    assert {turn.completion_tokens for turn in solution.turns} == {0}  # nobody recorded them
    assert texts == ["So.\n```python\nprint(5)\n```\n", "It is $\\boxed{5}$."]


def test_a_recording_that_ends_with_an_output_has_no_turn_after_it(tmp_path: Path) -> None:
    row = mathcoder(("5", "5"))
    row["debug_result"], row["completion"] = row["debug_result"][:-2], "5"
    (solution,) = solutions_of(written(tmp_path / "a.jsonl", row))
    assert len(solution.turns) == len(solution.cells) == 1


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("5", "5"),
        (" \\frac{1}{2} ", "\\frac{1}{2}"),
        ("You sell \\boxed{137} and \\boxed{388} tickets.", "137"),
        ("It goes on and on. " * 20, None),
        ("", None),
    ],
)
def test_mathcoders_answer_is_the_last_block_or_the_first_box_in_it(
    tmp_path: Path, completion: str, answer: str | None
) -> None:
    row = mathcoder(("5", "5")) | {"completion": completion}
    assert solutions_of(written(tmp_path / "a.jsonl", row))[0].answer == answer


@pytest.mark.parametrize("line", ["{", "[]", '"text"', "{}", '{"code": []}', '{"debug_result": 5}', "\x00"])
def test_a_bad_line_is_one_error_and_the_rest_goes_on(tmp_path: Path, line: str) -> None:
    bad, good = load_recorded(written(tmp_path / "a.jsonl", line, mathcoder(("5", "5"))))
    assert isinstance(bad, InputError) and "line 1" in str(bad) and "\n" not in str(bad)
    assert isinstance(good, RecordedSolution)


@pytest.mark.kernel
def test_a_mathcoder_solution_runs_in_one_session(tmp_path: Path) -> None:
    cells = [
        ("x = 1 / 3", "<empty_execution>"),
        ("x", "0.333333"),
        ("1 / 0", TRACEBACK),
        ("x", "0.3"),
        ("x > 0", "True"),
    ]
    rows = differing(written(tmp_path / "a.jsonl", mathcoder(*cells)))
    assert [(row.cell, row.cause) for row in rows] == [
        (2, DifferenceCause.FLOAT_FORMAT),
        (3, DifferenceCause.TEXT_FORMAT),
        (4, DifferenceCause.OURS),
    ]


@pytest.mark.kernel
def test_a_tora_program_begins_with_nothing(tmp_path: Path) -> None:
    blocks = [
        "```python\nx = 5\nx\n```\n```output\nDone\n```\n",
        "```python\nprint(x)\n```\n```output\nNameError: name 'x' is not defined\n```\n",
    ]
    assert differing(written(tmp_path / "a.jsonl", tora("".join(blocks)))) == []


def test_a_cell_that_was_not_run_here_is_ours_to_explain(tmp_path: Path) -> None:
    (solution,) = solutions_of(written(tmp_path / "a.jsonl", mathcoder(("5", "5"), ("6", "6"))))
    executions = [Execution(status=ExecutionStatus.OK, result="5")]
    (row,) = differences(solution, executions)
    assert (row.cell, row.cause) == (2, DifferenceCause.OURS)


@pytest.mark.kernel
def test_a_replay_continues_behind_the_last_whole_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", *(mathcoder((f"{n} + 1", "2")) for n in range(3)))
    out = tmp_path / "out.jsonl"
    first = replayed(path, out=out)
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(lines[0] + lines[1] + lines[2][:20])
    assert [replay.id for replay in replayed(path, out=out)] == [replay.id for replay in first]
    resumed = out.read_bytes().splitlines(keepends=True)
    assert (
        resumed[:2] == lines[:2]
        and len(resumed) == 3
        and json.loads(resumed[2])["id"] == json.loads(lines[2])["id"]
    )


@pytest.mark.kernel
@pytest.mark.parametrize(
    "code",
    [
        "!touch @",
        "import subprocess\nsubprocess.run(['touch', '@'])",
        "import socket\nsocket.create_connection(('127.0.0.1', 9))",
    ],
)
def test_what_isolation_denies_is_told_apart(tmp_path: Path, code: str) -> None:
    mark = tmp_path / "mark"
    file = written(tmp_path / "a.jsonl", mathcoder((code.replace("@", str(mark)), "done")))
    (row,) = differing(file)
    assert not mark.exists()
    assert row.cause is DifferenceCause.REFUSED


def test_a_file_of_something_else_is_not_continued(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", mathcoder(("5", "5")))
    with pytest.raises(InputError, match="name another file"):
        replayed(path, out=written(tmp_path / "out.jsonl", {"problem": 1}))


@pytest.mark.kernel
def test_the_command_reports_counts_and_unexplained_cells_in_full(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.jsonl", mathcoder(("[1, 2]", "[1, 2]")), "{", mathcoder(("6", "[bold]5[/bold]"))
    )
    done = call("benchmarks", "replay", path)
    assert done.code == 1
    assert "a.jsonl line 2" in done.stderr
    assert "a:3 cell 1: ours" in done.stdout and "[bold]5[/bold]" in done.stdout
    report = json.loads(call("benchmarks", "replay", path, "--json").stdout)
    assert report["counts"]["equal"] == 1 and report["counts"]["ours"] == 1
    figures = ("mode", "solutions", "cells", "cells_equal", "cells_excused", "agreement")
    assert [report[name] for name in figures] == ["cells", 2, 2, 1, 0, 0.5]
    assert (report["accuracy"], report["published"], report["paper"]) == (100.0, 100.0, None)
    assert (report["flips"], report["ungraded"]) == ([], [])


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = call("benchmarks", "replay", tmp_path / "none.jsonl")
    assert (done.code, done.stdout) == (2, "") and "can't read" in done.stderr
    assert "Traceback" not in done.stderr
