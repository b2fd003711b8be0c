"""Bounded concurrency: every item once, in order of results, never more at a time than allowed."""

import anyio
import pytest

from mumath_agent.concurrency import for_each, map_each

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("concurrency", [1, 3, 50])
async def test_results_keep_the_order_and_the_bound_holds(concurrency: int) -> None:
    running = most = 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(number % 4):
            await anyio.lowlevel.checkpoint()
        running -= 1
        return number * number

    assert await map_each(range(20), work, concurrency=concurrency) == [n * n for n in range(20)]
    assert most <= concurrency


async def test_the_first_error_is_raised_as_it_is_and_cancels_the_others() -> None:
    cancelled = []

    async def work(number: int) -> None:
        if number == 1:
            raise ValueError("one")
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.append(number)
            raise

    with pytest.raises(ValueError, match="one"):
        await for_each(range(9), work, concurrency=3)
    assert set(cancelled) <= {0, 2}


async def test_items_may_be_added_while_others_are_worked_on() -> None:
    class Queue:
        def __init__(self) -> None:
            self.items = [1]

        def __iter__(self) -> "Queue":
            return self

        def __next__(self) -> int:
            if not self.items:
                raise StopIteration
            return self.items.pop()

    queue, seen = Queue(), []

    async def work(number: int) -> None:
        seen.append(number)
        if number < 5:
            queue.items.append(number + 1)

    await for_each(queue, work, concurrency=1)
    assert seen == [1, 2, 3, 4, 5]


async def test_no_item_is_no_work() -> None:
    assert await map_each([], anyio.sleep, concurrency=4) == []
