"""Sessions by handle: bounded, owned, alone in use, ended when idle, ended on close. Their kernels are real only where
one is marked."""

import asyncio

import pytest

from mumath_agent.agent.solver import AttemptOptions
from mumath_agent.front.places import Busy, Places
from mumath_agent.front.sessions import SessionGone, SessionLimits, Sessions
from mumath_agent.kernels import recovery
from mumath_agent.kernels.recovery import History
from mumath_agent.records import Execution, ExecutionStatus
from tests.waiting import HANG_S, eventually

pytestmark = pytest.mark.anyio


def limits(most: int = 4, per_owner: int = 3, idle_s: float = HANG_S) -> SessionLimits:
    return SessionLimits(most=most, most_per_owner=per_owner, idle_s=idle_s)


def without_kernels(given: SessionLimits) -> Sessions:
    """Return sessions in which nothing runs: their kernels would start with the first program."""
    sessions = Sessions(AttemptOptions(), given)
    sessions.pool._wanted = 0
    return sessions


@pytest.mark.kernel
async def test_a_session_keeps_its_variables_and_is_nobody_elses() -> None:
    async with Sessions(AttemptOptions(), limits()) as sessions:
        hers, his = await sessions.begin("she"), await sessions.begin("he")
        async with sessions.use(hers, "she") as kernel:
            await kernel.run("x = 41", timeout_s=HANG_S)
        async with sessions.use(hers, "she") as kernel:
            assert (await kernel.run("x + 1", timeout_s=HANG_S)).result == "42"
        async with sessions.use(his, "he") as kernel:
            assert "NameError" in ((await kernel.run("x", timeout_s=HANG_S)).error or "")
        for handle, owner in ((hers, "he"), ("", "she"), ("x" * 1000, "she")):
            with pytest.raises(SessionGone):
                async with sessions.use(handle, owner):
                    raise AssertionError
            with pytest.raises(SessionGone):
                await sessions.end(handle, owner)
        await sessions.end(hers, "she")
        assert len(sessions) == 1
    assert len(sessions) == 0


async def test_the_oldest_that_nobody_uses_makes_room_first_among_the_owners_own() -> None:
    async with without_kernels(limits()) as sessions:
        of_a = [await sessions.begin("a") for _ in range(3)]
        of_b = await sessions.begin("b")
        async with sessions.use(of_a[0], "a"):
            await sessions.begin("a")  # its own second one goes: the first is in use
            await sessions.begin("c")  # all together are too many: the owner with the most gives one
            assert len(sessions) == 4
            for gone in of_a[1:]:
                with pytest.raises(SessionGone):
                    await sessions.end(gone, "a")
        async with sessions.use(of_b, "b"):
            pass


async def test_with_all_in_use_there_is_no_room() -> None:
    async with without_kernels(limits(most=1)) as sessions:
        async with sessions.use(await sessions.begin("a"), "a"):
            with pytest.raises(Busy, match="try again"):
                await sessions.begin("b")
        await sessions.begin("b")


async def test_one_that_is_idle_ends_and_one_in_use_does_not() -> None:
    async with without_kernels(limits(idle_s=0.01)) as sessions:
        handle = await sessions.begin("a")
        async with sessions.use(handle, "a"):
            idle = await sessions.begin("a")
            assert await eventually(lambda: len(sessions) == 1)
            with pytest.raises(SessionGone):
                await sessions.end(idle, "a")
        assert await eventually(lambda: len(sessions) == 0)


async def test_it_is_used_by_one_at_a_time_and_who_waits_is_told_that_it_was_ended() -> None:
    async with without_kernels(limits()) as sessions:
        handle = await sessions.begin("a")

        async def wait() -> None:
            async with sessions.use(handle, "a"):
                raise AssertionError

        async with sessions.use(handle, "a"):
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0)
            await sessions.end(handle, "a")
        with pytest.raises(SessionGone):
            await waiting


async def test_places_are_few_and_so_are_those_who_wait() -> None:
    places = Places(at_once=1, waiting=1)
    entered = asyncio.Event()

    async def come() -> None:
        async with places.one():
            entered.set()

    async with places.one():
        second = asyncio.create_task(come())
        assert await eventually(lambda: places.waiting == 1)
        with pytest.raises(Busy) as refused:
            places.check()
        assert refused.value.retry_after_s >= 1
        assert not entered.is_set()
    await second
    assert (places.taken, places.waiting) == (0, 0)


def test_what_a_long_session_did_is_forgotten_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recovery, "MOST_CHARS", 100)
    history = History()
    history.add("x", Execution(status=ExecutionStatus.OK, stdout="a" * 60))
    assert history.is_repeatable
    history.add("y", Execution(status=ExecutionStatus.OK, stdout="a" * 60))
    history.add("z", Execution(status=ExecutionStatus.OK))
    assert not history.is_repeatable
    assert not history.copy().is_repeatable
