"""How checks are run, whatever they do."""

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent.bridge import run_sync
from mumath_agent.doctor import Check, Finding, Status, examine
from mumath_agent.errors import InputError

OUTCOMES: tuple[Status | Exception, ...] = (
    Status.OK,
    Status.WARN,
    Status.FAIL,
    InputError("no such thing"),
    ZeroDivisionError("by\nzero"),
)


def check(name: str, outcome: Status | Exception, needs: Collection[str] = ()) -> Check:
    async def look() -> Finding:
        if isinstance(outcome, Exception):
            raise outcome
        return Finding(status=outcome, detail="looked")

    return Check(name=name, look=look, needs=tuple(needs))


@st.composite
def checks(draw: st.DrawFn) -> list[tuple[str, Status | Exception, set[str]]]:
    names = [str(number) for number in range(draw(st.integers(0, 8)))]
    return [
        (name, draw(st.sampled_from(OUTCOMES)), draw(st.sets(st.sampled_from(names[:n]))) if n else set())
        for n, name in enumerate(names)
    ]


@given(checks())
def test_each_check_is_answered_once_in_order_and_left_out_only_where_a_need_is_missing(
    made: list[tuple[str, Status | Exception, set[str]]],
) -> None:
    begun: list[str] = []

    async def run() -> list[Finding]:
        return [finding async for finding in examine([check(*one) for one in made], begun.append)]

    findings = {finding.name: finding for finding in run_sync(run())}
    assert list(findings) == [name for name, _, _ in made]
    bad = (Status.FAIL, Status.SKIPPED)
    for name, outcome, needs in made:
        lacking = any(findings[need].status in bad for need in needs)
        expected = outcome if isinstance(outcome, Status) else Status.FAIL
        assert findings[name].status is (Status.SKIPPED if lacking else expected)
        assert (name in begun) is not lacking
        assert "\n" not in findings[name].detail


@pytest.mark.parametrize(
    ("raised", "detail"),
    [
        (InputError("no such thing"), "no such thing"),
        (ZeroDivisionError("by\nzero"), "the check broke off: ZeroDivisionError: by zero"),
        (TimeoutError(), "the check broke off: TimeoutError"),
    ],
)
def test_a_check_that_breaks_off_has_failed_and_says_why(raised: Exception, detail: str) -> None:
    async def run() -> list[Finding]:
        return [finding async for finding in examine([check("it", raised)])]

    assert run_sync(run()) == [Finding(name="it", status=Status.FAIL, detail=detail)]
