"""The page of records names every field, limit, stop reason and environment variable there is."""

import re
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

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
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "records.md").read_text("utf-8")
NAMED = set(re.findall(r"`([\w]+)`", PAGE))
RECORDS = (Answer, Completion, Execution, Limits, Problem, RunRecord, Sampling, Settings, Trajectory, Verdict)
ENUMS = (AnswerSource, ExecutionStatus, FinishReason, Outcome, StopReason)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_field_is_on_the_page(record: Any) -> None:
    assert {field.name for field in fields(record)} <= NAMED


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.__name__)
def test_every_value_is_on_the_page(enum: type[StrEnum]) -> None:
    assert {value.value for value in enum} <= NAMED


@pytest.mark.parametrize("limit", [*fields(Limits), *fields(Sampling)], ids=lambda limit: limit.name)
def test_defaults_are_those_of_the_code(limit: Any) -> None:
    default = "null" if limit.default is None else f"{limit.default:g}"
    assert f"| `{limit.name}` | {default} |" in PAGE


def test_every_environment_variable_is_on_the_page() -> None:
    used = {
        name
        for package in ("mumath_agent", "benchmarks", "finetune")
        for path in (ROOT / package).rglob("*.py")
        for name in re.findall(r'"(MUMATH_[A-Z_]+)"', path.read_text("utf-8"))
    }
    own = {"MUMATH_VLLM_LAUNCHER", "MUMATH_LOCAL_KEY", "MUMATH_LOCAL_LAUNCHER"}  # between our own processes
    assert used - own <= NAMED
