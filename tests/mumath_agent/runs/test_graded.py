"""One rule reads and grades an attempt: a new batch and a regraded run agree for every way an attempt can end."""

import pytest

from benchmarks.grading.regrade import regrade_all
from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.grading import Grader
from mumath_agent.records import (
    BROKEN,
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
)
from mumath_agent.runs.graded import graded, with_answer
from mumath_agent.testing import ScriptedModel
from mumath_agent.transcript import Kind, Segment, Transcript

pytestmark = [pytest.mark.anyio, pytest.mark.worker]
BOXED, WITHOUT = "So the total is $\\boxed{5}$.", "I can't say."
RIGHT, WRONG, NONE = Outcome.CORRECT, Outcome.INCORRECT, Outcome.NO_ANSWER


def record(stop: StopReason, text: str, target: str | None = "5") -> RunRecord:
    """Return a record as an older rule of extraction might have left it: it found no answer."""
    return RunRecord(
        problem=Problem(id="p", question="q", target=target),
        settings=Settings(model="m", dialect="fenced", limits=Limits(), sampling=Sampling()),
        isolation="full",
        version="0",
        trajectory=Trajectory(
            transcript=Transcript(question="q", segments=(Segment(kind=Kind.RATIONALE, text=text),)),
            completions=(),
            executions=(),
            answer=None,
            stop_reason=stop,
            error="broke" if stop in BROKEN else None,
        ),
    )


TABLE = [
    # recorded stop, text, target -> stop, answer, outcome
    (StopReason.ANSWERED, BOXED, "5", StopReason.ANSWERED, "5", RIGHT),
    (StopReason.ANSWERED, BOXED, "6", StopReason.ANSWERED, "5", WRONG),
    (StopReason.ANSWERED, WITHOUT, "5", StopReason.NO_ANSWER, None, NONE),
    (StopReason.NO_ANSWER, BOXED, "5", StopReason.ANSWERED, "5", RIGHT),
    (StopReason.NO_ANSWER, WITHOUT, "5", StopReason.NO_ANSWER, None, NONE),
    (StopReason.NO_ANSWER, BOXED, None, StopReason.ANSWERED, "5", None),
    *(
        (stop, BOXED, "5", stop, None, NONE)
        for stop in (
            StopReason.MAX_TURNS,
            StopReason.MAX_TOKENS,
            StopReason.WALL_CLOCK,
            StopReason.KERNEL_DIED,
        )
    ),
    *((stop, BOXED, "5", stop, None, None) for stop in sorted(BROKEN)),
]


def test_the_table_has_every_stop_reason() -> None:
    assert {row[0] for row in TABLE} == set(StopReason)


@pytest.mark.parametrize(("stop", "text", "target", "ended", "answer", "outcome"), TABLE)
async def test_a_record_is_read_and_graded_by_one_rule(
    stop: StopReason,
    text: str,
    target: str | None,
    ended: StopReason,
    answer: str | None,
    outcome: Outcome | None,
) -> None:
    recorded = record(stop, text, target)
    async with Grader() as grader:
        after = await graded(recorded, grader)
    regraded = (await regrade_all([recorded], workers=1, timeout_s=60))[0].after
    for found in (after, regraded):
        attempt = found.trajectory
        assert attempt.stop_reason is ended
        assert (attempt.answer and attempt.answer.text) == answer
        assert (found.verdict and found.verdict.outcome) == outcome


@pytest.mark.kernel
async def test_a_batch_grades_as_regrading_does() -> None:
    new: list[RunRecord] = []
    problems = tuple(Problem(id=str(n), question=f"question {n}", target="5") for n in range(2))
    solver = Solver(model=ScriptedModel(texts=[BOXED, WITHOUT]))
    async with Grader() as grader:
        await run_batch(
            Batch(problems=problems, solver=solver), concurrency=1, grader=grader, on_record=new.append
        )
    again = await regrade_all(new, workers=1, timeout_s=60)
    assert [regraded.after for regraded in again] == new
    assert [record.verdict and record.verdict.outcome for record in new] == [RIGHT, NONE]


def test_an_answer_without_a_grader_is_read_as_well() -> None:
    def no_rule(transcript: Transcript) -> Answer | None:
        return Answer(text=transcript.question, found_in=AnswerSource.PHRASE)

    found = with_answer(record(StopReason.NO_ANSWER, WITHOUT), no_rule).trajectory
    assert found.answer == Answer(text="q", found_in=AnswerSource.PHRASE)
    assert found.stop_reason is StopReason.ANSWERED
