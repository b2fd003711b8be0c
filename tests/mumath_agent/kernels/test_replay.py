"""Check that a lost kernel's state comes back by running its programs again, if all of them do the same."""

import os

import pytest
from outside import DIES, HOLDS_THE_INTERPRETER, descendants, run

from mumath_agent.kernels import JupyterExecutor, KernelPool, Sandbox
from mumath_agent.protocols import ExecutedCell
from mumath_agent.records import Execution, ExecutionStatus
from tests.mumath_agent.waiting import HANG_S

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]


async def history(executor: JupyterExecutor, *programs: str) -> list[ExecutedCell]:
    """Run programs; what they did."""
    return [ExecutedCell(code, await run(executor, code)) for code in programs]


def state(execution: Execution) -> tuple[bool, bool]:
    return execution.state_lost, execution.state_replayed


LOST, REPLAYED, KEPT = (True, False), (False, True), (False, False)


@pytest.mark.parametrize("death", [DIES, "import ctypes\nctypes.string_at(0)", HOLDS_THE_INTERPRETER])
async def test_what_a_lost_kernel_held_is_there_again(death: str) -> None:
    async with JupyterExecutor(rebuild_state=True) as executor:
        await history(
            executor, "x = 20\nprint('hi')", "def double(n):\n    return 2 * n", "1 / 0", "x += 1\nx"
        )
        for n in range(2):  # and once more
            execution = await run(executor, death, 0.5 if death == HOLDS_THE_INTERPRETER else HANG_S)
            assert execution.status is not ExecutionStatus.OK
            assert state(execution) == REPLAYED
            following = await run(executor, f"double(x) + {n}")
            assert (following.result, state(following)) == (str(42 + n), KEPT)
        assert executor.recoveries == 2


async def test_a_kernel_lost_between_two_programs_is_told_with_the_next_one() -> None:
    async with JupyterExecutor() as warm:
        await run(warm, "1")
    before = descendants()
    async with JupyterExecutor(rebuild_state=True) as executor:
        await run(executor, "x = 5")
        for process in descendants() - before:
            process.kill()
            process.wait()
        execution = await run(executor, "x")
        if execution.status is ExecutionStatus.DIED:  # it went before we knew
            execution, at_first = await run(executor, "x"), execution
            assert state(at_first) == REPLAYED
        else:
            assert state(execution) == REPLAYED
        assert execution.result == "5"


@pytest.mark.parametrize(
    "code",
    [
        "import time\nprint(time.time())",
        "import uuid\nuuid.uuid4()",
        "import os, sys\nprint(os.urandom(8), file=sys.stderr)",
        "import secrets\nraise ValueError(secrets.token_hex())",
    ],
)
async def test_state_is_lost_where_a_program_does_something_else_the_second_time(code: str) -> None:
    async with JupyterExecutor(rebuild_state=True) as executor:
        await history(executor, "x = 5", code)
        assert state(await run(executor, DIES)) == LOST
        following = await run(executor, "x")
        assert (following.error, state(following)) == ("line 1: x\nNameError: name 'x' is not defined", KEPT)
        await run(executor, "y = 6")  # from here on it can be repeated again
        assert state(await run(executor, DIES)) == REPLAYED
        assert (await run(executor, "y")).result == "6"


@pytest.mark.parametrize("name", ["random", "numpy.random", "sympy.core.random"])
async def test_random_numbers_are_the_same_after_a_replay(name: str) -> None:
    async with JupyterExecutor(rebuild_state=True) as executor:
        await run(executor, f"import numpy, random, sympy\nx = [{name}.random() for _ in range(3)]")
        drawn = (await run(executor, f"x.append({name}.random())\nx")).result
        assert state(await run(executor, DIES)) == REPLAYED
        assert (await run(executor, "x")).result == drawn


async def test_figures_count_too() -> None:
    pytest.importorskip("matplotlib")
    draw = "import matplotlib.pyplot as plt\n_ = plt.plot({})\nplt.show()"
    async with JupyterExecutor(rebuild_state=True) as executor:
        assert (await run(executor, draw.format("[1, 2]"))).artefacts
        assert state(await run(executor, DIES)) == REPLAYED
        assert (await run(executor, f"import os\n{draw.format('list(os.urandom(9))')}")).artefacts
        assert state(await run(executor, DIES)) == LOST


async def test_an_interrupted_program_is_never_repeated() -> None:
    async with JupyterExecutor(rebuild_state=True, interrupt_grace_s=HANG_S) as executor:
        await run(executor, "n = 0")
        execution = await run(executor, "while True:\n    n += 1", 0.3)
        assert (execution.status, state(execution)) == (ExecutionStatus.TIMEOUT, KEPT)
        assert state(await run(executor, DIES)) == LOST
        assert (await run(executor, "'n' in globals()")).result == "False"


async def test_without_being_asked_for_nothing_is_repeated() -> None:
    async with JupyterExecutor() as executor:
        await run(executor, "x = 5")
        assert state(await run(executor, DIES)) == LOST
    async with JupyterExecutor(rebuild_state=True, fresh_cells=True) as executor:
        await run(executor, "x = 5")
        assert state(await run(executor, DIES)) == KEPT
        assert (await run(executor, "'x' in globals()")).result == "False"


async def test_a_history_is_restored_in_another_session() -> None:
    async with JupyterExecutor() as executor:
        before = await history(executor, "x = 20", "print('hi')\nx + 1", "1 / 0")
    async with JupyterExecutor(rebuild_state=True) as executor:
        assert await executor.restore(before)
        execution = await run(executor, "x + 22")
        assert (execution.result, state(execution)) == ("42", REPLAYED)
        assert state(await run(executor, DIES)) == REPLAYED  # what was restored is repeatable in its turn
        assert (await run(executor, "x")).result == "20"


@pytest.mark.parametrize(("seed", "restored"), [(7, True), (None, False)])
async def test_random_numbers_are_restored_where_the_seed_is_known(seed: int | None, restored: bool) -> None:
    async with JupyterExecutor(Sandbox(seed=seed)) as executor:
        before = await history(executor, "import random\nrandom.random()")
    async with JupyterExecutor(Sandbox(seed=seed)) as executor:
        assert await executor.restore(before) is restored


OK = ExecutionStatus.OK


@pytest.mark.parametrize(
    "ran",
    [
        ExecutedCell("print('this')", Execution(status=OK, stdout="that\n")),
        ExecutedCell("1", Execution(status=OK, result="2")),
        ExecutedCell("1 / 0", Execution(status=OK)),
        ExecutedCell("1", Execution(status=ExecutionStatus.TIMEOUT)),
        ExecutedCell("1", Execution(status=ExecutionStatus.DIED)),
        ExecutedCell(DIES, Execution(status=OK)),
        ExecutedCell("import time\ntime.sleep(600)", Execution(status=OK, duration_s=0.1)),
    ],
    ids=lambda ran: f"{ran.code.splitlines()[-1]}-{ran.execution.status}",
)
async def test_a_history_that_can_not_be_repeated_leaves_a_fresh_session_that_says_so(
    ran: ExecutedCell,
) -> None:
    x = ExecutedCell("x = 5", Execution(status=OK))
    async with JupyterExecutor() as executor:
        assert not await executor.restore([x, ran])
        execution = await run(executor, "'x' in globals()")
        assert (execution.result, state(execution)) == ("False", LOST)
        assert state(await run(executor, "1")) == KEPT


async def test_an_empty_history_is_restored_at_once() -> None:
    async with JupyterExecutor() as executor:
        assert await executor.restore([])
        assert os.getpid() != int((await run(executor, "import os\nos.getpid()")).result or 0)


async def test_a_session_that_ran_something_is_left_alone() -> None:
    async with JupyterExecutor() as executor:
        await run(executor, "x = 1")
        assert await executor.restore([ExecutedCell("x = 2", Execution(status=OK))])
        execution = await run(executor, "x")
        assert (execution.result, state(execution)) == ("1", KEPT)


async def test_where_cells_share_nothing_there_is_nothing_to_bring_back() -> None:
    async with JupyterExecutor(fresh_cells=True) as executor:
        assert await executor.restore([ExecutedCell("x = 2", Execution(status=OK))])
        execution = await run(executor, "'x' in globals()")
        assert (execution.result, state(execution)) == ("False", KEPT)


async def test_random_numbers_begin_at_the_seed_that_is_given() -> None:
    async with KernelPool(spares=1) as pool, JupyterExecutor(pool=pool, seed=7) as executor:
        before = await history(executor, "import random\nrandom.random()")
    async with JupyterExecutor(seed=7) as executor:
        assert await executor.restore(before)
    async with JupyterExecutor(seed=8) as executor:
        assert not await executor.restore(before)


async def test_what_is_printed_is_told_and_not_what_a_replay_prints() -> None:
    told: list[tuple[str, str]] = []
    program = "import sys\nprint('a')\nprint('b')\nprint('c', file=sys.stderr)"
    async with JupyterExecutor(rebuild_state=True) as executor:
        await executor.run(
            program, timeout_s=HANG_S, on_output=lambda stream, text: told.append((stream, text))
        )
        printed = list(told)
        assert "".join(text for stream, text in told if stream == "stdout") == "a\nb\n"
        assert told[-1] == ("stderr", "c\n")
        assert state(await run(executor, DIES)) == REPLAYED
    assert told == printed
