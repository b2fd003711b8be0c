"""What was begun with other settings is refused, and the message names the first difference."""

from typing import Any

import pytest

from mumath_agent.errors import InputError
from mumath_agent.runs.identity import first_difference, require_same

BEFORE: dict[str, Any] = {"recipe": {"seed": 0, "model": None, "betas": [0.9, 0.98]}, "data": "abc"}


def test_equal_values_have_no_difference() -> None:
    assert first_difference(BEFORE, {**BEFORE}) is None
    require_same(BEFORE, {**BEFORE}, "runs/7b")


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"recipe": {"seed": 5, "model": None, "betas": [0.9, 0.98]}, "data": "x"}, "recipe.seed 0, now it is 5"),
        ({**BEFORE, "data": "x"}, "data abc, now it is x"),
        ({**BEFORE, "recipe": {**BEFORE["recipe"], "model": {"layers": 2}}}, 'model not set, now it is {"layers": 2}'),
        ({**BEFORE, "more": 1}, "more not set, now it is 1"),
        ({"recipe": BEFORE["recipe"]}, "data abc, now it is not set"),
        ({**BEFORE, "recipe": {**BEFORE["recipe"], "betas": [0.9, 0.95]}}, "betas [0.9, 0.98], now it is [0.9, 0.95]"),
        ({**BEFORE, "data": "y" * 99}, f"data abc, now it is {'y' * 59}…"),
    ],
)  # fmt: skip
def test_the_first_difference_is_named(now: dict[str, Any], said: str) -> None:
    assert said in str(first_difference(BEFORE, now))
    with pytest.raises(
        InputError, match=r"runs/7b was made with .*; name another one, or use the old settings"
    ):
        require_same(BEFORE, now, "runs/7b")
