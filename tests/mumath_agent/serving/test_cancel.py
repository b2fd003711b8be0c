"""A cancelled attempt leaves nothing behind: its request is gone from a real vLLM, its kernel from the machine."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import httpx
import psutil
import pytest

from mumath_agent.agent.events import Event
from mumath_agent.agent.solver import Solver
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.records import Limits, Problem, Sampling
from tests.toy import TOY

pytestmark = [pytest.mark.anyio, pytest.mark.vllm, pytest.mark.kernel]

ATTEMPTS = 6
ENDLESS = {"ignore_eos": True, "stop": None}
"""With this, vLLM writes until the context is full."""


async def test_cancelled_attempts_leave_no_request_and_no_kernel(serve_vllm: Callable[[Path], str]) -> None:
    base_url = serve_vllm(TOY)
    model = CompletionsModel(base_url, extra_body=ENDLESS)
    solver = Solver(model=model, limits=Limits(max_new_tokens=900), sampling=Sampling(temperature=2.0))
    async with solver.new_kernel() as kernel:  # the fork server runs from here on
        await kernel.run("1", timeout_s=10)
    before = processes()
    writing, all_write = set[int](), anyio.Event()

    def hear(number: int, event: Event) -> None:
        writing.update({number} if event["event"] == "text" else ())
        if len(writing) == ATTEMPTS:
            all_write.set()

    async with httpx.AsyncClient(base_url=base_url) as vllm:
        written = await counted(vllm, "generation_tokens_total")
        async with anyio.create_task_group() as attempts:
            for number in range(ATTEMPTS):
                problem = Problem(id=str(number), question=f"What is {number} times 2?")
                attempts.start_soon(partial(solver.solve, problem, on_event=partial(hear, number)))
            await all_write.wait()
            assert processes() - before
            attempts.cancel_scope.cancel()
        await until(lambda: nothing_left(vllm, before))
        written = await counted(vllm, "generation_tokens_total") - written
    assert 0 < written < ATTEMPTS * 900  # stopped before it was done
    await model.aclose()


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something; only what hangs takes longer than the limit."""
    with anyio.fail_after(600):
        while not await true():  # noqa: ASYNC110 - another process can set no event of ours
            await anyio.sleep(0.01)


async def nothing_left(vllm: httpx.AsyncClient, before: set[psutil.Process]) -> bool:
    return await under_way(vllm) == 0 and not processes() - before


async def under_way(vllm: httpx.AsyncClient) -> float:
    return await counted(vllm, "num_requests_running") + await counted(vllm, "num_requests_waiting")


async def counted(vllm: httpx.AsyncClient, name: str) -> float:
    """Return a number of vLLM's own metrics."""
    lines = (await vllm.get("/metrics")).text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"vllm:{name}{{"))


def processes() -> set[psutil.Process]:
    """Return all that this process has started and that still runs."""
    return {child for child in psutil.Process().children(recursive=True) if runs(child)}


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
