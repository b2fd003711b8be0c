"""Records and their JSON form."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent.errors import InputError
from mumath_agent.records import (
    Answer,
    AnswerSource,
    Completion,
    Execution,
    ExecutionStatus,
    FinishReason,
    Limits,
    Outcome,
    Problem,
    RunRecord,
    Sampling,
    Settings,
    StopReason,
    Trajectory,
    Verdict,
    from_json,
    to_json,
)
from mumath_agent.transcript import Kind, Segment, Transcript

RECORD = RunRecord(
    problem=Problem(id="1", question="q", target="3", tags=("a", "b")),
    settings=Settings(model="m", dialect="fenced", limits=Limits(), sampling=Sampling(seed=3)),
    isolation="none",
    version="0",
    trajectory=Trajectory(
        transcript=Transcript(question="q", segments=(Segment(kind=Kind.CODE, text="x\n", closed=False),)),
        completions=(
            Completion(
                text="t", finish_reason=FinishReason.STOP, prompt_tokens=1, completion_tokens=2, logprob=-1.5
            ),
        ),
        executions=(Execution(status=ExecutionStatus.ERROR, stdout="a", error="E", artefacts=("f",)),),
        answer=Answer(text="3", found_in=AnswerSource.BOXED),
        stop_reason=StopReason.ANSWERED,
        duration_s=1.5,
    ),
    verdict=Verdict(outcome=Outcome.CORRECT, method="exact"),
)


def changed(path: list[str | int], value: Any) -> Any:
    document = to_json(RECORD)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


def test_a_record_survives_json_unchanged() -> None:
    assert from_json(RunRecord, json.loads(json.dumps(to_json(RECORD)))) == RECORD


def test_tokens_are_in_the_json_only_where_they_were_told() -> None:
    (plain,) = RECORD.trajectory.completions
    told = replace(plain, token_ids=(5, 6), token_logprobs=(-0.5, -1.0))
    fields = ["text", "finish_reason", "prompt_tokens", "completion_tokens", "logprob"]
    assert list(to_json(plain)) == fields
    assert from_json(Completion, json.loads(json.dumps(to_json(told)))) == told


@given(st.text(), st.text(), st.floats(allow_nan=False))
def test_any_text_survives_json(stdout: str, question: str, duration_s: float) -> None:
    execution = Execution(status=ExecutionStatus.OK, stdout=stdout, duration_s=duration_s)
    attempt = replace(RECORD.trajectory, transcript=Transcript(question=question), executions=(execution,))
    assert from_json(Trajectory, json.loads(json.dumps(to_json(attempt)))) == attempt


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["typo"], 1, "unknown key typo"),
        (["settings", "limits", "max_turn"], 3, "unknown key settings.limits.max_turn"),
        (["trajectory", "completions", 0, "x"], 3, "unknown key trajectory.completions.0.x"),
        (["trajectory", "stop_reason"], "bored", "trajectory.stop_reason"),
        (["problem"], None, "problem"),
    ],
)
def test_what_is_no_record_is_refused_with_the_place(path: list[str | int], value: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^not a valid RunRecord: .*{message}"):
        from_json(RunRecord, changed(path, value))


def test_fields_that_are_missing_take_their_default() -> None:
    document = to_json(RECORD)
    del document["verdict"], document["settings"]["limits"]["wall_s"]
    assert from_json(RunRecord, document) == replace(RECORD, verdict=None)


@pytest.mark.parametrize(("name", "value"), [("max_turns", 0), ("cell_timeout_s", -1.0), ("output_chars", 0)])
def test_a_limit_that_allows_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"limit {name} is {value}; it must be positive"):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_an_older_record_without_the_new_fields_is_still_read() -> None:
    older = to_json(RECORD)
    del older["caution"]
    for execution in older["trajectory"]["executions"]:
        del execution["stream_order"]
    assert from_json(RunRecord, older) == RECORD
