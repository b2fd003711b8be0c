"""Estimate the difference between two runs over the same problems: its interval, its p, and what it takes to see it.

The input is by how much B's score is higher than A's, problem by problem; `compare` makes the scores.

- p: where problems flip as a whole, as with one sample each, it is that of McNemar's (1947) exact test: under no
  difference, flips go either way with probability 1/2. Else it is that of a permutation test: the difference is held
  against those of 10,000 random ways to swap A and B within problems.
- Interval: the middle 95 % of 10,000 paired bootstrap samples (Efron 1979). Half a flip is added each way (Agresti &
  Min 2005): a few problems without a flip don't prove that there are none.
- How many more problems: Connor's (1987) sample size for paired proportions, to see the difference with p < 0.05 four
  times out of five, given the observed rate of flips. A difference within the margin is taken to be as large as the
  margin.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.05
"""Two-sided significance level, and one minus the coverage of intervals."""
POWER = 0.8
RESAMPLES = 10_000
"""Enough for p = 0.05 to be off by ±0.004 (its own 95 % interval)."""
SEED = 0
"""Fixed, so that the same two runs always get the same verdict."""

Change = NDArray[np.float64]
"""By how much B's score is higher than A's, problem by problem; from -1 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyDifference:
    """By how much B is better than A; shares, so 0.01 is a point."""

    value: float
    low: float
    high: float
    p: float
    test: str


def difference(change: Change) -> AccuracyDifference:
    """Return the mean change over at least one problem, with interval and p."""
    flips_only = bool(np.isin(change, (-1, 0, 1)).all())
    low, high = _bootstrap(change)
    return AccuracyDifference(
        value=float(change.mean()),
        low=low,
        high=high,
        p=_mcnemar(change) if flips_only else _permutation(change),
        test="McNemar, exact" if flips_only else "paired permutation",
    )


def _mcnemar(change: Change) -> float:
    won, lost = int((change > 0).sum()), int((change < 0).sum())
    return float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0


def _permutation(change: Change) -> float:
    """Return p of the permutation test: swapping A and B in a problem turns the sign of its change.

    Problems that differ by the same are drawn together, as a binomial.
    """
    draw, total = np.random.default_rng(SEED), np.zeros(RESAMPLES)
    for size, number in zip(*np.unique(np.abs(change), return_counts=True), strict=True):
        total += size * (2 * draw.binomial(number, 0.5, RESAMPLES) - number)
    as_far = np.abs(total) >= abs(change.sum()) - 1e-9
    # The observed assignment is one of the permutations, so p is never 0 (Phipson & Smyth 2010).
    return float((1 + as_far.sum()) / (1 + RESAMPLES))


def _bootstrap(change: Change) -> tuple[float, float]:
    """Return the percentile interval. Problems that differ by the same are drawn together, as a multinomial."""
    sizes, counts = np.unique(np.append(change, (-1, 0, 1)), return_counts=True)
    # Appended are half a flip each way and one problem without a flip.
    weights = counts - (np.abs(sizes) == 1) / 2
    draws = np.random.default_rng(SEED).multinomial(len(change), weights / weights.sum(), RESAMPLES)
    low, high = np.percentile(draws @ sizes / len(change), (100 * LEVEL / 2, 100 - 100 * LEVEL / 2))
    return float(low), float(high)


def more_problems(change: Change, margin: float) -> int | None:
    """Return how many more problems it takes, to two digits; None where no number of them would help.

    Connor (1987): n = ((z_(1-α/2) √ψ + z_(1-β) √(ψ - δ²)) / δ)², with ψ the rate of flips and δ the difference.
    """
    if not len(change) or not (size := max(abs(float(change.mean())), margin)):
        return None
    # As if one of two more problems had flipped: the rate isn't 0 where no flip was seen.
    flips = max(size, float((change**2).sum() + 1) / (len(change) + 2))
    quantile = NormalDist().inv_cdf
    root = quantile(1 - LEVEL / 2) * math.sqrt(flips) + quantile(POWER) * math.sqrt(flips - size**2)
    more = (root / size) ** 2 - len(change)
    return max(1, round(float(f"{more:.2g}"))) if more > 0 else None
