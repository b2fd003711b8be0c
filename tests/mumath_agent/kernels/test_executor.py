"""Check what a program finds in its session, and what it leaves there for the next one."""

import asyncio
import threading

import psutil
import pytest
from outside import run

from mumath_agent.errors import KernelError
from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.records import Execution, ExecutionStatus
from tests.waiting import HANG_S, eventually

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]


async def test_state_lasts_from_cell_to_cell(session: JupyterExecutor) -> None:
    await run(session, "x = 20\ndef double(n):\n    return 2 * n")
    assert (await run(session, "double(x) + 2")).result == "42"


async def test_what_a_program_prints_returns_and_warns_is_told_apart(session: JupyterExecutor) -> None:
    execution = await run(session, "import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7")
    told = (execution.stdout, execution.stderr, execution.result, execution.error)
    assert told == ("out\n", "err\n", "42", None)
    assert execution.status is ExecutionStatus.OK
    assert execution.duration_s > 0


@pytest.mark.parametrize("code", ["y = 1", "", "# nothing", "None"])
async def test_a_program_without_output_is_no_failure(session: JupyterExecutor, code: str) -> None:
    execution = await run(session, code)
    assert execution == Execution(status=ExecutionStatus.OK, duration_s=execution.duration_s)


@pytest.mark.parametrize("code", ["exit()", "quit()", "import sys\nsys.exit(0)", "raise SystemExit"])
async def test_exit_ends_the_program_and_not_the_session(session: JupyterExecutor, code: str) -> None:
    execution = await run(session, f"kept = 5\n{code}\nkept = 6")
    assert (execution.status, execution.error, execution.stderr) == (ExecutionStatus.OK, None, "")
    assert (await run(session, "kept")).result == "5"


async def test_a_program_can_import_a_module_it_wrote(session: JupyterExecutor) -> None:
    assert (await run(session, "open('mine.py', 'w').write('v = 7')\nimport mine\nmine.v")).result == "7"


async def test_top_level_await_works(session: JupyterExecutor) -> None:
    assert (await run(session, "import asyncio\nawait asyncio.sleep(0.01, 'slept')")).result == "'slept'"


@pytest.mark.parametrize("name", ["stdout", "stderr"])
async def test_a_program_that_takes_its_stream_away_harms_no_later_one(
    session: JupyterExecutor, name: str
) -> None:
    await run(session, f"import sys\nsys.{name} = None")
    execution = await run(session, "1 + 1")
    if execution.status is not ExecutionStatus.OK:
        await run(session, "import os\nos._exit(0)")  # the other tests want a session that works
    assert (execution.status, execution.result) == (ExecutionStatus.OK, "2"), execution.error


async def test_fresh_cells_forget() -> None:
    async with JupyterExecutor(fresh_cells=True) as executor:
        assert (await run(executor, "x = 1\nx")).result == "1"
        execution = await run(executor, "x")
        assert execution.error == "line 1: x\nNameError: name 'x' is not defined"
        assert not execution.state_lost
        assert executor.recoveries == 0


async def test_two_sessions_do_not_see_each_other() -> None:
    look = "import math, os\nprint(math.sqrt(4), os.listdir(), 'MINE' in os.environ, 'x' in globals())"
    async with JupyterExecutor() as one, JupyterExecutor() as other:
        change = (
            "import math, os\nmath.sqrt = lambda n: 42\nopen('f', 'w').close()\nos.environ['MINE'] = x = '1'"
        )
        await run(one, change)
        assert (await run(one, look)).stdout == "42 ['f'] True True\n"
        assert (await run(other, look)).stdout == "2.0 [] False False\n"


@pytest.mark.parametrize("name", ["random", "numpy.random", "sympy.core.random"])
async def test_two_sessions_draw_other_random_numbers_unless_their_seed_says_so(name: str) -> None:
    code = f"import numpy, random, sympy\n{name}.random()"
    drawn = []
    for seed in (None, None, 7, 7):
        async with JupyterExecutor(Sandbox(seed=seed)) as executor:
            drawn.append((await run(executor, code)).result)
    assert len(set(drawn)) == 3
    assert drawn[2] == drawn[3] is not None


async def test_secrets_in_our_environment_do_not_reach_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    monkeypatch.setenv("SOME_TOKEN", "hidden-too")
    async with JupyterExecutor(Sandbox(preload=("secrets",))) as executor:  # a fork server of its own
        stdout = (await run(executor, "import os\nprint(dict(os.environ))")).stdout
        home = (await run(executor, "os.path.expanduser('~') == os.getcwd()")).result
    assert "PATH" in stdout
    assert "hidden" not in stdout
    assert home == "True"


async def test_modules_wanted_beforehand_are_there_and_others_can_be_imported() -> None:
    async with JupyterExecutor(Sandbox(preload=("colorsys", "no_such_module"))) as executor:
        assert (await run(executor, "import sys\n'colorsys' in sys.modules")).result == "True"
        assert (await run(executor, "import sympy\nsympy.factorint(91)")).result == "{7: 1, 13: 1}"


async def test_a_new_session_holds_no_names_of_ours_also_while_the_fork_server_warms_up() -> None:
    look = "sorted(name for name in globals() if not name.startswith('_'))"
    for _ in range(15):
        async with JupyterExecutor(Sandbox(preload=("numpy", "sympy"))) as executor:
            held = (await run(executor, look)).result
            assert held == "['In', 'Out', 'exit', 'get_ipython', 'open', 'quit']"
            assert (
                await run(executor, "1 / 0")
            ).error == "line 1: 1 / 0\nZeroDivisionError: division by zero"


async def test_many_sessions_run_side_by_side() -> None:
    async def one(n: int) -> str | None:
        async with JupyterExecutor() as executor:
            return (await run(executor, f"import time\ntime.sleep(0.2)\n{n}")).result

    assert await asyncio.gather(*map(one, range(6))) == [str(n) for n in range(6)]


def test_a_loop_in_a_background_thread_will_do_and_so_will_one_after_another() -> None:
    results: list[str | None] = []

    async def work() -> None:
        async with JupyterExecutor() as executor:
            results.append((await run(executor, "1 + 1")).result)

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    thread.join()
    asyncio.run(work())
    asyncio.run(work())
    assert results == ["2"] * 3


async def test_an_executor_is_entered_once_so_that_no_second_kernel_starts_unseen() -> None:
    async with JupyterExecutor() as executor:
        with pytest.raises(RuntimeError, match="entered once"):
            await executor.__aenter__()


async def test_outside_its_block_an_executor_runs_nothing_and_starts_nothing() -> None:
    with pytest.raises(KernelError, match="inside its `async with` block only; this one wasn't entered"):
        await run(JupyterExecutor(), "1")
    async with JupyterExecutor(lazy=True) as unused, JupyterExecutor() as used:
        await run(used, "1")
    processes = len(psutil.Process().children(recursive=True))
    for executor in (unused, used):
        for use in (run(executor, "1"), executor.fork()):
            with pytest.raises(KernelError, match="this one was left; make a new one"):
                await use
    assert len(psutil.Process().children(recursive=True)) <= processes


async def test_a_program_that_outlasts_the_block_leaves_no_kernel_behind() -> None:
    runs = asyncio.Event()
    endless = "import time\nprint('on')\nwhile True: time.sleep(0.01)"
    async with JupyterExecutor() as executor:
        running = asyncio.create_task(
            executor.run(endless, timeout_s=HANG_S, on_output=lambda *_: runs.set())
        )
        await runs.wait()
        kernels = len(psutil.Process().children(recursive=True))
    assert (await running).status is ExecutionStatus.DIED
    async with JupyterExecutor() as other:  # one that was started before it would be there by now
        await run(other, "1")
    assert await eventually(lambda: len(psutil.Process().children(recursive=True)) < kernels)


async def test_a_session_that_is_left_while_its_kernel_starts_says_so() -> None:
    async with JupyterExecutor() as executor:
        running = asyncio.create_task(run(executor, "1"))
        await asyncio.sleep(0)
    with pytest.raises(KernelError, match="was left before its kernel was ready"):
        await running
