"""Check kernels out of a pool: new ones each time, ready beforehand, never more than there is room for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psutil
import pytest
from outside import DIES, descendants, gone, run

from mumath_agent.kernels import JupyterExecutor, Kernel, KernelPool, Sandbox
from mumath_agent.records import ExecutionStatus
from tests.mumath_agent.waiting import HANG_S, eventually

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]


@pytest.fixture(scope="module", autouse=True)
async def server(anyio_backend: str) -> None:
    """Start the fork server, so that whatever a test finds besides is a kernel."""
    async with JupyterExecutor() as executor:
        await run(executor, "1")


@asynccontextmanager
async def counted(most: int) -> AsyncIterator[None]:
    """Check that at no time more than `most` kernels live that didn't before."""
    before, highest = descendants(), 0

    async def watch() -> None:
        nonlocal highest
        while True:
            highest = max(highest, len(descendants() - before))
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    yield
    watching.cancel()
    assert 0 < highest <= most


async def spares_beside(others: set[psutil.Process], number: int) -> set[psutil.Process]:
    """Wait until as many kernels wait in a pool; return their processes."""
    assert await eventually(lambda: len(descendants() - others) == number)
    return descendants() - others


async def test_a_leased_kernel_is_gone_when_its_block_ends() -> None:
    async with KernelPool(spares=0) as pool:
        async with pool.lease() as kernel:
            process = psutil.Process(kernel.process.pid)
            assert kernel.alive
            assert kernel.isolation == "full"
        assert gone(process)
        assert not kernel.alive


async def test_a_kernel_that_ran_something_is_never_handed_out_again() -> None:
    pids = set()
    async with KernelPool(spares=2) as pool:
        for n in range(4):
            async with pool.lease() as kernel:
                pids.add(kernel.process.pid)
            async with JupyterExecutor(pool=pool) as executor:
                assert (await run(executor, "'x' in globals()")).result == "False"
                await run(executor, f"x = {n}")
    assert len(pids) == 4


async def test_spares_wait_ready_are_handed_out_first_and_are_replaced() -> None:
    before = descendants()
    async with KernelPool(spares=2) as pool:
        spares = await spares_beside(before, 2)
        kernels = [await pool.take() for _ in range(2)]
        assert {kernel.process.pid for kernel in kernels} == {spare.pid for spare in spares}
        for kernel in kernels:
            await pool.discard(kernel)
        assert not spares & await spares_beside(before, 2)


async def test_leaving_a_pool_ends_its_spares() -> None:
    before = descendants()
    async with KernelPool(spares=3):
        await spares_beside(before, 3)
    assert gone(*(descendants() - before))
    for seconds in (0, 0.001, 0.005, 0.02):  # also those that are starting
        async with KernelPool(spares=3):
            await asyncio.sleep(seconds)
    assert gone(*(descendants() - before))


async def test_a_spare_that_died_is_not_handed_out() -> None:
    before = descendants()
    async with KernelPool(spares=1) as pool:
        (spare,) = await spares_beside(before, 1)
        kernel = await asyncio.shield(pool._spares[0])
        spare.kill()
        assert await eventually(lambda: not kernel.alive)
        async with JupyterExecutor(pool=pool) as executor:
            execution = await run(executor, "1 + 1")
            assert (execution.result, execution.state_lost, executor.recoveries) == ("2", False, 0)


async def test_a_full_pool_serves_those_who_wait_in_the_order_they_came() -> None:
    served: list[int] = []

    async def wait(n: int) -> None:
        async with pool.lease():
            served.append(n)

    async with counted(1), KernelPool(spares=0, max_kernels=1) as pool, asyncio.TaskGroup() as waiting:
        first = await pool.take()
        for n in range(4):
            waiting.create_task(wait(n))
            await asyncio.sleep(0.05)
        assert served == []
        await pool.discard(first)
    assert served == [0, 1, 2, 3]


@pytest.mark.parametrize("spares", [0, 1, 5])
async def test_spares_count_as_living(spares: int) -> None:
    async def one(n: int) -> str | None:
        async with JupyterExecutor(pool=pool) as executor:
            return (await run(executor, f"import time\ntime.sleep(0.05)\n{n}")).result

    async with counted(2), KernelPool(spares=spares, max_kernels=2) as pool, asyncio.timeout(HANG_S):
        await asyncio.sleep(0.1)
        assert await asyncio.gather(*map(one, range(6))) == [str(n) for n in range(6)]


async def test_without_a_number_memory_says_how_many_may_live() -> None:
    """Each of these may take all there is; one is always let in."""
    all_there_is = psutil.virtual_memory().total >> 20
    async with counted(1), KernelPool(Sandbox(memory_mb=all_there_is), spares=2) as pool:
        first = await pool.take()
        second = asyncio.create_task(pool.take())
        await asyncio.sleep(1)
        assert not second.done()
        await pool.discard(first)
        await pool.discard(await second)


async def test_whoever_gives_up_waiting_takes_no_room_along() -> None:
    before = descendants()
    async with KernelPool(spares=0, max_kernels=1) as pool:
        first = await pool.take()
        for seconds in (0, 0.01, 0.7):
            with suppress(TimeoutError):
                await asyncio.wait_for(pool.take(), seconds)
        await pool.discard(first)
        for milliseconds in range(15):  # also while its kernel starts
            taking = asyncio.create_task(pool.take())
            await asyncio.sleep(milliseconds / 1000)
            taking.cancel()
            with suppress(asyncio.CancelledError):
                await pool.discard(await taking)
        async with asyncio.timeout(HANG_S), pool.lease() as kernel:
            assert kernel.alive
    assert gone(*(descendants() - before))


async def test_whoever_gives_up_when_a_spare_has_just_become_ready_leaves_it_to_the_pool() -> None:
    before = descendants()
    async with KernelPool(spares=1, max_kernels=1) as pool:
        taking: asyncio.Task[Kernel]
        pool._spares[0].add_done_callback(lambda _: taking.cancel())  # in the same turn of the loop
        taking = asyncio.create_task(pool.take())
        with pytest.raises(asyncio.CancelledError):
            await taking
        async with asyncio.timeout(HANG_S), pool.lease() as kernel:
            assert kernel.alive
    assert gone(*(descendants() - before))


async def test_a_session_whose_kernel_dies_gets_another_though_the_pool_is_full() -> None:
    async with KernelPool(spares=0, max_kernels=1) as pool, JupyterExecutor(pool=pool) as executor:
        for _ in range(3):
            execution = await asyncio.wait_for(run(executor, DIES), HANG_S)
            assert (execution.status, execution.state_lost) == (ExecutionStatus.DIED, True)
        assert (await asyncio.wait_for(run(executor, "1 + 1"), HANG_S)).result == "2"


async def test_a_spare_makes_room_for_a_kernel_with_a_seed() -> None:
    async with (
        counted(1),
        KernelPool(spares=1, max_kernels=1) as pool,
        JupyterExecutor(pool=pool, rebuild_state=True) as executor,
    ):
        await run(executor, "x = 5")
        for _ in range(3):
            execution = await asyncio.wait_for(run(executor, DIES), HANG_S)
            assert (execution.status, execution.state_replayed) == (ExecutionStatus.DIED, True)
        assert (await asyncio.wait_for(run(executor, "x"), HANG_S)).result == "5"


async def test_the_fork_server_survives_kernels_that_all_end_at_once() -> None:
    async with KernelPool(spares=0, max_kernels=16) as pool:
        servers = set(psutil.Process().children())
        for _ in range(6):
            kernels = await asyncio.gather(*(pool.take() for _ in range(16)))
            for kernel in kernels:
                kernel.kill()
            await asyncio.gather(*map(pool.discard, kernels))
        assert set(psutil.Process().children()) == servers


@pytest.mark.parametrize("seconds", [0, 0.005, 0.05])
async def test_a_fork_server_that_has_just_been_killed_is_replaced_for_whoever_asks(seconds: float) -> None:
    async with KernelPool(Sandbox(preload=("colorsys",)), spares=0) as pool:
        before = descendants()
        async with pool.lease() as kernel:
            server = psutil.Process(kernel.process.pid).parent()
            assert server is not None
        server.kill()
        await asyncio.sleep(seconds)
        async with pool.lease() as kernel:
            assert kernel.alive
        assert server in before or gone(server)
