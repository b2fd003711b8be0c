"""Run a long mixture of well-behaved and hostile cells: no session reads another's output, and nothing is left over.

Both mixtures, a small and a long one, are slow tests.
"""

import asyncio
import gc
import os
import random
import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import anyio
import fuzzer
import psutil
import pytest
from misbehaving import FORGERIES, KERNEL

from mumath_agent.errors import KernelError
from mumath_agent.kernels import JupyterExecutor, Kernel, KernelPool, Sandbox
from mumath_agent.kernels.forkserver import ForkServer, server_for
from mumath_agent.records import Execution, ExecutionStatus
from mumath_agent.sandbox.forkserver_loop import STRAYS_AFTER_S
from tests.waiting import eventually

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

SEED = 20
AT_ONCE = 8
LONG_S = 120.0
"""More than any cell takes, on a busy machine too."""
FUZZED_S = 5.0
"""For a program that may wait for what it has broken itself."""
MAX_GROWTH_MB = 100
SANDBOX = Sandbox(memory_mb=256, work_mb=16, preload=("numpy", "sympy"))
"""Unlike any other test's, so that the fork server is this test's own."""
FUZZER = Path(fuzzer.__file__).read_text()
TOKEN = re.compile(r"<\d+-\d+>")


@dataclass(frozen=True, slots=True)
class Size:
    sessions: int
    cells: int
    """Of all sessions together."""


SMALL, LARGE = Size(16, 160), Size(500, 10_000)


class Session:
    """One executor and what it must remember."""

    def __init__(self, number: int, pool: KernelPool, tally: Counter[str]) -> None:
        self._number = number
        self._pool = pool
        self._tally = tally
        self._random = random.Random(f"{SEED} {number}")
        self._cells = self._count = 0
        self._token = ""

    async def live(self, cells: int) -> None:
        steps, weights = zip(*KINDS.items(), strict=True)
        async with JupyterExecutor(pool=self._pool, interrupt_grace_s=0.3) as self._executor:
            for step in self._random.choices(steps, weights, k=cells):
                self._tally[step.__name__] += 1
                await step(self)
            self._tally["kernels replaced"] += self._executor.recoveries

    async def run(self, code: str, timeout_s: float = LONG_S) -> Execution:
        """Run a cell that may say TOKEN; whatever is said must be its own."""
        self._cells += 1
        self._token = f"<{self._number}-{self._cells}>"
        execution = await self._executor.run(code.replace("TOKEN", self._token), timeout_s=timeout_s)
        said = f"{execution.stdout}{execution.stderr}{execution.result}{execution.error}"
        assert set(TOKEN.findall(said)) <= {self._token}, execution
        if execution.state_lost:
            self._count = 0
        return execution

    async def prints(self) -> None:
        execution = await self.run("print('TOKEN')")
        assert (execution.status, execution.stdout) == (ExecutionStatus.OK, f"{self._token}\n"), execution

    async def remembers(self) -> None:
        """Check that a variable is as this session left it, or that its loss is told."""
        execution = await self.run("count = globals().get('count', 0) + 1\ncount")
        self._count += 1
        assert (execution.status, execution.result) == (ExecutionStatus.OK, str(self._count)), execution

    async def fails(self) -> None:
        execution = await self.run("print('TOKEN')\nraise ValueError('TOKEN')")
        assert execution.status is ExecutionStatus.ERROR, execution
        assert execution.error == f"line 2: raise ValueError('{self._token}')\nValueError: {self._token}"

    async def prints_late(self) -> None:
        """Start a thread that outlives its cell and prints while later ones run."""
        late = "for _ in range(3):\n        time.sleep(0.01)\n        print('TOKEN')"
        start = "threading.Thread(target=late).start()"
        execution = await self.run(f"import threading, time\ndef late():\n    {late}\n{start}")
        assert execution.status is ExecutionStatus.OK, execution

    async def loops(self) -> None:
        execution = await self.run("print('TOKEN')\nwhile True:\n    pass", 0.2)
        assert execution.status is ExecutionStatus.TIMEOUT, execution

    async def clings(self) -> None:
        """Run a program that an interrupt can't end."""
        execution = await self.run("sum(range(10**12))", 0.2)
        assert (execution.status, execution.state_lost) == (ExecutionStatus.TIMEOUT, True), execution

    async def exits(self) -> None:
        execution = await self.run("print('TOKEN', flush=True)\nimport os\nos._exit(3)")
        assert (execution.status, execution.state_lost) == (ExecutionStatus.DIED, True), execution

    async def is_killed(self) -> None:
        """From outside, while a cell runs."""
        kernel = await self._executor._live_kernel()

        async def kill() -> None:
            await anyio.sleep(self._random.choice((0, 0.002, 0.05)))
            kill_process(kernel)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kill)
            execution = await self.run("import time\nprint('TOKEN')\ntime.sleep(60)")
        assert (execution.status, execution.state_lost) == (ExecutionStatus.DIED, True), execution

    async def is_killed_between_cells(self) -> None:
        kernel = await self._executor._live_kernel()
        kill_process(kernel)
        await self._dead(kernel)
        execution = await self.run("print('TOKEN')")
        assert (execution.status, execution.state_lost) == (ExecutionStatus.OK, True), execution
        assert execution.stdout == f"{self._token}\n"

    async def _dead(self, kernel: Kernel) -> None:
        with anyio.fail_after(LONG_S):
            while kernel.alive:  # noqa: ASYNC110 - nothing tells
                await anyio.sleep(0.001)

    async def floods(self) -> None:
        execution = await self.run("while True:\n    print('TOKEN' * 100)", 0.3)
        assert execution.status is ExecutionStatus.TIMEOUT, execution
        assert len(execution.stdout) < SANDBOX.max_output_chars + 1000

    async def hoards(self) -> None:
        execution = await self.run(
            "def hoard():\n    a = []\n    while True:\n        a.append(b'x' * 10**7)\nhoard()"
        )
        assert (execution.status, execution.state_lost) == (ExecutionStatus.MEMORY, False), execution

    async def floods_later(self) -> None:
        """Leave a thread that sends and sends when its cell has ended, until the kernel is stopped."""
        send = "kernel._send(kernel._peers, 'stream', {'name': 'stdout', 'text': 'TOKEN'}, kernel._parent, b'stream')"
        flood = f"def flood():\n    time.sleep(0.05)\n    while True: {send}"
        execution = await self.run(
            f"import threading, time\n{KERNEL}{flood}\nthreading.Thread(target=flood).start()"
        )
        assert execution.status is ExecutionStatus.OK, execution
        await self._dead(await self._executor._live_kernel())
        execution = await self.run("print('TOKEN')")
        assert (execution.stdout, execution.state_lost) == (f"{self._token}\n", True), execution

    async def shows_much(self) -> None:
        execution = await self.run("for n in range(1000): display('TOKEN')\nprint('TOKEN')")
        assert execution.status is ExecutionStatus.OK, execution

    async def nests(self) -> None:
        """Send a text that would be huge as objects."""
        nested = next(case for case in FORGERIES if case.name == "nested_lists_in_content")
        execution = await self.run(nested.code)
        assert execution.status in nested.statuses, execution

    async def fuzzes(self) -> None:
        """Send what is random on all sockets; once a program is answered, all of it has been read."""
        seed = self._random.randrange(10**9)
        send = (
            f"fuzzing = Fuzzer(get_ipython().publish.__self__, '{seed}')\nfor _ in range(100): fuzzing.send()"
        )
        await self.run(f"{FUZZER}\n{send}", FUZZED_S)
        for _ in range(5):
            execution = await self.run("print('TOKEN')", FUZZED_S)
            if (execution.status, execution.stdout) == (ExecutionStatus.OK, f"{self._token}\n"):
                return
            self._tally["broken by random messages"] += 1
        raise AssertionError(execution)

    async def is_cancelled(self) -> None:
        """At any moment; what is told of the session stays true."""
        with anyio.move_on_after(self._random.choice((0, 0.0005, 0.002, 0.05))) as scope:
            await self.run("import time\nprint('TOKEN')\ntime.sleep(60)")
        assert scope.cancelled_caught
        await self.prints()
        await self.remembers()

    async def is_left_at_once(self) -> None:
        """Open another session and leave it while its kernel may still start."""
        async with JupyterExecutor(pool=self._pool):
            await anyio.sleep(self._random.choice((0, 0.001, 0.01)))

    async def branches(self) -> None:
        """Go on in a copy; what it does isn't seen here."""
        try:
            branch = await self._executor.fork()
        except KernelError:  # a thread runs, and a cell that was stopped can't be repeated
            self._tally["branches refused"] += 1
            return
        async with branch:
            token = f"<{self._number}-{self._cells + 10**6}>"
            for n in (1, 2):
                execution = await branch.run(
                    f"count = globals().get('count', 0) + 1\nprint('{token}', count)", timeout_s=LONG_S
                )
                assert execution.stdout == f"{token} {self._count + n}\n", execution
        await self.remembers()


def kill_process(kernel: Kernel) -> None:
    pid = kernel.process.pid
    assert pid is not None and pid > 1, pid  # to others it would mean many processes
    os.kill(pid, signal.SIGKILL)


KINDS: dict[Callable[[Session], Awaitable[None]], int] = {
    Session.prints: 26,
    Session.remembers: 25,
    Session.fails: 10,
    Session.prints_late: 5,
    Session.loops: 3,
    Session.clings: 2,
    Session.exits: 4,
    Session.is_killed: 2,
    Session.is_killed_between_cells: 2,
    Session.floods: 2,
    Session.floods_later: 1,
    Session.shows_much: 1,
    Session.nests: 1,
    Session.fuzzes: 2,
    Session.hoards: 2,
    Session.is_cancelled: 4,
    Session.is_left_at_once: 4,
    Session.branches: 4,
}
"""What happens, and how often out of a hundred times."""


@dataclass(frozen=True, slots=True)
class Held:
    """What this process and the fork server hold."""

    tasks: frozenset[asyncio.Task[object]]
    processes: frozenset[int]
    descriptors: dict[int, int]
    directories: frozenset[str]

    @classmethod
    def now(cls, server: ForkServer, directory: Path) -> "Held":
        gc.collect()
        serving = psutil.Process(server.pid)
        pids = [os.getpid(), serving.pid, *(child.pid for child in serving.children())]
        return cls(
            tasks=frozenset(asyncio.all_tasks()),
            processes=frozenset(child.pid for child in psutil.Process().children(recursive=True)),
            descriptors={pid: len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids[:3]},
            directories=frozenset(str(path.relative_to(directory)) for path in directory.rglob("*")),
        )


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
@pytest.mark.parametrize(
    "size",
    [
        pytest.param(SMALL, id="small", marks=pytest.mark.slow),
        pytest.param(LARGE, id="large", marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
async def test_many_cells_of_all_kinds_leave_nothing_and_mix_nothing_up(
    size: Size, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path_factory.mktemp("t")
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    server = await server_for(SANDBOX)
    try:
        await soak(Size(AT_ONCE, 10 * AT_ONCE))  # first uses of everything
        await anyio.sleep(2 * STRAYS_AFTER_S[-1])  # until then the server holds what it looks for strays by
        held, memory = Held.now(server, directory), psutil.Process().memory_info().rss
        started = time.monotonic()
        tally = await soak(size)
        growth_mb = (psutil.Process().memory_info().rss - memory) / 2**20
        print(f"{time.monotonic() - started:.0f} s, {growth_mb:+.1f} MB, {dict(tally.most_common())}")
        await eventually(
            lambda: Held.now(server, directory) == held
        )  # strays are looked for for some seconds
        assert Held.now(server, directory) == held
        assert await server_for(SANDBOX) is server
        assert growth_mb < MAX_GROWTH_MB
    finally:
        server.close()
    assert list(directory.iterdir()) == []


async def soak(size: Size) -> Counter[str]:
    """Run sessions, some at once; how often what happened."""
    tally: Counter[str] = Counter()
    free = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, pool: KernelPool) -> None:
        async with free:
            await Session(number, pool, tally).live(size.cells // size.sessions)

    async with KernelPool(SANDBOX, spares=2) as pool, anyio.create_task_group() as tasks:
        for number in range(size.sessions):
            tasks.start_soon(one, number, pool)
    return tally


async def test_sessions_go_on_after_the_fork_server_died() -> None:
    ready = anyio.Semaphore(0)

    async def one(pool: KernelPool) -> None:
        async with JupyterExecutor(pool=pool) as executor:
            await executor.run("x = 1", timeout_s=LONG_S)
            ready.release()
            execution = await executor.run("import time\ntime.sleep(600)", timeout_s=LONG_S)
            assert execution.state_lost, execution
            assert (await executor.run("1 + 1", timeout_s=LONG_S)).result == "2"

    try:
        for _ in range(2):
            server = await server_for(SANDBOX)
            async with KernelPool(SANDBOX, spares=2) as pool, anyio.create_task_group() as tasks:
                for _ in range(AT_ONCE):
                    tasks.start_soon(one, pool)
                for _ in range(AT_ONCE):
                    await ready.acquire()
                (serving,) = psutil.Process(server.pid).children()
                serving.kill()
    finally:
        (await server_for(SANDBOX)).close()
