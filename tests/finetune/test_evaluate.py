"""The small parts of the held-out evaluation."""

import pytest

pytest.importorskip("torch")

from finetune.embedded.evaluate import boxed, equal, execute
from mumath_agent.records import ExecutionStatus

pytestmark = pytest.mark.train


@pytest.mark.parametrize(
    ("found", "answer", "right"),
    [
        ("12", "12", True),
        ("12.0", "12", True),
        ("1,200\n", "1200", True),
        ("0.33", "0.3333", False),
        ("", "12", False),
        (None, "12", False),
        ("twelve", "12", False),
        ("-3", "3", False),
        ("nan", "3", False),
    ],
)
def test_equal(found: str | None, answer: str, right: bool) -> None:
    assert equal(found, answer) is right


def test_boxed_takes_the_last() -> None:
    assert boxed("\\boxed{1} then \\boxed{22}") == "22"
    assert boxed("nothing") is None


def test_programs_run_in_a_process_of_their_own() -> None:
    assert execute("print(1 + 2)").stdout == "3\n"
    error = execute("n0 = 1\nprint(a)")
    assert error.status is ExecutionStatus.ERROR
    assert error.error == "line 2: print(a)\nNameError: name 'a' is not defined"
    assert execute("def (").status is ExecutionStatus.ERROR
    assert execute("while True: pass", timeout_s=0.3).status is ExecutionStatus.TIMEOUT
