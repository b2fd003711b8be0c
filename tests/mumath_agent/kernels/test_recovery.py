"""Check sessions after programs that took too long, died or were cancelled."""

import asyncio
import signal
import time

import anyio
import pytest
from outside import DIES, HOLDS_THE_INTERPRETER, SWALLOWS_INTERRUPTS, descendants, gone, run

from mumath_agent.kernels import JupyterExecutor
from mumath_agent.records import ExecutionStatus
from tests.mumath_agent.waiting import HANG_S, eventually

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]


async def test_a_program_that_takes_too_long_is_interrupted_and_the_session_stays(
    session: JupyterExecutor,
) -> None:
    await run(session, "kept = 'here'")
    execution = await run(session, "print('started')\nimport time\ntime.sleep(600)", timeout_s=0.5)
    assert (execution.status, execution.stdout) == (ExecutionStatus.TIMEOUT, "started\n")
    assert (
        execution.error
        == "line 3: time.sleep(600)\nTimeoutError: the program ran longer than 0.5 s and was stopped"
    )
    assert not execution.state_lost
    endless = await run(session, "while True:\n    pass", timeout_s=0.5)
    assert (endless.status, endless.state_lost) == (ExecutionStatus.TIMEOUT, False)
    for n in range(3):  # each of the next cells gets its own output
        assert (await run(session, f"print({n}, kept)")).stdout == f"{n} here\n"


@pytest.mark.parametrize("code", ["await asyncio.sleep(600)", "await asyncio.gather(asyncio.sleep(600))"])
async def test_waiting_at_the_top_level_can_be_interrupted(session: JupyterExecutor, code: str) -> None:
    await run(session, "import asyncio\nkept = 'here'")
    execution = await run(session, code, timeout_s=0.5)
    assert (execution.status, execution.state_lost) == (ExecutionStatus.TIMEOUT, False)
    assert (await run(session, "await asyncio.sleep(0.01, kept)")).result == "'here'"


@pytest.mark.parametrize("code", [SWALLOWS_INTERRUPTS, HOLDS_THE_INTERPRETER])
async def test_a_program_that_can_not_be_interrupted_is_killed(
    impatient_session: JupyterExecutor, code: str
) -> None:
    session = impatient_session
    await run(session, "kept = 1")
    recoveries = session.recoveries
    execution = await run(session, code, timeout_s=0.5)
    assert (execution.status, execution.state_lost) == (ExecutionStatus.TIMEOUT, True)
    assert session.recoveries == recoveries + 1
    following = await run(session, "print('kept' in globals())")
    assert (following.stdout, following.state_lost) == ("False\n", False)


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("import os, time\nprint('said', flush=True)\ntime.sleep(0.5)\nos._exit(3)", "exit code 3"),
        ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
    ],
)
async def test_a_dying_process_is_reported_and_replaced(
    session: JupyterExecutor, code: str, how: str
) -> None:
    await run(session, "1")
    execution = await run(session, code)
    assert (execution.status, execution.state_lost) == (ExecutionStatus.DIED, True)
    assert execution.error == f"The Python process died while it ran this program ({how})."
    assert execution.stdout == ("said\n" if "said" in code else "")
    assert (await run(session, "1 + 1")).result == "2"


@pytest.mark.parametrize("fresh_cells", [False, True])
async def test_a_session_that_died_between_two_cells_is_replaced_before_the_next(fresh_cells: bool) -> None:
    async with JupyterExecutor(fresh_cells=fresh_cells) as executor:
        kernel = await executor._live_kernel()
        await run(executor, "1")
        kernel.process.send_signal(signal.SIGKILL)
        assert await eventually(lambda: not kernel.alive)
        execution = await run(executor, "1 + 1")
    assert (execution.status, execution.result) == (ExecutionStatus.OK, "2")
    assert execution.state_lost is not fresh_cells  # where every cell starts afresh there is none to lose


async def test_a_cancelled_program_is_killed() -> None:
    async with JupyterExecutor() as warm:
        await run(warm, "1")
    before = descendants()
    async with JupyterExecutor() as executor:
        await run(executor, "1")
        kernels = descendants() - before
        assert len(kernels) == 1
        with anyio.move_on_after(0.3):
            await run(executor, HOLDS_THE_INTERPRETER)
        assert gone(*kernels)
        execution = await run(executor, "1 + 1")
        assert (execution.result, execution.state_lost, executor.recoveries) == ("2", True, 1)


async def test_a_run_cancelled_while_it_waits_for_the_kernel_harms_nothing() -> None:
    async with JupyterExecutor() as executor:
        with anyio.move_on_after(0):
            await run(executor, "1")
        execution = await run(executor, "1 + 1")
        assert (execution.result, execution.state_lost, executor.recoveries) == ("2", False, 0)


@pytest.mark.parametrize("turns_of_the_loop", range(8))
async def test_a_session_can_be_left_just_before_its_run_notices_that_it_was_cancelled(
    turns_of_the_loop: int,
) -> None:
    async def cancel_later() -> None:
        for _ in range(turns_of_the_loop):
            await asyncio.sleep(0)
        running.cancel()

    with anyio.fail_after(HANG_S):
        async with JupyterExecutor() as executor:
            await run(executor, "1")
            running = asyncio.create_task(run(executor, "while True:\n    pass"))
            await anyio.sleep(0.1)
            cancelling = asyncio.create_task(cancel_later())
        await asyncio.wait({running, cancelling})
        assert running.cancelled()


async def test_programs_that_all_die_do_not_stop_the_session() -> None:
    async with JupyterExecutor() as executor:
        for _ in range(5):
            assert (await run(executor, DIES)).status is ExecutionStatus.DIED
        assert executor.recoveries == 5
        assert (await run(executor, "1 + 1")).result == "2"


async def test_a_busy_loop_of_ours_is_not_held_against_a_cell(session: JupyterExecutor) -> None:
    await run(session, "1")

    async def hold_the_loop() -> None:
        time.sleep(1.7)  # noqa: ASYNC251 - the point of the test

    held = asyncio.create_task(hold_the_loop())
    execution = await run(session, "print('in time')", timeout_s=0.5)
    await held
    assert (execution.status, execution.stdout) == (ExecutionStatus.OK, "in time\n")
