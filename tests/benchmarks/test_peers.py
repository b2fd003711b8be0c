"""Check that another agent on our model leaves records like ours. It runs for real; only the model has a script."""

import asyncio
from collections.abc import Iterable

import pytest

from benchmarks.peers import UNCONFINED, peer
from mumath_agent.agent.solver import Solver
from mumath_agent.errors import ModelUnreachable
from mumath_agent.grading import Grader
from mumath_agent.protocols import Conversation, Role
from mumath_agent.records import (
    ExecutionStatus,
    Limits,
    Outcome,
    Problem,
    RunRecord,
    StopReason,
    from_json,
    to_json,
)
from mumath_agent.runs.executed import turns_of
from mumath_agent.runs.graded import graded
from mumath_agent.testing import ScriptedModel
from tests.programs import call

pytest.importorskip("smolagents")
COMPUTE = "I multiply.\n<code>\nprint(17 * 23)\n</code>"
FINISH = "Done.\n<code>\nfinal_answer(391)\n</code>"


def attempt(texts: Iterable[str | Exception]) -> tuple[RunRecord, ScriptedModel]:
    model = ScriptedModel(texts=texts)
    solver = peer("smolagents", Solver(model=model, limits=Limits(max_turns=3)))
    problem = Problem(id="1", question="What is 17 times 23?", target="391")
    return asyncio.run(solver.solve(problem)), model


def test_its_attempt_is_a_record_that_is_graded_and_shown_like_ours() -> None:
    record, model = attempt([COMPUTE, FINISH])
    made = record.trajectory
    assert (record.answer, made.stop_reason, record.isolation) == ("391", StopReason.ANSWERED, UNCONFINED)
    assert record.settings.model.startswith("scripted in smolagents 1.")
    assert [execution.status for execution in made.executions] == [ExecutionStatus.OK] * 2
    assert "391" in made.executions[0].stdout and "print(17 * 23)" in str(record)
    assert len(made.completions) == 2 and sum(c.completion_tokens for c in made.completions) > 0
    assert tuple(s for turn in turns_of(record) for s in turn.segments) == made.transcript.segments
    assert from_json(RunRecord, to_json(record)) == record
    first, second = model.prompts
    assert isinstance(first, Conversation) and isinstance(second, Conversation)
    assert first.messages[0].role is Role.SYSTEM and "17 times 23" in first.messages[1].text
    assert "391" in second.messages[-1].text


@pytest.mark.anyio
@pytest.mark.worker
async def test_its_answer_gets_a_verdict() -> None:
    record, _ = await asyncio.to_thread(attempt, [COMPUTE, FINISH])
    async with Grader(workers=1) as grader:
        verdict = (await graded(record, grader)).verdict
    assert verdict is not None and verdict.outcome is Outcome.CORRECT


def test_a_program_that_fails_is_told_to_the_model() -> None:
    record, _ = attempt(["<code>\nprint(nothing)\n</code>", FINISH])
    assert [e.status for e in record.trajectory.executions] == [ExecutionStatus.ERROR, ExecutionStatus.OK]


def test_a_server_that_breaks_is_broken_machinery_and_no_wrong_answer() -> None:
    record, _ = attempt([COMPUTE, ModelUnreachable("gone")])
    assert record.trajectory.stop_reason is StopReason.MODEL_ERROR
    assert record.trajectory.error is not None and "gone" in record.trajectory.error


def test_an_unknown_agent_is_refused() -> None:
    ended = call("benchmarks", "run", "svamp", "--agent", "other")
    assert (ended.code, ended.errors) == (2, ["error: --agent other is unknown; known: smolagents"])
