"""One set of weights, two engines: the embedded one and a real vLLM write the same transcripts, token for token."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.protocols import CompletionModel
from mumath_agent.records import Completion, Problem, Trajectory
from tests.toy import TOY

QUESTIONS = [
    "Lina has 17 marbles. Tom gives her 25 more marbles. How many marbles does Lina have now?",
    "A baker packs 48 muffins into boxes of 6. How many boxes does she fill?",
    "What is 123 minus 45?",
    "Each ticket costs $7.50. How much do 4 tickets cost?",
    "Nadia reads 23 pages on Monday and twice as many on Tuesday. How many pages does she read in both days?",
    "Something no program can answer, written to send the model off its tracks: ünïcödé, 3/4 & \\sqrt{2}?",
]


@pytest.mark.anyio
@pytest.mark.vllm
@pytest.mark.kernel
async def test_vllm_and_the_embedded_engine_agree_token_for_token(serve_vllm: Callable[[Path], str]) -> None:
    served = await attempts(CompletionsModel(serve_vllm(TOY)))
    embedded = await attempts(EmbeddedModel(TOY))
    for question in QUESTIONS:
        assert served[question].transcript.text == embedded[question].transcript.text
        # Token counts: the same text in the same tokens, the beginning of the prompt and the end token included.
        assert written(served[question]) == written(embedded[question])
        assert served[question].answer == embedded[question].answer


def written(trajectory: Trajectory) -> list[Completion]:
    return [replace(completion, logprob=None) for completion in trajectory.completions]


async def attempts(model: CompletionModel) -> dict[str, Trajectory]:
    found: dict[str, Trajectory] = {}
    try:
        problems = tuple(Problem(id=question, question=question) for question in QUESTIONS)
        await run_batch(
            Batch(problems=problems, solver=Solver(model=model)),
            concurrency=2,
            on_record=lambda record: found.update({record.problem.id: record.trajectory}),
        )
    finally:
        await model.aclose()
    return found
