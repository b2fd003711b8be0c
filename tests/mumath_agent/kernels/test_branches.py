"""Check copies of live kernels: they begin with everything their origin held, and share nothing with it from then on.

Copies of hostile kernels are in `test_fork_server.py`.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import psutil
import pytest

from mumath_agent.errors import KernelError
from mumath_agent.kernels import JupyterExecutor, Kernel, KernelPool
from mumath_agent.records import Execution, ExecutionStatus
from tests.waiting import HANG_S, eventually

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]


@pytest.fixture
async def origin() -> AsyncIterator[JupyterExecutor]:
    async with JupyterExecutor() as executor:
        yield executor


async def run(executor: JupyterExecutor, code: str) -> Execution:
    return await executor.run(code, timeout_s=HANG_S)


async def printed(executor: JupyterExecutor, code: str) -> str:
    execution = await run(executor, code)
    assert execution.error is None
    return execution.stdout.strip()


async def test_a_branch_has_variables_functions_modules_and_files(origin: JupyterExecutor) -> None:
    await run(origin, "import sympy\nx = sympy.Symbol('x')\ndef f(n): return n + 1\nkept = [1]")
    await run(origin, "import os\nos.mkdir('d')\n_ = open('d/f.txt', 'w').write('text')")
    async with await origin.fork() as branch:
        assert await printed(branch, "print(f(4), x, kept, open('d/f.txt').read())") == "5 x [1] text"
        assert branch.isolation == origin.isolation == "full"


async def test_neither_sees_what_the_other_does_afterwards(origin: JupyterExecutor) -> None:
    await run(origin, "kept = [1]\n_ = open('f', 'w').write('a')")
    async with await origin.fork() as one, await origin.fork() as other:
        look = "print(kept, open('f').read())"
        for executor, letter in ((origin, "o"), (one, "p"), (other, "q")):
            await run(executor, f"kept.append({letter!r})\n_ = open('f', 'w').write({letter!r})")
        assert await printed(origin, look) == "[1, 'o'] o"
        assert await printed(one, look) == "[1, 'p'] p"
        assert await printed(other, look) == "[1, 'q'] q"


async def test_random_numbers_go_on_as_they_would_have(origin: JupyterExecutor) -> None:
    draw = "print(random.random(), np.random.rand(), sympy.core.random.random())"
    await run(origin, "import random, numpy as np, sympy, sympy.core.random\n" + draw)
    async with await origin.fork() as branch:
        assert await printed(branch, draw) == await printed(origin, draw)


async def test_many_branches_may_be_asked_for_at_once(origin: JupyterExecutor) -> None:
    await run(origin, "import time\nn = 5\nprint(time.time())")  # running it again would not do
    branches = await asyncio.gather(*(origin.fork() for _ in range(4)))
    for number, branch in enumerate(branches):
        async with branch:
            assert (await run(branch, f"n + {number}")).result == str(5 + number)


async def test_a_branch_outlives_its_origin_and_branches_again() -> None:
    async with JupyterExecutor() as origin:
        await run(origin, "n = 1")
        branch = await origin.fork()
    async with branch:
        assert (await run(branch, "n += 1\nn")).result == "2"
        async with await branch.fork() as second:
            await run(branch, "import os; os._exit(0)")
            assert (await run(second, "n")).result == "2"


async def test_a_branch_is_not_taken_for_a_stray_of_a_kernel_that_ended() -> None:
    """Linux gives the numbers of namespaces again, and strays are looked for by them for some seconds."""
    async with KernelPool(spares=0) as pool:
        for _ in range(12):
            async with pool.lease() as kernel:
                await (await kernel.fork()).close()


@pytest.mark.parametrize("code", ["import os; os.fork()", "import subprocess; subprocess.run(['ls'])"])
async def test_a_branch_is_as_confined_as_its_origin(origin: JupyterExecutor, code: str) -> None:
    async with await origin.fork() as branch:
        for attempt in (code, "import socket; socket.socket()", "import os; os.kill(1, 0)"):
            assert "PermissionError" in str((await run(branch, attempt)).error)
        assert "FileNotFoundError" in str((await run(branch, "open('/etc/passwd')")).error)
        assert (await run(origin, code)).status is ExecutionStatus.ERROR


UNCOPYABLE = {
    "threads": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "files open": "f = open('f', 'w')",
    "a directory open": "import os\nd = os.open('.', os.O_RDONLY)",
    "shared memory": "import mmap\nm = mmap.mmap(-1, 4096)",
    "sockets": "import socket\npair = socket.socketpair()",
}


@pytest.mark.parametrize("code", UNCOPYABLE.values(), ids=UNCOPYABLE.keys())
async def test_what_can_not_be_copied_soundly_is_refused_and_goes_on(code: str) -> None:
    async with KernelPool(spares=0) as pool, pool.lease() as kernel:
        await answer(kernel, code)
        with pytest.raises(KernelError, match=r"can't be copied: it (has|shares)"):
            await kernel.fork()
        assert await answer(kernel, "print(6 * 7)") == "42\n"


async def answer(kernel: Kernel, code: str) -> str:
    cell = await kernel.send(code)
    await kernel.read(cell, until=anyio.current_time() + HANG_S)
    return cell.stdout


async def test_where_a_copy_is_refused_the_programs_run_again(origin: JupyterExecutor) -> None:
    await run(origin, UNCOPYABLE["files open"] + "\nimport random\nr = random.random()\nprint('said')")
    async with await origin.fork() as branch:
        assert await printed(branch, "print(r)") == await printed(origin, "print(r)")


async def test_where_the_programs_do_something_else_there_is_no_branch(origin: JupyterExecutor) -> None:
    await run(origin, UNCOPYABLE["files open"] + "\nimport time\nprint(time.time())")
    with pytest.raises(KernelError, match="don't do the same twice"):
        await origin.fork()
    assert (await run(origin, "6 * 7")).result == "42"


async def test_killing_the_origin_while_it_is_copied_leaves_nothing() -> None:
    async with KernelPool(spares=0) as pool:
        async with pool.lease() as kernel:
            await answer(kernel, "import numpy\na = numpy.ones(10**6)")
            pid = kernel.process.pid
            assert pid is not None
            before = processes() - {pid}
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_branch_if_it_can, kernel)
                await anyio.sleep(0.004)
                os.kill(pid, signal.SIGKILL)
        assert await eventually(lambda: processes() <= before)


async def _branch_if_it_can(kernel: Kernel) -> None:
    with suppress(KernelError):
        await (await kernel.fork()).close()


def processes() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}
