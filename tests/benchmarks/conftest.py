"""Fixtures of the benchmark tests."""

from collections.abc import Callable

import pytest

from mumath_agent.records import (
    Answer,
    AnswerSource,
    Limits,
    Outcome,
    Problem,
    RunRecord,
    Sampling,
    Settings,
    StopReason,
    Trajectory,
    Verdict,
)
from mumath_agent.transcript import Transcript

Attempt = Callable[..., RunRecord]


def _attempt(
    id: str = "1",
    outcome: Outcome | None = Outcome.CORRECT,
    *,
    sample: int = 0,
    answer: str | None = "5",
    found_in: AnswerSource = AnswerSource.BOXED,
    target: str | None = "5",
    stop: StopReason = StopReason.ANSWERED,
    tags: tuple[str, ...] = (),
    model: str = "m",
    **trajectory: object,
) -> RunRecord:
    question = f"What is {id}?"
    details: dict[str, object] = {
        "transcript": Transcript(question=question),
        "completions": (),
        "executions": (),
    }
    return RunRecord(
        problem=Problem(id=id, question=question, target=target, tags=tags),
        sample=sample,
        settings=Settings(model=model, dialect="fenced", limits=Limits(), sampling=Sampling()),
        isolation="none",
        version="0",
        trajectory=Trajectory(
            answer=None if answer is None else Answer(text=answer, found_in=found_in),
            stop_reason=stop,
            **details | trajectory,  # type: ignore[arg-type]
        ),
        verdict=Verdict(outcome=outcome, method="typed") if outcome else None,
    )


@pytest.fixture(scope="session")
def attempt() -> Attempt:
    """Return the function that makes the record of an attempt: correct, unless told otherwise."""
    return _attempt
