"""Sessions by name: whatever an agent's state says has run, the session that answers is exactly there."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mumath_agent.bridge import run_sync
from mumath_agent.kernels import Sandbox
from mumath_agent.langchain.session import Program, SessionCell, SessionHistory, SessionPolicy
from mumath_agent.langchain.session_pool import SessionPool
from mumath_agent.records import ExecutionStatus, from_json, to_json
from tests.waiting import HANG_S, eventually

pytestmark = pytest.mark.kernel


def new_sessions(*, rebuild_state: bool = True, idle_s: float = 60, most: int = 64) -> SessionPool:
    return SessionPool(
        SessionPolicy(sandbox=Sandbox(), rebuild_state=rebuild_state, idle_s=idle_s, max_sessions=most)
    )


def program(code: str, call_id: str = "call") -> Program:
    return Program(code=code, call_id=call_id, timeout_s=HANG_S)


def past(*cells: SessionCell, siblings: tuple[str, ...] = ()) -> SessionHistory:
    return SessionHistory(cells=cells, siblings=frozenset(siblings))


APPEND = "seen = [*globals().get('seen', []), {number}]\nprint(seen)"


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=8))
def test_an_agent_that_goes_back_and_restarts_reads_only_what_its_own_past_did(
    steps: list[tuple[int, bool]],
) -> None:
    """Each step keeps some of the cells so far, perhaps in a new process, and runs one more."""

    async def walk() -> None:
        sessions = new_sessions()
        cells: list[SessionCell] = []
        for number, (kept, restarts) in enumerate(steps):
            if restarts:
                await sessions.aclose()
                sessions = new_sessions()
            cells = [from_json(SessionCell, to_json(cell)) for cell in cells[:kept]]
            asked = program(APPEND.format(number=number), f"call {number}")
            cells.append(await sessions.run("a", asked, past=past(*cells, siblings=(asked.call_id,))))
            numbers = [int(cell.call_id.removeprefix("call ")) for cell in cells]
            assert cells[-1].execution.stdout == f"{numbers}\n"
            assert not cells[-1].execution.state_lost
        await sessions.aclose()

    run_sync(walk())


def ran(steps: Coroutine[Any, Any, Any]) -> Any:
    return run_sync(steps)


@pytest.mark.parametrize(
    ("breaking", "status"),
    [
        ("import os; os._exit(1)", ExecutionStatus.DIED),
        ("import time; time.sleep(600)", ExecutionStatus.TIMEOUT),
    ],
)
def test_what_a_program_broke_is_not_brought_back(breaking: str, status: ExecutionStatus) -> None:
    """The agent was told that its session is gone, or may hold half of what it did; another process knows it, too."""

    async def steps() -> tuple[SessionCell, SessionCell]:
        sessions = new_sessions(rebuild_state=False)
        first = await sessions.run("a", program("x = 1"), past=past())
        broke = await sessions.run("a", Program(code=breaking, timeout_s=0.3), past=past(first))
        await sessions.aclose()
        sessions = new_sessions()
        after = await sessions.run("a", program("x"), past=past(first, broke))
        await sessions.aclose()
        return broke, after

    broke, after = ran(steps())
    assert broke.execution.status is status
    assert after.execution.error is not None and "NameError" in after.execution.error
    if status is ExecutionStatus.TIMEOUT:
        assert after.execution.state_lost


def test_a_call_is_answered_from_the_record_only_for_the_same_program() -> None:
    async def steps() -> list[SessionCell]:
        sessions = new_sessions()
        first = await sessions.run("a", program("x = 0"), past=past())
        codes = ("x += 1; print(x)", "x += 1; print(x)", "x += 5; print(x)")
        cells = [
            await sessions.run("a", program(code, "c"), past=past(first, siblings=("c",))) for code in codes
        ]
        await sessions.aclose()
        return cells

    once, again, edited = ran(steps())
    assert again is once and once.execution.stdout == "1\n"
    assert edited.execution.stdout == "5\n"


def test_a_session_that_runs_a_program_is_never_the_one_that_makes_room() -> None:
    async def steps() -> tuple[str, ...]:
        sessions = new_sessions(most=1, idle_s=0.2)
        busy = asyncio.create_task(sessions.run("busy", program("import time; time.sleep(600)")))
        assert await eventually(lambda: "busy" in sessions.names)
        for name in "abc":
            await sessions.run(name, program("1"))
        living = sessions.names
        assert not busy.done()
        busy.cancel()
        await asyncio.wait({busy})
        await sessions.aclose()
        return living

    assert "busy" in ran(steps())


def test_releasing_waits_for_what_runs_and_who_waits_gets_another_session() -> None:
    async def steps() -> tuple[SessionCell, SessionCell]:
        sessions = new_sessions()
        before = past(await sessions.run("a", program("x = 1"), past=past()), siblings=("slow", "next"))
        slow = program("import time; time.sleep(0.5); print(x)", "slow")
        running = asyncio.create_task(sessions.run("a", slow, past=before))
        await asyncio.sleep(0.1)
        releasing = asyncio.create_task(sessions.release("a"))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(sessions.run("a", program("print(x)", "next"), past=before))
        cells = await running, await waiting
        await releasing
        await sessions.aclose()
        return cells

    assert [cell.execution.stdout for cell in ran(steps())] == ["1\n", "1\n"]
