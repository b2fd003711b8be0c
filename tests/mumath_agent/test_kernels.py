"""Real kernels running real programs, well-behaved and not. Protection from hostile ones is not claimed."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import psutil
import pytest

from mumath_agent.errors import KernelError
from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.records import Execution, ExecutionStatus

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

SWALLOWS_INTERRUPTS = (
    "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass"
)
HOLDS_THE_INTERPRETER = "sum(range(10**12))"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def session() -> AsyncIterator[JupyterExecutor]:
    """One session for all tests that don't mind what others left in it; whatever breaks it, it recovers from."""
    async with JupyterExecutor(Sandbox(memory_mb=768), interrupt_grace_s=2) as executor:
        yield executor


@pytest.fixture
def own_tmp(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's kernels put their directories."""
    path = tmp_path_factory.mktemp("t")
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


async def run(executor: JupyterExecutor, code: str, timeout_s: float = 20) -> Execution:
    return await executor.run(code, timeout_s=timeout_s)


def gone(*pids: int) -> bool:
    """Whether all these processes end within five seconds."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if not any(running(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def running(pid: int) -> bool:
    """One that ended and that nobody waited for yet doesn't run."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def files(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def test_state_lasts_from_cell_to_cell(session: JupyterExecutor) -> None:
    await run(session, "x = 20\ndef double(n):\n    return 2 * n")
    assert (await run(session, "double(x) + 2")).result == "42"


async def test_what_a_program_prints_returns_and_warns_is_told_apart(session: JupyterExecutor) -> None:
    execution = await run(session, "import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7")
    told = (execution.stdout, execution.stderr, execution.result, execution.error)
    assert told == ("out\n", "err\n", "42", None)
    assert execution.status is ExecutionStatus.OK
    assert 0 < execution.duration_s < 20


async def test_a_program_without_output_is_no_failure(session: JupyterExecutor) -> None:
    for code in ("y = 1", "", "# nothing", "None"):
        execution = await run(session, code)
        assert execution == Execution(status=ExecutionStatus.OK, duration_s=execution.duration_s)


async def test_what_was_printed_before_an_error_is_kept(session: JupyterExecutor) -> None:
    execution = await run(session, "print('partial 7')\n1/0")
    assert (execution.status, execution.stdout) == (ExecutionStatus.ERROR, "partial 7\n")


ERRORS = [
    ("x = 0\ny = 1 / x\nprint(y)", "line 2: y = 1 / x\nZeroDivisionError: division by zero"),
    ("\n\n1 / 0", "line 3: 1 / 0\nZeroDivisionError: division by zero"),
    ("def f(n):\n    return 1 / n\nf(0)", "line 2: return 1 / n\nZeroDivisionError: division by zero"),
    ("import json\njson.loads('[')", "line 2: json.loads('[')\njson.decoder.JSONDecodeError: "),
    ("a = 1\nb = (2,\nc = 3", "line 2: b = (2,\nSyntaxError: '(' was never closed"),
    ("a = 1\neval('1 +')", "line 2: eval('1 +')\nSyntaxError: invalid syntax"),
    ("if True:\nx = 1", "line 2: x = 1\nIndentationError: "),
    (
        "def f(n):\n    return f(n)\nf(1)",
        "line 2: return f(n)\nRecursionError: maximum recursion depth exceeded",
    ),
    ("class Odd(Exception):\n    def __str__(self):\n        1 / 0\nraise Odd", "line 4: raise Odd\nOdd: "),
    ("class A:\n    def __repr__(self):\n        1 / 0\nA()", "line 3: 1 / 0\nZeroDivisionError: "),
    ("raise ValueError('\\ud800')", "line 1: raise ValueError('\\ud800')\nValueError: \\ud800"),
    (
        "raise ExceptionGroup('two', [ValueError()])",
        "line 1: raise ExceptionGroup('two', [ValueError()])\nExceptionGroup: ",
    ),
    ("The answer is 7", "line 1: The answer is 7\nSyntaxError: invalid syntax"),
    ("time", "line 1: time\nNameError: name 'time' is not defined"),
    ("import sys\nsys.exit('no root')", "line 2: sys.exit('no root')\nSystemExit: no root"),
    ("a = input('? ')", "line 1: a = input('? ')\nEOFError: this program can't ask for input"),
    ("raise ValueError('x' * 10**7)", "line 1: raise ValueError('x' * 10**7)\nValueError: xxx"),
    ("'\0'", "SyntaxError: source code string cannot contain null bytes"),
]


@pytest.mark.parametrize(("code", "error"), ERRORS)
async def test_an_error_is_the_failing_line_and_the_exception(
    session: JupyterExecutor, code: str, error: str
) -> None:
    await run(session, "globals().pop('time', None)")
    execution = await run(session, code)
    assert execution.status is ExecutionStatus.ERROR
    assert execution.error is not None
    assert execution.error.startswith(error)
    assert len(execution.error) < 20_000
    assert "\x1b" not in execution.error
    assert not execution.state_lost


async def test_an_error_in_an_older_function_is_told_by_the_line_that_called_it(
    session: JupyterExecutor,
) -> None:
    await run(session, "def inverse(n):\n    return 1 / n")
    execution = await run(session, "a = 0\nb = inverse(a)")
    assert execution.error == "line 2: b = inverse(a)\nZeroDivisionError: division by zero"


@pytest.mark.parametrize("code", ["exit()", "quit()", "import sys\nsys.exit(0)", "raise SystemExit"])
async def test_exit_ends_the_program_and_not_the_session(session: JupyterExecutor, code: str) -> None:
    execution = await run(session, f"kept = 5\n{code}\nkept = 6")
    assert (execution.status, execution.error, execution.stderr) == (ExecutionStatus.OK, None, "")
    assert (await run(session, "kept")).result == "5"


async def test_a_string_that_only_looks_dangerous_is_printed(session: JupyterExecutor) -> None:
    assert (await run(session, "print('call input(5)')")).stdout == "call input(5)\n"


async def test_text_that_is_no_valid_unicode_passes_as_escapes(session: JupyterExecutor) -> None:
    assert (await run(session, "print('a\\ud800b')")).stdout == "a\\ud800b\n"
    assert (await run(session, "print('\ud800')")).stdout == "?\n"


async def test_children_and_descriptors_write_to_the_cell_too(session: JupyterExecutor) -> None:
    execution = await run(
        session, "import subprocess\n_ = subprocess.run('echo child; sleep 0.2', shell=True)"
    )
    assert execution.stdout == "child\n"


async def test_a_program_can_import_a_module_it_wrote(session: JupyterExecutor) -> None:
    assert (await run(session, "open('mine.py', 'w').write('v = 7')\nimport mine\nmine.v")).result == "7"


async def test_a_program_that_takes_too_long_is_interrupted_and_the_session_stays(
    session: JupyterExecutor,
) -> None:
    await run(session, "kept = 'here'")
    execution = await run(session, "print('started')\nimport time\ntime.sleep(60)", timeout_s=0.5)
    assert (execution.status, execution.stdout) == (ExecutionStatus.TIMEOUT, "started\n")
    assert (
        execution.error
        == "line 3: time.sleep(60)\nTimeoutError: the program ran longer than 0.5 s and was stopped"
    )
    assert not execution.state_lost
    endless = await run(session, "while True:\n    pass", timeout_s=0.5)
    assert (endless.status, endless.state_lost) == (ExecutionStatus.TIMEOUT, False)
    for n in range(3):  # each of the next cells gets its own output
        assert (await run(session, f"print({n}, kept)")).stdout == f"{n} here\n"


@pytest.mark.parametrize("code", [SWALLOWS_INTERRUPTS, HOLDS_THE_INTERPRETER])
async def test_a_program_that_can_not_be_interrupted_is_killed(session: JupyterExecutor, code: str) -> None:
    await run(session, "kept = 1")
    recoveries = session.recoveries
    execution = await run(session, code, timeout_s=0.5)
    assert (execution.status, execution.state_lost) == (ExecutionStatus.TIMEOUT, True)
    assert execution.duration_s < 5
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
async def test_a_dying_process_is_reported_at_once_and_replaced(
    session: JupyterExecutor, code: str, how: str
) -> None:
    await run(session, "1")
    execution = await run(session, code, timeout_s=30)
    assert (execution.status, execution.state_lost) == (ExecutionStatus.DIED, True)
    assert execution.error == f"The Python process died while it ran this program ({how})."
    assert execution.stdout == ("said\n" if "said" in code else "")
    assert execution.duration_s < 5
    assert (await run(session, "1 + 1")).result == "2"


async def test_a_session_that_loses_messages_is_not_trusted_any_more(session: JupyterExecutor) -> None:
    execution = await run(session, "get_ipython().kernel.iopub_thread.stop()\nprint('lost')")
    assert (execution.status, execution.state_lost) == (ExecutionStatus.DIED, True)
    assert execution.error == "The Python process died while it ran this program (lost messages)."
    assert execution.duration_s < 5
    assert (await run(session, "print('mine')")).stdout == "mine\n"


async def test_forged_messages_of_any_shape_harm_nobody(session: JupyterExecutor) -> None:
    forge = (
        "kernel = get_ipython().kernel\nparent = kernel.get_parent()\n"
        "for content in ({'name': [], 'text': {}}, {'data': 3}, {'traceback': 'no list'}, {}):\n"
        "    for kind in ('stream', 'display_data', 'execute_result', 'status', 'comm_open'):\n"
        "        kernel.session.send(kernel.iopub_socket, kind, content, parent=parent)\n"
        "kernel.iopub_thread.send_multipart([b'junk', b'<IDS|MSG>', b'wrong', b'', b'', b'', b''])\n"
        "print('mine')"
    )
    execution = await run(session, forge)
    assert (execution.status, execution.stdout.strip(), execution.state_lost) == (
        ExecutionStatus.OK,
        "mine",
        False,
    )
    assert (await run(session, "print('next')")).stdout == "next\n"


async def test_a_session_that_died_between_two_cells_is_replaced_before_the_next(
    session: JupyterExecutor,
) -> None:
    pid = int((await run(session, "import os\nos.getpid()")).result or 0)
    os.kill(pid, signal.SIGKILL)
    await anyio.sleep(0.1)
    execution = await run(session, "1 + 1")
    assert (execution.status, execution.result, execution.state_lost) == (ExecutionStatus.OK, "2", True)


MEMORY_HOGS = [
    "'a' * 10**11",
    "hoard = []\nwhile True:\n    hoard.append('x' * 10**6)",
    "def hog():\n    hoard = []\n    while True:\n        hoard.append(bytearray(10**5))\nhog()",
    "import numpy\nnumpy.ones(10**10)",
]


@pytest.mark.parametrize("code", MEMORY_HOGS)
async def test_too_much_memory_is_an_error_the_session_survives(session: JupyterExecutor, code: str) -> None:
    execution = await run(session, code)
    assert execution.status is ExecutionStatus.MEMORY
    assert execution.error is not None
    assert execution.error.startswith(f"line {len(code.splitlines()) - ('def' in code)}: ")
    assert "MemoryError" in execution.error
    assert not execution.state_lost
    await run(session, "hoard = None")
    assert (await run(session, "len(bytes(10**8))")).result == "100000000"


FLOODS = ["while True:\n    print('spam' * 100)", "import os\nwhile True:\n    os.write(1, b'spam' * 1000)"]


@pytest.mark.parametrize("code", FLOODS)
async def test_a_flood_of_output_is_bounded_and_says_so(session: JupyterExecutor, code: str) -> None:
    execution = await run(session, code, timeout_s=1)
    assert execution.status is ExecutionStatus.TIMEOUT
    assert 200_000 < len(execution.stdout) < 300_000
    assert "characters left out ...]" in execution.stdout
    assert not execution.state_lost
    await anyio.sleep(0.2)
    assert (await run(session, "print('mine')")).stdout.endswith("mine\n")


async def test_long_output_keeps_its_head_and_its_tail(session: JupyterExecutor) -> None:
    lines = "".join(f"{n}\n" for n in range(60_000))
    stdout = (await run(session, "for n in range(60_000): print(n)")).stdout
    head, tail = stdout.split(f"\n[... {len(lines) - (1 << 18)} characters left out ...]\n")
    assert lines.startswith(head)
    assert lines.endswith(tail)
    whole = (await run(session, "for n in range(40_000): print(n)")).stdout
    assert whole == lines[: len(whole)]
    assert whole.endswith("\n39999\n")
    assert len((await run(session, "'y' * 10**6")).result or "") < 300_000
    assert len((await run(session, "for _ in range(3): display(10**4000)")).stdout) == 3 * 4002


async def test_a_thread_that_outlives_its_cell_prints_to_no_other(session: JupyterExecutor) -> None:
    late = "import threading, time\ndef late():\n    time.sleep(0.3)\n    print('late')\n"
    execution = await run(session, late + "threading.Thread(target=late).start()\nprint('early')")
    assert execution.stdout == "early\n"
    assert (await run(session, "time.sleep(0.6)\nprint('mine')")).stdout == "mine\n"


async def test_a_running_thread_prints_to_its_own_cell(session: JupyterExecutor) -> None:
    pool = "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor() as pool:\n"
    assert (await run(session, pool + "    _ = list(pool.map(print, 'a'))")).stdout == "a\n"


async def test_a_busy_loop_of_ours_is_not_held_against_a_cell(session: JupyterExecutor) -> None:
    await run(session, "1")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_hold_the_loop)
        execution = await run(session, "print('in time')", timeout_s=0.5)
    assert (execution.status, execution.stdout) == (ExecutionStatus.OK, "in time\n")


async def _hold_the_loop() -> None:
    time.sleep(1.7)  # noqa: ASYNC251 - the point of the test


async def test_top_level_await_works(session: JupyterExecutor) -> None:
    assert (await run(session, "import asyncio\nawait asyncio.sleep(0.01, 'slept')")).result == "'slept'"


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


async def test_secrets_in_our_environment_do_not_reach_a_program(
    own_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    monkeypatch.setenv("SOME_TOKEN", "hidden-too")
    async with JupyterExecutor() as executor:
        stdout = (await run(executor, "import os\nprint(dict(os.environ))")).stdout
        home = (await run(executor, "print(os.path.expanduser('~'))")).stdout
    assert "hidden" not in stdout
    assert home.startswith(str(own_tmp))


async def test_entering_does_not_wait_and_leaving_leaves_nothing(own_tmp: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    entered = time.monotonic()
    async with JupyterExecutor() as executor:
        assert time.monotonic() - entered < 0.2
        await run(executor, "from subprocess import Popen\na = Popen(['sleep', '99'])")
        await run(executor, "b = Popen(['sleep', '99'], start_new_session=True)")
        started = set(psutil.Process().children(recursive=True)) - before
        assert len(started) == 3
        assert len(files(own_tmp)) == 1
        assert {path.stat().st_mode & 0o777 for path in files(own_tmp)} == {0o700}
        leaving = time.monotonic()
    assert time.monotonic() - leaving < 2
    assert gone(*(process.pid for process in started))
    assert files(own_tmp) == []


@pytest.mark.parametrize("seconds", [0, 0.05, 0.4])
async def test_leaving_while_the_kernel_starts_leaves_nothing(own_tmp: Path, seconds: float) -> None:
    before = set(psutil.Process().children(recursive=True))
    async with JupyterExecutor():
        await anyio.sleep(seconds)
    assert set(psutil.Process().children(recursive=True)) <= before
    assert files(own_tmp) == []


async def test_a_cancelled_program_is_killed() -> None:
    async with JupyterExecutor() as executor:
        pid = int((await run(executor, "import os\nos.getpid()")).result or 0)
        with anyio.move_on_after(0.3):
            await run(executor, HOLDS_THE_INTERPRETER)
        assert gone(pid)
        execution = await run(executor, "1 + 1")
        assert (execution.result, execution.state_lost, executor.recoveries) == ("2", True, 1)


async def test_a_run_cancelled_while_it_waits_for_the_kernel_harms_nothing() -> None:
    async with JupyterExecutor() as executor:
        with anyio.move_on_after(0.01):
            await run(executor, "1")
        assert (await run(executor, "1 + 1")).result == "2"


@pytest.mark.parametrize("command", ["no/such/python", "false"])
async def test_a_kernel_that_can_not_start_is_one_clear_error(
    own_tmp: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(sys, "executable", command)
    async with JupyterExecutor() as executor:
        with pytest.raises(KernelError, match=r"^no Jupyter kernel could be started: .*ipykernel") as raised:
            await run(executor, "1")
    assert "\n" not in str(raised.value)
    assert files(own_tmp) == []


async def test_a_long_temporary_path_does_not_matter(own_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = own_tmp / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    async with JupyterExecutor() as executor:
        assert (await run(executor, "1 + 1")).result == "2"
    assert files(deep) == []


async def test_many_sessions_run_side_by_side() -> None:
    async def one(n: int) -> str | None:
        async with JupyterExecutor() as executor:
            return (await run(executor, f"import time\ntime.sleep(0.2)\n{n}", timeout_s=60)).result

    assert await asyncio.gather(*map(one, range(6))) == [str(n) for n in range(6)]


def test_a_loop_in_a_background_thread_will_do() -> None:
    results: list[str | None] = []

    async def work() -> None:
        async with JupyterExecutor() as executor:
            results.append((await run(executor, "1 + 1")).result)

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    thread.join()
    assert results == ["2"]


AGENT = """
import anyio
from mumath_agent.kernels import JupyterExecutor, Sandbox

async def main():
    async with JupyterExecutor() as executor:
        print((await executor.run("import os; os.getpid()", timeout_s=30)).result, flush=True)
        await executor.run("sum(range(10**12))", timeout_s=60)

anyio.run(main)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs the parent-death signal")
def test_killing_our_process_leaves_no_kernel(own_tmp: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(own_tmp)}
    with subprocess.Popen([sys.executable, "-c", AGENT], stdout=subprocess.PIPE, env=environment) as agent:
        assert agent.stdout is not None
        kernel = int(agent.stdout.readline())
        time.sleep(0.2)
        agent.kill()
    assert gone(kernel)


@pytest.mark.anyio
async def test_an_executor_is_entered_once_so_that_no_second_kernel_starts_unseen() -> None:
    async with JupyterExecutor() as kernel:
        with pytest.raises(RuntimeError, match="entered once"):
            await kernel.__aenter__()
