"""The figures against their definitions, spelled out: every subset drawn, every interval put to the test."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from benchmarks.report.metrics import Ballot, Estimate, accuracy, ks, maj_at, pass_at, wilson

samples = st.lists(st.integers(0, 1), min_size=1, max_size=6)
runs = st.lists(samples, min_size=1, max_size=12)


@given(st.integers(1, 3000), st.data())
def test_the_interval_of_single_samples_is_wilsons(problems: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, problems))
    reference = binomtest(correct, problems).proportion_ci(method="wilson")
    assert wilson(correct, problems) == pytest.approx((reference.low, reference.high), abs=1e-9)
    found = accuracy([[1]] * correct + [[0]] * (problems - correct))
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=1e-9)
    assert found.value == pytest.approx(correct / problems)
    assert found.problems == problems


@given(runs)
def test_accuracy_is_the_mean_over_problems_of_the_mean_over_samples(scores: list[list[int]]) -> None:
    means = [np.mean(of_problem) for of_problem in scores]
    found = accuracy(scores)
    assert found.value == pytest.approx(np.mean(means))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    if len(scores) > 1:
        assert found.stderr == pytest.approx(np.std(means, ddof=1) / math.sqrt(len(means)))


@given(st.lists(st.integers(0, 1), min_size=2, max_size=40), st.integers(2, 8))
def test_a_sample_that_repeats_another_adds_no_certainty(scores: list[int], times: int) -> None:
    once = accuracy([[score] for score in scores])
    repeated = accuracy([[score] * times for score in scores])
    assert repeated.value == pytest.approx(once.value)
    assert repeated.half_width >= once.half_width * 0.999


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("score", [0, 1])
@pytest.mark.parametrize("problems", [1, 2, 30])
def test_all_wrong_and_all_right_are_no_certainty(samples: int, score: int, problems: int) -> None:
    found = accuracy([[score] * samples] * problems)
    assert found.value == score
    assert found.half_width > 0.5 / (problems + 4)
    assert found.stderr == 0


def test_problems_without_a_sample_are_left_out_and_none_at_all_is_an_error() -> None:
    assert accuracy([[1, 0], [], [1]]) == accuracy([[1, 0], [1]])
    empty: list[list[list[float]]] = [[], [[]]]
    for nothing in empty:
        with pytest.raises(ValueError, match="no problem"):
            accuracy(nothing)


@pytest.mark.parametrize("alpha", [0.3, 2.0])
@pytest.mark.parametrize(("problems", "samples"), [(30, 1), (30, 8), (200, 4)])
def test_the_interval_holds_the_truth_19_times_out_of_20(alpha: float, problems: int, samples: int) -> None:
    draw = np.random.default_rng(1)
    chances = draw.beta(2 * alpha, alpha, size=(600, problems))  # on average 2/3
    found = [accuracy(draw.binomial(1, row[:, None], (problems, samples)).tolist()) for row in chances]
    held = np.mean([one.low <= 2 / 3 <= one.high for one in found])
    assert 0.92 <= held <= 0.99


@given(runs, st.integers(1, 6))
def test_pass_at_k_is_the_share_of_draws_that_hold_a_correct_one(scores: list[list[int]], k: int) -> None:
    shares = [np.mean([max(drawn) for drawn in combinations(s, k)]) for s in scores if len(s) >= k]
    if not shares:
        with pytest.raises(ValueError, match="enough samples"):
            pass_at(scores, k)
        return
    found = pass_at(scores, k)
    assert found.value == pytest.approx(np.mean(shares))
    assert found.problems == len(shares)
    assert found.low <= found.value <= found.high


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 8)), min_size=1))
def test_pass_at_1_is_accuracy_and_more_samples_never_hurt(problems: list[tuple[int, int]]) -> None:
    scores = [[1] * min(right, 8) + [0] * (8 - min(right, 8)) for right, _ in problems]
    values = [pass_at(scores, k).value for k in range(1, 9)]
    assert pass_at(scores, 1) == accuracy(scores)
    assert values == sorted(values)


answers = st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=7)


@given(answers, st.sets(st.sampled_from("abcd")), st.integers(1, 7))
def test_maj_at_k_is_the_mean_over_all_draws_with_ties_by_lot(
    given_answers: list[str | None], right: set[str], k: int
) -> None:
    ballot = _ballot(given_answers, right)
    if k > len(given_answers):
        with pytest.raises(ValueError, match="enough samples"):
            maj_at([ballot], k)
        return
    expected = np.mean([_vote(drawn, right) for drawn in combinations(given_answers, k)])
    assert maj_at([ballot], k).value == pytest.approx(expected)


def _ballot(given_answers: list[str | None], right: set[str]) -> Ballot:
    kinds = sorted({answer for answer in given_answers if answer is not None})
    return Ballot(
        votes=tuple(given_answers.count(kind) for kind in kinds),
        scores=tuple(float(kind in right) for kind in kinds),
        silent=given_answers.count(None),
    )


def _vote(drawn: tuple[str | None, ...], right: set[str]) -> float:
    voices = [answer for answer in drawn if answer is not None]
    most = max(map(voices.count, voices), default=0)
    winners = {answer for answer in voices if voices.count(answer) == most}
    return len(winners & right) / len(winners) if winners else 0.0


def test_maj_is_over_the_problems_with_enough_samples() -> None:
    few, many = Ballot(votes=(1,), scores=(0.0,)), Ballot(votes=(3, 1), scores=(1.0, 0.0))
    assert maj_at([few, many], 4).value == 1
    assert maj_at([few, many], 4).problems == 1
    assert maj_at([few, many], 1).value == pytest.approx(3 / 8)


def test_half_a_vote_counts_half() -> None:
    assert maj_at([Ballot(votes=(2,), scores=(0.5,))], 2).value == 0.5


@pytest.mark.parametrize(
    ("samples", "expected"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (12, (1, 2, 4, 8, 12))],
)
def test_k_doubles_up_to_the_number_of_samples(samples: int, expected: tuple[int, ...]) -> None:
    assert ks(samples) == expected


def test_many_samples_with_many_answers_take_no_time() -> None:
    ballot = Ballot(votes=(9, 9, 8, *[2] * 10, *[1] * 10), scores=(1.0, *[0.0] * 22), silent=8)
    found = [maj_at([ballot], k) for k in ks(64)]
    assert found[0].value == pytest.approx(9 / 64)
    assert found[-1] == Estimate(value=0.5, low=found[-1].low, high=found[-1].high, stderr=0.5, problems=1)
