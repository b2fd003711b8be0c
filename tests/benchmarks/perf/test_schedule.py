"""The simulated server keeps its speed, and both ways of scheduling wait for it."""

import asyncio
from pathlib import Path

import pytest

from benchmarks.perf.schedule import WIDE, makespans, measure
from benchmarks.perf.simulated import SimulatedServer, Speed
from benchmarks.replay.recordings import RecordedCell, RecordedSolution, Runtime
from mumath_agent.protocols import CompletionRequest
from mumath_agent.records import Completion, FinishReason, Limits, Sampling, Settings
from mumath_agent.testing import ScriptedModel

pytestmark = pytest.mark.anyio


def said(text: str, tokens: int) -> Completion:
    return Completion(text=text, finish_reason=FinishReason.STOP, prompt_tokens=0, completion_tokens=tokens)


class Jumping(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to what is due next, instead of waiting for it."""

    now = 0.0

    def __init__(self) -> None:
        super().__init__()
        select = self._selector.select  # type: ignore[attr-defined]

        def jump(timeout: float | None) -> object:
            self.now += timeout or 0.0
            return select(0)

        self._selector.select = jump  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.now


@pytest.mark.parametrize(("requests", "rounds"), [(1, 1), (4, 1), (5, 2), (12, 3)])
def test_requests_wait_for_a_slot(requests: int, rounds: int) -> None:
    async def serve() -> float:
        texts = ScriptedModel(texts=[said("x", 20)] * requests)
        server = SimulatedServer(texts, Speed(slots=4, tokens_per_s=100))
        work = (server.complete(CompletionRequest(prompt="", max_tokens=1000)) for _ in range(requests))
        await asyncio.gather(*work)
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=Jumping) as runner:
        assert runner.run(serve()) == pytest.approx(rounds * 0.2)


async def test_a_completion_ends_at_the_token_limit() -> None:
    server = SimulatedServer(ScriptedModel(texts=[said("12345678", 8)]), Speed(slots=1, tokens_per_s=1000))
    pieces: list[str] = []
    completion = await server.complete(CompletionRequest(prompt="", max_tokens=4), pieces.append)
    assert (completion.text, completion.completion_tokens) == ("1234", 4)
    assert completion.finish_reason is FinishReason.LENGTH and pieces == ["1234"]


def recorded(number: int, tokens: tuple[int, int]) -> RecordedSolution:
    return RecordedSolution(
        id=str(number),
        question=f"Question {number}?",
        target=None,
        runtime=Runtime.TORA,
        settings=Settings(model="m", dialect="fenced", limits=Limits(), sampling=Sampling()),
        cells=(RecordedCell(code="print(1)\n", output="1"),),
        turns=(said("```python\nprint(1)\n```\n", tokens[0]), said("It is $\\boxed{1}$.", tokens[1])),
        answer="1",
    )


@pytest.mark.slow
@pytest.mark.kernel
async def test_lock_step_pays_for_the_slowest_of_every_round() -> None:
    # One attempt writes long first, the other long in the end: 2 x 110 tokens one after the other, or 200 in rounds.
    solutions = [recorded(0, (100, 10)), recorded(1, (10, 100))]
    found = await makespans(solutions, Speed(slots=2, tokens_per_s=100))
    assert found.limit == pytest.approx(1.1)
    assert (
        found.ours >= found.limit and found.lock_step >= 2.0
    )  # how long the server takes, however slow we are


@pytest.mark.slow
@pytest.mark.kernel
async def test_the_limit_is_the_full_server_where_slots_are_few() -> None:
    solutions = [recorded(n, (10, 10)) for n in range(6)]
    found = await makespans(solutions, Speed(slots=1, tokens_per_s=100))
    assert found.limit == pytest.approx(1.2)


def test_without_traces_the_rows_say_so(tmp_path: Path) -> None:
    rows = measure(True, tmp_path)
    assert len(rows) == 4 and all("there is no" in row.skipped for row in rows)
    assert WIDE.file in rows[0].skipped
