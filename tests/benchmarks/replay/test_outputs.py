"""What counts as the same output, and which cause a difference gets."""

import pytest

from benchmarks.replay.outputs import (
    DifferenceCause,
    Output,
    OutputPair,
    difference_cause,
    our_output,
    recorded_output,
)
from benchmarks.replay.recordings import Runtime
from mumath_agent.records import Execution, ExecutionStatus
from mumath_agent.runs.reproduction import visible_text

RULE = "-" * 75
TIMED_OUT = (
    f"{RULE} Timeout waiting for reply                                Traceback (most recent call last) "
)


def traceback(name: str, cell: int = 1, message: str = "no") -> str:
    head = f"{RULE} {name}                 Traceback (most recent call last) Cell In[{cell}], line 1"
    return f"{head}\n----> 1 x \x1b[38;5;241m= \x1b[38;5;241m1\n {name}: {message}"


def pair(recorded: str, ours: str | Execution, code: str = "x") -> OutputPair:
    execution = ours if isinstance(ours, Execution) else Execution(status=ExecutionStatus.OK, result=ours)
    return OutputPair(
        code=code,
        recorded=recorded_output(recorded, Runtime.MATHCODER),
        ours=our_output(execution, Runtime.MATHCODER),
    )


def failed(error: str) -> Execution:
    return Execution(status=ExecutionStatus.ERROR, error=f"line 1: x = 1\n{error}")


STOPPED = Execution(status=ExecutionStatus.TIMEOUT, error="TimeoutError: the program ran longer than 6 s")


@pytest.mark.parametrize(
    ("recorded", "ours", "expected"),
    [
        ("51", "51", DifferenceCause.EQUAL),
        ("(7, 3)\n", "(7,\n 3)", DifferenceCause.EQUAL),
        ("<empty_execution>", Execution(status=ExecutionStatus.OK), DifferenceCause.EQUAL),
        ("a\n5", Execution(status=ExecutionStatus.OK, stdout="a\n", result="5"), DifferenceCause.EQUAL),
        ("0.333333", "0.3333333333", DifferenceCause.FLOAT_FORMAT),
        ("[1.0, x]", "[1.0000000001, x]", DifferenceCause.FLOAT_FORMAT),
        ("5.0", "5", DifferenceCause.FLOAT_FORMAT),
        ("[0.6923, True]", "[np.float64(0.6923), np.True_]", DifferenceCause.LIBRARY_VERSION),
        ("0.6923", "np.float64(0.7)", DifferenceCause.OURS),
        (f"array([{'0. ' * 200}13160.])", f"array([{'0. ' * 200}13162.])", DifferenceCause.LIBRARY_VERSION),
        (f"array([{'0. ' * 200}13160.])", f"array([{'0. ' * 200}14000.])", DifferenceCause.OURS),
        ("array([13160.])", "array([13162.])", DifferenceCause.OURS),
        ("5", failed("PermissionError: [Errno 1] Operation not permitted"), DifferenceCause.REFUSED),
        (
            "5",
            failed("ModuleNotFoundError: No module named 'no_such_library'"),
            DifferenceCause.LIBRARY_VERSION,
        ),
        ("5", failed("ModuleNotFoundError: No module named 'sympy.none'"), DifferenceCause.OURS),
        (
            "5",
            failed("AttributeError: module 'numpy' has no attribute 'trapz'"),
            DifferenceCause.LIBRARY_VERSION,
        ),
        ("5", failed("AttributeError: module 'numpy' has no attribute 'mean'"), DifferenceCause.OURS),
        (
            traceback("TypeError")
            + "\nDuring it:\n ValueError      Traceback (most recent call last)\n ValueError: no",
            failed("ValueError: no"),
            DifferenceCause.TEXT_FORMAT,
        ),
        ("0.3333", "0.3334", DifferenceCause.OURS),
        ("1000000", "1000001", DifferenceCause.OURS),
        ("1.5*x", "1.5*y", DifferenceCause.OURS),
        ("5", "6", DifferenceCause.OURS),
        ("", "6", DifferenceCause.OURS),
        (traceback("ValueError"), failed("ValueError: in other words"), DifferenceCause.TEXT_FORMAT),
        (traceback("KeyError", message="0"), failed("KeyError: 0"), DifferenceCause.TEXT_FORMAT),
        (
            traceback("NotImplementedError"),
            failed("NotImplementedError: a\nNo algorithms"),
            DifferenceCause.TEXT_FORMAT,
        ),
        (
            "  Cell In[1], line 2\n    x =\n       ^\nSyntaxError: invalid syntax",
            failed("SyntaxError: x"),
            DifferenceCause.TEXT_FORMAT,
        ),
        (
            traceback("TypeError") + "\n" + traceback("ValueError"),
            failed("ValueError: no"),
            DifferenceCause.TEXT_FORMAT,
        ),
        (
            traceback("TypeError") + "\n" + traceback("ValueError"),
            failed("TypeError: no"),
            DifferenceCause.OURS,
        ),
        (
            traceback("GeneratorsNeeded"),
            failed("sympy.polys.polyerrors.GeneratorsNeeded: no"),
            DifferenceCause.TEXT_FORMAT,
        ),
        ("", "<Figure size 640x480 with 1 Axes>", DifferenceCause.EQUAL),
        ("", "<Figure size 640x480 with 1 Axes> and more", DifferenceCause.OURS),
        (traceback("ValueError"), failed("TypeError: no"), DifferenceCause.OURS),
        (traceback("ValueError"), "5", DifferenceCause.OURS),
        ("5", failed("ValueError: no"), DifferenceCause.OURS),
        (TIMED_OUT, "5", DifferenceCause.TIME_OUT),
        ("5", STOPPED, DifferenceCause.TIME_OUT),
    ],
)
def test_the_cause_of_one_difference(recorded: str, ours: str | Execution, expected: DifferenceCause) -> None:
    assert difference_cause(pair(recorded, ours), []) is expected


@pytest.mark.parametrize(
    ("earlier", "now", "expected"),
    [
        ([(TIMED_OUT, "7")], ("7", "8"), DifferenceCause.SHIFTED),
        ([(TIMED_OUT, "7"), ("7", "8")], ("8", "9"), DifferenceCause.SHIFTED),
        ([(TIMED_OUT, STOPPED)], (traceback("TypeError", cell=1), "8"), DifferenceCause.SHIFTED),
        ([("6", "6")], ("6", "8"), DifferenceCause.OURS),
        (
            [(TIMED_OUT, STOPPED), ("", failed("NameError: no"))],
            ("5", failed("TypeError: no")),
            DifferenceCause.TIME_OUT,
        ),
        ([(TIMED_OUT, STOPPED)], ("5", failed("TypeError: no")), DifferenceCause.OURS),
        ([(TIMED_OUT, "7")], ("9", "8"), DifferenceCause.OURS),
        ([(TIMED_OUT, "7")], (traceback("TypeError", cell=2), "8"), DifferenceCause.OURS),
        (
            [(TIMED_OUT, STOPPED)],
            ("5", failed("NameError: name 'x' is not defined")),
            DifferenceCause.TIME_OUT,
        ),
        ([("5", "5")], ("5", failed("NameError: name 'x' is not defined")), DifferenceCause.OURS),
        ([(TIMED_OUT, STOPPED), (traceback("TypeError", cell=1), "8")], ("3", "4"), DifferenceCause.TIME_OUT),
    ],
)
def test_the_cause_of_a_difference_after_others(
    earlier: list[tuple[str, str | Execution]], now: tuple[str, str | Execution], expected: DifferenceCause
) -> None:
    assert difference_cause(pair(*now), [pair(*before) for before in earlier]) is expected


def test_what_is_recorded_later_shows_that_the_recording_is_late() -> None:
    stopped = pair(TIMED_OUT, STOPPED)
    assert difference_cause(pair("7", "8"), [stopped], [Output(text="8")]) is DifferenceCause.SHIFTED
    assert difference_cause(pair("7", "8"), [stopped], [Output(text="9")]) is DifferenceCause.OURS
    assert difference_cause(pair("7", "8"), [], [Output(text="8")]) is DifferenceCause.OURS


@pytest.mark.parametrize(
    ("first", "code", "recorded", "expected"),
    [
        ("import random", "random.random()", "0.25", DifferenceCause.RANDOM),
        ("import random", "[random.random()]", "[0.25]", DifferenceCause.OURS),
        ("import random; random.seed(3)", "random.random()", "0.25", DifferenceCause.OURS),
        ("import math", "math.sqrt(0.25)", "0.25", DifferenceCause.OURS),
    ],
)
def test_random_numbers_explain_other_numbers_only(
    first: str, code: str, recorded: str, expected: DifferenceCause
) -> None:
    assert difference_cause(pair(recorded, "0.5", code), [pair("", "", first)]) is expected


@pytest.mark.parametrize(
    ("execution", "shown"),
    [
        (Execution(status=ExecutionStatus.OK, stdout="5\n", result="6"), Output(text="5")),
        (Execution(status=ExecutionStatus.OK, result="6"), Output(text="Done")),
        (
            Execution(status=ExecutionStatus.ERROR, stdout="5\n", error="line 1: x\nKeyError: 0"),
            Output(text="KeyError: 0", error="KeyError"),
        ),
        (Execution(status=ExecutionStatus.OK, stdout="1" * 500), Output(text="1" * 200 + "..." + "1" * 200)),
    ],
)
def test_tora_shows_stdout_or_the_last_line_of_an_error(execution: Execution, shown: Output) -> None:
    assert our_output(execution, Runtime.TORA) == shown


@pytest.mark.parametrize(
    "execution",
    [
        Execution(status=ExecutionStatus.OK, stdout="5\n" * 900, result="6"),
        Execution(status=ExecutionStatus.OK),
        Execution(status=ExecutionStatus.ERROR, stdout="5", error="line 1: x\nKeyError: 0"),
        Execution(status=ExecutionStatus.DIED, state_lost=True),
    ],
)
def test_of_our_own_recordings_all_is_compared_and_equal_to_itself(execution: Execution) -> None:
    recorded = recorded_output(visible_text(execution), Runtime.MUMATH)
    ours = our_output(execution, Runtime.MUMATH)
    assert recorded == ours and len(ours.text) > len(execution.stdout.strip())
    other = our_output(Execution(status=ExecutionStatus.OK, stdout="7"), Runtime.MUMATH)
    assert difference_cause(OutputPair(code="x", recorded=recorded, ours=other), []) is DifferenceCause.OURS
