"""`perf client` measures: every row has a number, and the simulated server writes token by token."""

import asyncio

from benchmarks.perf.client import measure
from benchmarks.perf.token_server import ENDING, serving
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.protocols import CompletionRequest
from mumath_agent.records import Completion, FinishReason


def test_every_row_has_a_number() -> None:
    rows = measure(quick=True)
    assert len(rows) == 6 and all(row.ours for row in rows)


def test_the_server_writes_token_by_token() -> None:
    async def ask(url: str, pieces: list[str]) -> Completion:
        model = CompletionsModel(url)
        try:
            return await model.complete(CompletionRequest(prompt="?", max_tokens=9), pieces.append)
        finally:
            await model.aclose()

    pieces: list[str] = []
    with serving(step_s=0.01, tokens=5) as url:
        completion = asyncio.run(ask(url, pieces))
    assert completion == Completion(
        text=" word" * 4 + ENDING, finish_reason=FinishReason.STOP, prompt_tokens=20, completion_tokens=5
    )
    assert pieces[0] == " word"
