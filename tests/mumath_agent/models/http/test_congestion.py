"""A server that says "busy" gets fewer requests at once, and everybody is served in the end."""

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mumath_agent.models.http.congestion import CongestionLimit
from mumath_agent.models.http.retries import Overloaded
from tests.waiting import HANG_S

pytestmark = pytest.mark.anyio


class Server:
    """Bears so many requests at once and refuses any other."""

    def __init__(self, bears: int) -> None:
        self.bears = bears
        self.under_way = 0
        self.refused = 0

    async def request(self) -> None:
        self.under_way += 1
        try:
            await anyio.lowlevel.checkpoint()
            if self.under_way > self.bears:
                self.refused += 1
                raise Overloaded("busy", "wait")
            await anyio.lowlevel.checkpoint()
        finally:
            self.under_way -= 1


async def run(server: Server, congestion: CongestionLimit, requests: int) -> None:
    async def until_served() -> None:
        while True:
            try:
                async with congestion.slot():
                    return await server.request()
            except Overloaded:
                await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(requests):
            tasks.start_soon(until_served)


async def test_without_a_word_of_the_server_there_is_no_limit() -> None:
    server, congestion = Server(bears=1000), CongestionLimit()
    await run(server, congestion, 300)
    assert congestion.limit == float("inf") and server.refused == 0


@settings(deadline=None, max_examples=40)
@given(bears=st.integers(1, 20), requests=st.integers(1, 60))
async def test_every_request_is_served_and_the_limit_stays_sane(bears: int, requests: int) -> None:
    server, congestion = Server(bears), CongestionLimit()
    with anyio.fail_after(HANG_S):
        await run(server, congestion, requests)
    assert congestion.limit >= 1
    if requests <= bears:
        assert server.refused == 0


async def test_refusals_of_one_moment_count_once() -> None:
    """Sixteen requests are refused together: eight are tried next, not none."""
    congestion, refuse = CongestionLimit(), anyio.Event()

    async def refused() -> None:
        with pytest.raises(Overloaded):
            async with congestion.slot():
                await refuse.wait()
                raise Overloaded("busy", "wait")

    async with anyio.create_task_group() as tasks:
        for _ in range(16):
            tasks.start_soon(refused)
        await anyio.wait_all_tasks_blocked()
        refuse.set()
    assert congestion.limit == 8


async def test_a_round_of_good_answers_allows_one_more() -> None:
    congestion = CongestionLimit()
    with pytest.raises(Overloaded):
        async with congestion.slot():
            raise Overloaded("busy", "wait")
    assert congestion.limit == 1
    limits = []
    for _ in range(6):
        async with congestion.slot():
            pass
        limits.append(congestion.limit)
    assert limits == [2, 2, 3, 3, 3, 4]


async def test_a_cancelled_request_gives_its_place_back() -> None:
    congestion = CongestionLimit()
    with pytest.raises(Overloaded):
        async with congestion.slot():
            raise Overloaded("busy", "wait")
    with anyio.move_on_after(0.01):
        async with congestion.slot():
            await anyio.sleep_forever()
    with anyio.fail_after(HANG_S):
        async with congestion.slot():
            pass
