"""Tokens chosen from logits: which can be chosen at all, how often, and with what log-probability."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent.models.sampling import chooser
from mumath_agent.records import Sampling

PROBABILITIES = np.array([0.1, 0.5, 0.15, 0.25], np.float32)
LOGITS = np.log(PROBABILITIES)


def drawn(sampling: Sampling, times: int = 400) -> Counter[int]:
    choose = chooser(sampling)
    return Counter(choose(LOGITS)[0] for _ in range(times))


@pytest.mark.parametrize(
    ("top_p", "possible"),
    [(0.001, {1}), (0.5, {1}), (0.51, {1, 3}), (0.75, {1, 3}), (0.8, {1, 2, 3}), (1.0, {0, 1, 2, 3})],
)
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_p: float, possible: set[int]) -> None:
    assert drawn(Sampling(temperature=1.0, top_p=top_p, seed=1)).keys() == possible


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_they_are_likely(temperature: float) -> None:
    counts = drawn(Sampling(temperature=temperature, seed=3), times=4000)
    expected = PROBABILITIES ** (1 / temperature) / (PROBABILITIES ** (1 / temperature)).sum()
    found = [counts[token] / 4000 for token in range(4)]
    assert found == pytest.approx(expected, abs=0.04)


def test_a_seed_repeats_the_choices() -> None:
    first, again, other = [
        [choose(LOGITS)[0] for _ in range(50)]
        for choose in (chooser(Sampling(temperature=1.0, seed=seed)) for seed in (1, 1, 2))
    ]
    assert first == again != other


@given(
    st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=40),
    st.floats(0, 3),
    st.floats(0.01, 1),
)
def test_the_log_probability_is_that_at_temperature_1(
    logits: list[float], temperature: float, top_p: float
) -> None:
    row = np.array(logits, np.float32)
    token, logprob = chooser(Sampling(temperature=temperature, top_p=top_p, seed=0))(row)
    exact = row.astype(np.float64) - np.logaddexp.reduce(row.astype(np.float64))
    assert logprob == pytest.approx(exact[token], abs=1e-3)
    if temperature == 0:
        assert row[token] == row.max()
