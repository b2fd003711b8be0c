"""What a calibrated model says of its answers."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent.errors import InputError
from mumath_agent.models.calibration import FILE, TAIL_TOKENS, Calibration, tail_log_probability
from mumath_agent.records import Completion, FinishReason

CURVE = Calibration(intercept=1.0, slope=0.5)


def completion(logprob: float | None) -> Completion:
    return Completion(
        text="x", finish_reason=FinishReason.STOP, prompt_tokens=1, completion_tokens=1, logprob=logprob
    )


@given(st.lists(st.floats(min_value=-1e9, max_value=0), min_size=1, max_size=4), st.floats(0, 1e6))
def test_it_is_a_probability_and_falls_with_what_is_less_probable(sums: list[float], less: float) -> None:
    now = CURVE([completion(each) for each in sums])
    worse = CURVE([completion(each) for each in (*sums, -less)])
    assert now is not None and worse is not None and 0 <= worse <= now <= 1


@pytest.mark.parametrize("sums", [[], [None], [-1.0, None]])
def test_without_log_probabilities_there_is_none(sums: list[float | None]) -> None:
    assert CURVE([completion(each) for each in sums]) is None


@pytest.mark.parametrize(
    ("tails", "mean"),
    [
        ([(-1.0, -3.0)], -2.0),
        ([(-9.0,) * TAIL_TOKENS, (-1.0,) * (TAIL_TOKENS // 2)], -5.0),  # half of them are of the turn before
        ([(-9.0,), (-1.0,) * TAIL_TOKENS], -1.0),
        ([None, (-1.0,) * TAIL_TOKENS], -1.0),  # not needed
        ([None, (-1.0,)], None),
        ([], None),
    ],
)
def test_the_tail_of_an_attempt_is_its_last_tokens_over_all_turns(
    tails: list[tuple[float, ...] | None], mean: float | None
) -> None:
    completions = [replace(completion(None), tail_logprobs=tail) for tail in tails]
    assert tail_log_probability(completions) == mean


def test_a_folder_may_have_none(tmp_path: Path) -> None:
    assert Calibration.read(tmp_path) is None
    (tmp_path / FILE).write_text(json.dumps({"intercept": 1, "slope": 0.5, "attempts": 9}))
    assert Calibration.read(tmp_path) == CURVE


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"intercept": "a lot", "slope": 1}', '{"intercept": 1}'])
def test_a_file_that_is_none_is_said_so(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(InputError, match=f"{FILE} isn't a calibration .*; delete it, or calibrate again"):
        Calibration.read(tmp_path)
