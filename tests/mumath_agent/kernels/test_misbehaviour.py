"""Run programs that go wrong in every way known: each is ended, and the session answers the next one.

Some attack the connection to us: a program may send anything on it, so nothing on it may cost us more than that
program's session.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext

import psutil
import pytest
from misbehaving import CASES, FIND_WIRES, FORGERIES, KEPT, KERNEL, LOST, OK, TIMEOUT, Case
from outside import descendants
from watching import Watch, going_on, next_cell

from mumath_agent.kernels import JupyterExecutor
from mumath_agent.records import ExecutionStatus
from tests.waiting import HANG_S, eventually

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]


@pytest.fixture(scope="module")
async def bystander() -> AsyncIterator[JupyterExecutor]:
    """Another session, whose kernel comes from the same fork server."""
    async with JupyterExecutor() as executor:
        yield executor


def time_limit_s(case: Case) -> float:
    """Return a limit that ends what never ends, and that nothing else reaches."""
    return 0.5 if TIMEOUT in case.statuses else HANG_S


def grace_s(case: Case) -> float:
    """Return how long a program may take to end after its interrupt; those that are deaf to it never do."""
    return HANG_S if case.lost == KEPT else 0.2 if case.lost == LOST else 0.5


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=pytest.mark.slow if case.at_night else [])
        for case in CASES + FORGERIES
    ],
)
async def test_a_misbehaving_program_is_ended_and_all_sessions_go_on(
    case: Case, bystander: JupyterExecutor
) -> None:
    beside = going_on(bystander) if case in FORGERIES else nullcontext()
    async with JupyterExecutor(interrupt_grace_s=grace_s(case)) as session:
        await session.run("kept = 1", timeout_s=HANG_S)
        process = psutil.Process()
        descriptors = process.num_fds()
        with Watch() as watch:
            async with beside:
                execution = await session.run(case.code, timeout_s=time_limit_s(case))
        following = await session.run("print(6*7)", timeout_s=HANG_S)
        if case.strikes_later and following.status is ExecutionStatus.DIED:
            following = await session.run("print(6*7)", timeout_s=HANG_S)
        assert following.status is OK, following.error
        assert following.stdout == "42\n"
        assert execution.status in case.statuses, execution.error
        assert (execution.state_lost or following.state_lost) in case.lost
        assert await eventually(lambda: process.num_fds() <= descriptors + 6)
        watch.check()
        assert len(execution.stdout) + len(execution.stderr) + len(execution.result or "") < 3 * 300_000


FLOODS = {
    "prints": "while True: print('spam' * 100)",
    "displays": "while True: display('x' * 10**6)",
    **{
        case.name: case.code
        for case in FORGERIES
        if case.name in ("endless_junk_messages_on_iopub", "endless_commands_on_shell")
    },
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_other_sessions_go_on_while_a_program_floods_us(flood: str, bystander: JupyterExecutor) -> None:
    """The cells would come to no end if reading the flood kept the loop to itself."""
    await bystander.run("cells = 0", timeout_s=HANG_S)
    async with JupyterExecutor() as executor:
        await executor.run("1", timeout_s=HANG_S)
        flooding = asyncio.create_task(executor.run(FLOODS[flood], timeout_s=HANG_S))
        for number in range(1, 9):
            await asyncio.sleep(0.05)
            await next_cell(bystander, number)
        flooding.cancel()
        await asyncio.wait({flooding})


AFTERWARDS = {
    "messages": "kernel._send(kernel._peers, 'stream', {'name': 'stdout', 'text': 'x'}, kernel._parent, b'stream')",
    "junk on iopub": "wires[-2].sendall(bytes([0, 1, 65]) * 100_000)",
    "junk on shell": "wires[-1].sendall(bytes([0, 1, 65]) * 100_000)",
    "commands": "wires[-1].sendall(bytes([4, 0]) * 100_000)",
    "frames without an end": "wires[-1].sendall(bytes([1, 0]) * 10)",
    "half a huge frame": "wires[-2].sendall(bytes([2]) + (5 << 20).to_bytes(8, 'big') + bytes(4 << 20))",
    "single bytes": "wires[-2].sendall(bytes(1) if globals().get('begun') else "
    "globals().update(begun=True) or bytes([2]) + (5 << 20).to_bytes(8, 'big'))",
    "endings": "kernel._send(kernel._peers, 'status', {'execution_state': 'idle'}, kernel._parent, b'status')",
}


_BY_DAY = ("messages", "half a huge frame")


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(act, id=name, marks=[] if name in _BY_DAY else pytest.mark.slow)
        for name, act in AFTERWARDS.items()
    ],
)
async def test_a_flood_after_the_end_of_a_cell_is_stopped(act: str) -> None:
    """Our CPU time is that of reading a bounded part; its session begins anew."""
    flood = (
        f"def flood():\n    time.sleep(0.1)\n    while True: {act}\nthreading.Thread(target=flood).start()"
    )
    async with JupyterExecutor() as executor:
        first = await executor.run(f"import threading, time\n{FIND_WIRES}{KERNEL}{flood}", timeout_s=HANG_S)
        assert (first.status, first.state_lost) == (OK, False)
        before = time.process_time()
        await asyncio.sleep(2)
        assert time.process_time() - before < 1
        following = await executor.run("print('kept')", timeout_s=HANG_S)
        assert (following.status, following.stdout, following.state_lost) == (OK, "kept\n", True)


async def test_a_program_that_hangs_at_exit_does_not_hold_us_up() -> None:
    async with JupyterExecutor() as executor:
        await executor.run("1", timeout_s=HANG_S)
    before = descendants()
    async with JupyterExecutor() as executor:
        await executor.run("import atexit, time\natexit.register(time.sleep, 1000)", timeout_s=HANG_S)
    assert await eventually(lambda: descendants() <= before)
