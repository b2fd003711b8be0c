"""Recorded programs run again: what counts as the same, and what the command says and returns."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent import solve
from mumath_agent.errors import InputError
from mumath_agent.protocols import ExecutedCell
from mumath_agent.records import (
    Execution,
    ExecutionStatus,
    Limits,
    RunRecord,
    Sampling,
    Settings,
    StopReason,
    to_json,
)
from mumath_agent.runs.executed import ExecutedSession
from mumath_agent.runs.notebook import write_notebook
from mumath_agent.runs.reproduction import (
    CellComparison,
    CellOutcome,
    SessionComparison,
    compare_executions,
    recorded_sessions,
    reproduce_all,
    same_numbers,
)
from mumath_agent.testing import ScriptedModel
from tests.programs import Ended, mumath_agent

OK, ERROR, TIMEOUT, DIED = (ExecutionStatus(value) for value in ("ok", "error", "timeout", "died"))
SAME, ROUNDED, DIFFERS, FAILED, TIMED_OUT, UNDECIDED = CellOutcome


def printed(text: str) -> Execution:
    return Execution(status=OK, stdout=text)


def failed(error: str) -> Execution:
    return Execution(status=ERROR, error=error)


def figure(content: str) -> Execution:
    return Execution(status=OK, artefacts=(f"data:image/png;base64,{content}",))


STOPPED = Execution(status=TIMEOUT, stdout="1\n2\n", error="TimeoutError: the program ran longer than 5 s")


@pytest.mark.parametrize(
    ("recorded", "now", "outcome"),
    [
        (printed("42\n"), printed("42\n"), SAME),
        (printed("42\n"), replace(printed("42\n"), duration_s=9, state_lost=True), SAME),
        (printed("5\n"), Execution(status=OK, result="5"), SAME),  # reads the same
        (printed("42\n"), printed("43\n"), DIFFERS),
        (printed("42\n"), printed(""), DIFFERS),
        (printed("0.30000000000000004\n"), printed("0.3\n"), ROUNDED),
        (printed("x  = 1\n"), printed("x = 1\n"), ROUNDED),
        (printed("0.31\n"), printed("0.3\n"), DIFFERS),
        (printed("10000000\n"), printed("10000001\n"), DIFFERS),
        (printed(""), failed("line 1: x\nNameError: name 'x' is not defined"), FAILED),
        (printed(""), Execution(status=DIED, error="The Python process died"), FAILED),
        (failed("ValueError: no"), printed("42\n"), DIFFERS),
        (failed("ValueError: no"), failed("line 7: f(x)\nValueError: no"), SAME),
        (failed("line 3: g(x)\nValueError: no"), failed("line 7: f(x)\nValueError: no"), SAME),
        (failed("ValueError: no"), failed("TypeError: no"), DIFFERS),
        (printed("42\n"), STOPPED, TIMED_OUT),
        (STOPPED, replace(STOPPED, stdout="1\n"), SAME),
        (STOPPED, printed("42\n"), UNDECIDED),
        (STOPPED, Execution(status=DIED), UNDECIDED),
        (replace(printed("42\n"), edited="print(42)"), printed("42\n"), SAME),
        (figure("AAAA"), figure("AAAA"), SAME),
        (figure("AAAA"), figure("BBBB"), UNDECIDED),
        (figure("AAAA"), printed(""), UNDECIDED),
    ],
)
def test_what_counts_as_the_same(recorded: Execution, now: Execution, outcome: CellOutcome) -> None:
    assert compare_executions(recorded, now).outcome is outcome


def test_the_first_line_that_differs_is_shown_cut() -> None:
    found = compare_executions(printed("a\nb\nc\n"), printed(f"a\n{'x' * 1000}\nd\n"))
    assert found.recorded == "b"
    assert found.now is not None and found.now.startswith("xxx") and len(found.now) < 250


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-300, max_value=1e300))
def test_the_last_bits_of_a_number_are_rounding_and_the_fourth_digit_is_not(value: float) -> None:
    assert same_numbers(f"x = {value}", f"x = {value * (1 + 1e-12)!r}")
    assert not same_numbers(f"x = {value:e}", f"x = {value * 1.001:e}")


def settings(*, timeout_s: float = 120.0, fresh_cells: bool = False) -> Settings:
    limits = Limits(cell_timeout_s=timeout_s)
    return Settings(model="m", dialect="fenced", limits=limits, sampling=Sampling(), fresh_cells=fresh_cells)


def session(name: str, *cells: tuple[str, Execution], of: Settings | None = None) -> ExecutedSession:
    return ExecutedSession(
        id=name, cells=tuple(ExecutedCell(*cell) for cell in cells), settings=of or settings()
    )


NO_X = failed("NameError: name 'x' is not defined")
LOST = replace(STOPPED, state_lost=True)
SESSIONS = [
    (session("state lasts", ("x = 6", printed("")), ("print(7 * x)", printed("42\n"))), [SAME, SAME]),
    (
        session("fresh cells", ("x = 6", printed("")), ("x", NO_X), of=settings(fresh_cells=True)),
        [SAME, SAME],
    ),
    (session("differs", ("print(42)", printed("41\n"))), [DIFFERS]),
    (session("fails", ("1 / 0", printed("1"))), [FAILED]),
    (
        session(
            "stopped now",
            ("x = 1", printed("")),
            ("while True: x += 1", printed("")),
            ("print(x)", printed("7\n")),
            ("print(8)", printed("8\n")),
            of=settings(timeout_s=2.0),
        ),
        [SAME, TIMED_OUT, UNDECIDED, SAME],
    ),
    (session("stopped then", ("x = 6", STOPPED), ("print(x)", NO_X)), [UNDECIDED, UNDECIDED]),
    (
        session("lost then", ("x = 6", printed("")), ("y = 1", LOST), ("print(x)", NO_X)),
        [SAME, UNDECIDED, SAME],
    ),
    (
        session("lost in between", ("x = 6", printed("")), ("x", replace(NO_X, state_lost=True))),
        [SAME, SAME],
    ),
    (
        session(
            "died both times",
            ("x = 6", printed("")),
            ("import os; os._exit(3)", Execution(status=DIED, error="died", state_lost=True)),
            ("print(x)", NO_X),
        ),
        [SAME, SAME, SAME],
    ),
    (session("random", ("import random; random.random()", Execution(status=OK, result="0.1"))), [UNDECIDED]),
    (
        ExecutedSession(id="of others", cells=(ExecutedCell("print(42)", printed("42\n")),), settings=None),
        [SAME],
    ),
    (session("nothing"), []),
]


@pytest.mark.kernel
@pytest.mark.anyio
async def test_sessions_run_again_as_they_were_run() -> None:
    found: list[SessionComparison] = []
    await reproduce_all((each for each, _ in SESSIONS), concurrency=3, on_compared=found.append)
    outcomes = {each.id: [cell.outcome for cell in each.cells] for each in found}
    assert outcomes == {each.id: expected for each, expected in SESSIONS}
    assert {each.isolation for each in found} == {"full", "nothing ran"}
    (cell,) = next(each.cells for each in found if each.id == "differs")
    assert cell == CellComparison(outcome=DIFFERS, recorded="41", now="42")


@pytest.mark.kernel
@pytest.mark.anyio
async def test_another_time_limit_can_be_asked_for() -> None:
    found: list[SessionComparison] = []
    slow = session("slow", ("import time; time.sleep(600)", printed("")))
    await reproduce_all([slow], concurrency=1, timeout_s=0.5, on_compared=found.append)
    assert found[0].cells[0].outcome is TIMED_OUT


def solved(code: str) -> RunRecord:
    text = f"See.\n```python\n{code}\n```\n"
    return solve("How many?", model=ScriptedModel(texts=[text, "So \\boxed{42}."]))


@pytest.fixture(scope="module")
def record() -> RunRecord:
    return solved("x = 6\nprint(7 * x)")


def said_41(of: RunRecord) -> RunRecord:
    (execution,) = of.trajectory.executions
    executions = (replace(execution, stdout="41\n"),)
    return replace(of, trajectory=replace(of.trajectory, executions=executions))


def lines(*records: RunRecord) -> str:
    return "".join(f"{json.dumps(to_json(each))}\n" for each in records)


def replay(path: Path, *options: str) -> Ended:
    return mumath_agent("replay", str(path), *options)


@pytest.mark.kernel
def test_a_notebook_that_gives_the_same_is_0(record: RunRecord, tmp_path: Path) -> None:
    write_notebook(record, tmp_path / "p.ipynb")
    done = replay(tmp_path / "p.ipynb")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout == "p: 1 of 1 cells give the same\ncells: 1 same; sessions: 1\n"


@pytest.mark.kernel
def test_all_notebooks_of_a_folder_are_replayed(record: RunRecord, tmp_path: Path) -> None:
    for name in ("p10", "p9"):
        write_notebook(record, tmp_path / f"{name}.ipynb")
    (tmp_path / "notes.txt").write_text("not a notebook")
    done = replay(tmp_path, "--concurrency", "1")
    assert (done.code, done.stderr) == (0, "")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["p9", "p10", "cells"]
    (tmp_path / "bad.ipynb").write_text("{")
    done = replay(tmp_path)
    assert done.code == 2 and "cells: 2 same; sessions: 2" in done.stdout and len(done.errors) == 1


def test_a_folder_without_notebooks_is_refused(tmp_path: Path) -> None:
    done = replay(tmp_path)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr == f"error: {tmp_path} holds no notebook (.ipynb)\n"


@pytest.mark.kernel
def test_a_run_with_a_difference_is_1_and_shows_it(record: RunRecord, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(lines(record, replace(said_41(record), sample=1)))
    done = replay(path, "--concurrency", "1")
    assert done.code == 1
    assert done.stdout.splitlines() == [
        "question: 1 of 1 cells give the same",
        "question#1: 0 of 1 cells give the same",
        "  cell 1: differs",
        "    recorded: 41",
        "    now:      42",
        "cells: 1 same, 1 differs; sessions: 2",
    ]


@pytest.mark.kernel
def test_json_is_one_object_with_every_cell_and_a_bad_line_is_2(record: RunRecord, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(lines(said_41(record)) + '{"not": "a record"}\n{"torn": ')
    done = replay(path, "--json")
    assert done.code == 2
    assert done.stderr.startswith(f"error: {path} line 2: ")
    found = json.loads(done.stdout)
    assert found["cells"]["differs"] == 1
    (replayed,) = found["sessions"]
    assert (replayed["id"], replayed["isolation"]) == ("question", "full")
    assert replayed["cells"] == [{"outcome": "differs", "recorded": "41", "now": "42", "detail": None}]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", "", "a.jsonl holds no run record"),
        ("a.ipynb", "{}", "a.ipynb isn't a notebook that can be used"),
        ("missing.jsonl", None, "can't read missing.jsonl: No such file or directory"),
        ("missing.ipynb", None, "can't read missing.ipynb: No such file or directory"),
        ("a.jsonl", "\x7fELF\0\n\0\n", "a.jsonl isn't text (it contains a zero byte)"),
        ("README.md", "# a\nb\nc\n", "README.md holds no run record: README.md line 1: not valid JSON"),
    ],
)
def test_a_file_of_no_use_is_an_error_of_one_line(
    name: str, text: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path(name).write_text(text)
    done = replay(Path(name))
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1


def test_a_missing_notebook_is_missing_also_where_notebooks_can_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nbformat", None)
    done = replay(tmp_path / "no.ipynb")
    assert (done.code, done.stderr) == (
        2,
        f"error: can't read {tmp_path}/no.ipynb: No such file or directory\n",
    )


@pytest.mark.kernel
def test_sessions_of_a_long_file_are_read_one_at_a_time(tmp_path: Path, record: RunRecord) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(lines(record) + "no record\n")
    sessions = recorded_sessions(path)
    assert isinstance(next(sessions), ExecutedSession)
    assert isinstance(next(sessions), InputError)


@pytest.mark.kernel
def test_what_ran_before_machinery_broke_is_replayed_too(record: RunRecord, tmp_path: Path) -> None:
    broken = replace(record.trajectory, stop_reason=StopReason.MODEL_ERROR, error="gone", answer=None)
    (tmp_path / "run.jsonl").write_text(lines(replace(record, trajectory=broken)))
    (found,) = recorded_sessions(tmp_path / "run.jsonl")
    assert isinstance(found, ExecutedSession) and len(found.cells) == 1
