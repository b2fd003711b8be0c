r"""Have kernels send random messages on all their sockets: only their own sessions may notice.

By day a few kernels send the same messages each time; at night many send new ones. For a longer run, give the number
of kernels, and of messages that each of them sends if it lives so long. A seed that was printed draws the same again:

    MUMATH_FUZZ_KERNELS=2000 MUMATH_FUZZ_MESSAGES=2000 MUMATH_FUZZ_SEED=7 \
        .venv/bin/pytest -n0 -s -m slow tests/mumath_agent/kernels/test_fuzzing.py
"""

import asyncio
import os
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import fuzzer
import psutil
import pytest
from outside import descendants, tree
from watching import Watch

from mumath_agent.concurrency import for_each
from mumath_agent.errors import KernelError
from mumath_agent.kernels import JupyterExecutor, KernelPool, Sandbox
from mumath_agent.kernels.forkserver import server_for
from mumath_agent.kernels.kernel import Kernel
from mumath_agent.records import Execution, ExecutionStatus
from tests.waiting import HANG_S, eventually

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

AT_ONCE = 4
SANDBOX = Sandbox(memory_mb=512, preload=())
"""Unlike any other test's, so that the fork server is this test's own."""
ENDS_S = 5.0
"""Enough for every program; one that waits for what it has broken itself is ended."""
TRIES = 50
"""How many programs are run after it: a thread that it left behind may forge what the next ones of its session say."""
UNCLEAN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e\ud800-\udfff\U000e0041]")


@dataclass
class Run:
    """Kernels that send random messages, and what was seen of it."""

    pool: KernelPool
    seed: str
    messages: int
    tally: Counter[str] = field(default_factory=Counter)

    async def one(self, number: int) -> None:
        """Have kernel `number` attack; its session goes on, and what is shown of it is clean and bounded."""
        name = f"seed {self.seed}, kernel {number}"
        seeded = f"{fuzzer.Fuzzer.__name__}(get_ipython().publish.__self__, '{self.seed} {number}')"
        async with JupyterExecutor(pool=self.pool, interrupt_grace_s=0.3) as session:
            execution = await session.run(f"{PROGRAM}\n{seeded}.attack({self.messages})", timeout_s=ENDS_S)
            why = re.sub("[0-9,]+", "N", str(execution.error).splitlines()[-1])[:90]
            self.tally[f"{execution.status} {why}"] += 1
            check_shown(execution, name)
            if number % 10 == 0:
                await self._branch(session)
            for attempt in range(TRIES):
                following = await session.run("6 * 7", timeout_s=ENDS_S)
                check_shown(following, name)
                if (following.status, following.result) == (ExecutionStatus.OK, "42"):
                    break
                self.tally["said something else later"] += 1
                assert attempt < TRIES - 1, (name, following)
                await asyncio.sleep(0.1)

    async def _branch(self, session: JupyterExecutor) -> None:
        try:
            branch = await self.pool.branch(await session._live_kernel())
        except KernelError:
            self.tally["branches refused"] += 1
        else:
            await self.pool.discard(branch)


PROGRAM = Path(fuzzer.__file__).read_text()


def check_shown(execution: Execution, name: str) -> None:
    shown = f"{execution.stdout}{execution.stderr}{execution.result}{execution.error}"
    assert len(shown) < 1_500_000, name
    assert not UNCLEAN.search(shown), (name, UNCLEAN.search(shown))


async def fuzz(seed: str, kernels: int, messages: int, directory: Path) -> Counter[str]:
    """Run it; return how often what happened."""
    server = await server_for(SANDBOX)
    try:
        async with KernelPool(SANDBOX, spares=2) as pool, JupyterExecutor(pool=pool) as bystander:
            await bystander.run("kept = 5", timeout_s=HANG_S)
            await Run(pool, "first uses of everything", 10).one(0)
            before, files = descendants(), tree(directory)
            held = held_by(server.pid)
            run = Run(pool, seed, messages)
            with Watch() as watch:
                await for_each(range(kernels), run.one, concurrency=AT_ONCE)
            kept = await bystander.run("print(kept)", timeout_s=HANG_S)
            assert (kept.status, kept.stdout, kept.state_lost) == (ExecutionStatus.OK, "5\n", False)
            watch.check()
            assert await server_for(SANDBOX) is server
            assert await eventually(lambda: len(descendants()) <= len(before))
            assert await eventually(lambda: held_by(server.pid) <= held), (held_by(server.pid), held)
            assert tree(directory) == files
    finally:
        server.close()
    return run.tally


def held_by(guardian: int) -> int:
    """Return how many descriptors we and the fork server hold."""
    (server,) = psutil.Process(guardian).children()
    return psutil.Process().num_fds() + server.num_fds()


@pytest.fixture
def count_read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the messages that are taken in, and the kernels that broke the protocol."""
    tally: Counter[str] = Counter()
    genuine, violation = Kernel._on_message, Kernel._on_violation

    def on_message(kernel: Kernel, frames: list[bytes]) -> None:
        tally["messages read"] += 1
        genuine(kernel, frames)

    def on_violation(kernel: Kernel, why: str) -> None:
        tally[re.sub(r"[\d,]+", "N", why)[:60]] += 1
        violation(kernel, why)

    monkeypatch.setattr(Kernel, "_on_message", on_message)
    monkeypatch.setattr(Kernel, "_on_violation", on_violation)
    return tally


async def test_random_messages_cost_only_their_own_sessions(own_tmp: Path, count_read: Counter[str]) -> None:
    await fuzz("7", 12, 100, own_tmp)
    assert count_read["messages read"] > 12 * 10


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
async def test_many_new_random_messages_cost_only_their_own_sessions(
    own_tmp: Path, count_read: Counter[str]
) -> None:
    seed = os.environ.get("MUMATH_FUZZ_SEED", str(random.randrange(10**9)))
    kernels = int(os.environ.get("MUMATH_FUZZ_KERNELS", "100"))
    messages = int(os.environ.get("MUMATH_FUZZ_MESSAGES", "500"))
    print(f"seed {seed}: {kernels} kernels of {messages} messages")
    tally = await fuzz(seed, kernels, messages, own_tmp)
    assert count_read["messages read"] > kernels * messages / 10
    print(f"{dict(count_read.most_common())}, {dict(tally.most_common())}")
