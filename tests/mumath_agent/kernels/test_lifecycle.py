"""Check how kernels and their fork server begin and end, and that nothing of them is left, however we end.

A fork server of its own takes a second of computing to warm up: by day the tests that need one have one at level full,
and the guardian is killed; the other levels, and the server itself killed, are slow tests.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import anyio
import psutil
import pytest
from outside import HOLDS_THE_INTERPRETER, SWALLOWS_INTERRUPTS, descendants, files, gone, run, tree

from mumath_agent.errors import KernelError
from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.kernels.isolation import layers_of
from mumath_agent.records import ExecutionStatus
from tests.waiting import comes_true

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]


def own_server(level: str, preloaded: str) -> Sandbox:
    """Return a sandbox that has a fork server of its own: only equal preloads share one."""
    return Sandbox(layers=layers_of(level), preload=(preloaded,), unsafe_local=True)


@pytest.mark.parametrize(
    "level",
    [
        "full",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("landlock+seccomp", "namespaces+seccomp")),
    ],
)
async def test_entering_does_not_wait_and_leaving_leaves_nothing(own_tmp: Path, level: str) -> None:
    sandbox = own_server(level, "bdb")
    async with JupyterExecutor(sandbox) as executor:
        await run(executor, "1")
    before, at_first = descendants(), tree(own_tmp)
    assert len(files(own_tmp)) == 1
    assert files(own_tmp)[0].name.startswith("mumath-")
    assert files(own_tmp)[0].stat().st_mode & 0o077 in (0, 0o011)  # at most passed through
    async with JupyterExecutor(sandbox) as executor:
        assert executor._started_kernel() is None  # it has not waited for one
        await run(executor, "open('mine', 'w').write('x')\nimport os\nos.mkdir('d')")
        started = descendants() - before
        assert len(started) == 1
    assert gone(*started)
    assert comes_true(lambda: tree(own_tmp) == at_first)


async def test_kernels_stand_back_behind_us_and_each_is_one_session() -> None:
    """However many threads a program starts, it gets no more of the processors than another, nor keeps us from ours."""
    before = descendants()
    async with JupyterExecutor() as one, JupyterExecutor() as other:
        for executor in (one, other):
            await run(executor, "1")
        kernels = [process for process in descendants() - before if process.nice() > psutil.Process().nice()]
        assert {os.getsid(kernel.pid) for kernel in kernels} == {kernel.pid for kernel in kernels}
        assert len(kernels) == 2


@pytest.mark.filterwarnings("ignore:model-written programs run at:UserWarning")
async def test_what_a_program_started_goes_with_its_session_where_it_may_start_any() -> None:
    sandbox = own_server("none", "calendar")
    async with JupyterExecutor(sandbox) as executor:
        await run(executor, "1")
    before = descendants()
    async with JupyterExecutor(sandbox) as executor:
        await run(executor, "from subprocess import Popen\na = Popen(['sleep', '999'])")
        await run(executor, "b = Popen(['sleep', '999'], start_new_session=True)")
        started = descendants() - before
        assert len(started) == 3
    assert gone(*started)


@pytest.mark.parametrize("seconds", [0, 0.002, 0.01, 0.05])
async def test_leaving_while_the_kernel_starts_leaves_nothing(own_tmp: Path, seconds: float) -> None:
    sandbox = own_server("landlock+seccomp", "chunk")
    async with JupyterExecutor(sandbox) as executor:
        await run(executor, "1")
    before, at_first = descendants(), tree(own_tmp)
    async with JupyterExecutor(sandbox):
        await anyio.sleep(seconds)
    assert gone(*(descendants() - before))
    assert comes_true(lambda: tree(own_tmp) == at_first)


@pytest.mark.parametrize("command", ["no/such/python", "false"])
async def test_a_kernel_that_can_not_start_is_one_clear_error(
    own_tmp: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(sys, "executable", command)
    before = descendants()
    async with JupyterExecutor(own_server("full", "cmd")) as executor:
        with pytest.raises(KernelError, match=r"^no kernel could be started: ") as raised:
            await run(executor, "1")
    assert "\n" not in str(raised.value)
    assert gone(*(descendants() - before))
    assert files(own_tmp) == []


async def test_a_long_temporary_path_does_not_matter(own_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = own_tmp / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    for level in ("full", "landlock+seccomp"):
        async with JupyterExecutor(own_server(level, "code")) as executor:
            assert (await run(executor, "open('f', 'w').write('abc')")).result == "3"
    assert files(deep) == []  # too deep for a socket's path: it is elsewhere


@pytest.mark.parametrize("which", [0, pytest.param(1, marks=pytest.mark.slow)])
async def test_a_fork_server_that_was_killed_is_replaced_and_leaves_nothing(
    own_tmp: Path, which: int
) -> None:
    """Its guardian, or itself."""
    sandbox = own_server("full", ("codeop", "colorsys")[which])
    before = descendants()
    async with JupyterExecutor(sandbox) as executor:
        await run(executor, "kept = 1")
        guardian = next(iter((descendants() - before) & set(psutil.Process().children())))
        family = [guardian, *guardian.children(recursive=True)]
        assert len(family) == 3
        family[which].kill()
        assert gone(*family)
        execution = await run(executor, "print('kept' in globals())")
        if execution.status is ExecutionStatus.DIED:  # it was sent before we heard of the death
            execution = replace(await run(executor, "print('kept' in globals())"), state_lost=True)
        assert (execution.stdout, execution.state_lost) == ("False\n", True)
        assert comes_true(lambda: len(files(own_tmp)) == 1)


AGENT = """
import sys
import anyio
from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.kernels.isolation import layers_of

async def main():
    async with JupyterExecutor(Sandbox(layers=layers_of(sys.argv[1]))) as executor:
        await executor.run("1", timeout_s=120)
        print("up", flush=True)
        await executor.run(sys.argv[2], timeout_s=600)

anyio.run(main)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs the parent-death signal")
@pytest.mark.parametrize(
    ("level", "code"),
    [
        ("full", HOLDS_THE_INTERPRETER),
        ("landlock+seccomp", SWALLOWS_INTERRUPTS),
        ("full", "import time\ntime.sleep(600)"),
        pytest.param("landlock+seccomp", HOLDS_THE_INTERPRETER, marks=pytest.mark.slow),
        pytest.param("full", SWALLOWS_INTERRUPTS, marks=pytest.mark.slow),
        pytest.param("landlock+seccomp", "import time\ntime.sleep(600)", marks=pytest.mark.slow),
    ],
)
def test_killing_our_process_leaves_nothing(own_tmp: Path, level: str, code: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", AGENT, level, code],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(own_tmp)},
    ) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"up\n"
        family = descendants(psutil.Process(agent.pid))
        assert len(family) == 3
        agent.kill()
    assert gone(*family)
    assert comes_true(lambda: files(own_tmp) == [])


LEAVES_EARLY = """
import sys
import time
import anyio
from mumath_agent.kernels import JupyterExecutor

async def main():
    async with JupyterExecutor():
        await anyio.sleep(float(sys.argv[1]))

anyio.run(main)
"""


@pytest.mark.parametrize(
    "seconds",
    [0, 0.005, 0.02, 0.3, *(pytest.param(s, marks=pytest.mark.slow) for s in (0.002, 0.01, 0.1))],
)
def test_ending_while_the_fork_server_starts_leaves_nothing(own_tmp: Path, seconds: float) -> None:
    environment = {**os.environ, "TMPDIR": str(own_tmp)}
    done = subprocess.run(
        [sys.executable, "-c", LEAVES_EARLY, str(seconds)], env=environment, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert comes_true(lambda: files(own_tmp) == [])
    mine = (f"HOME={own_tmp}", f"TMPDIR={own_tmp}")
    assert comes_true(
        lambda: not any(_environment(process).startswith(mine) for process in psutil.process_iter())
    )


def _environment(process: psutil.Process) -> str:
    try:
        return "\n".join(
            f"{name}={value}" for name, value in process.environ().items() if name in ("HOME", "TMPDIR")
        )
    except psutil.Error:
        return ""


FORKS = """
import atexit
import os
import anyio
from pathlib import Path
from mumath_agent.kernels import JupyterExecutor, Sandbox

async def main():
    async with JupyterExecutor(Sandbox(layers=frozenset({"landlock", "seccomp", "rlimits"}))) as executor:
        await executor.run("kept = 1", timeout_s=120)
        if os.fork() == 0:
            atexit._run_exitfuncs()  # as at the end of a process
            os._exit(0)
        os.wait()
        print((await executor.run("open('f', 'w').write('x'), kept", timeout_s=120)).result)

anyio.run(main)
"""


def test_a_forked_copy_of_our_process_that_ends_takes_no_kernel_along(own_tmp: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(own_tmp)}
    done = subprocess.run([sys.executable, "-c", FORKS], env=environment, capture_output=True)
    assert done.stdout == b"(1, 1)\n", done.stderr.decode()
