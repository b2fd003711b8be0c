"""The difference between two runs over the same problems: its interval, whether it is chance, what it takes to see it.

Takes by how much B's score of each problem is higher than A's. What the scores are is said in `compare`.

- p: where problems flip as a whole, as with one sample each, the exact McNemar test, a binomial one of the flips. Else
  the difference is held against those of 10,000 random ways to swap A and B within problems.
- Interval: 95 % of 10,000 paired bootstrap samples. Half a flip is added each way (Agresti & Min 2005): a few problems
  without a flip don't prove that there are none.
- How many more problems: Connor's (1987) sample size for paired shares, to see the difference with p < 0.05 four times
  out of five, given the rate of flips observed. A difference within the margin is taken to be as large as the margin.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.05
POWER = 0.8
RESAMPLES = 10_000
SEED = 0

Change = NDArray[np.float64]
"""By how much B's score is higher than A's, problem by problem; from -1 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """By how much B is better than A; shares, so 0.01 is a point."""

    value: float
    low: float
    high: float
    p: float
    test: str


def difference(change: Change) -> Difference:
    """The mean change; of at least one problem."""
    flips_only = bool(np.isin(change, (-1, 0, 1)).all())
    low, high = _bootstrap(change)
    return Difference(
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
    """Swapping A and B turns the sign. Problems that differ by the same are drawn together, as a binomial."""
    draw, total = np.random.default_rng(SEED), np.zeros(RESAMPLES)
    for size, number in zip(*np.unique(np.abs(change), return_counts=True), strict=True):
        total += size * (2 * draw.binomial(number, 0.5, RESAMPLES) - number)
    as_far = np.abs(total) >= abs(change.sum()) - 1e-9
    return float((1 + as_far.sum()) / (1 + RESAMPLES))


def _bootstrap(change: Change) -> tuple[float, float]:
    """Problems that differ by the same are drawn together, as a multinomial."""
    sizes, counts = np.unique(np.append(change, (-1, 0, 1)), return_counts=True)
    weights = counts - (np.abs(sizes) == 1) / 2
    draws = np.random.default_rng(SEED).multinomial(len(change), weights / weights.sum(), RESAMPLES)
    low, high = np.percentile(draws @ sizes / len(change), (100 * LEVEL / 2, 100 - 100 * LEVEL / 2))
    return float(low), float(high)


def more_problems(change: Change, margin: float) -> int | None:
    """How many more problems it takes, in two digits; None where no number of them would be to the point."""
    if not len(change) or not (size := max(abs(float(change.mean())), margin)):
        return None
    flips = max(size, float((change**2).sum() + 1) / (len(change) + 2))
    quantile = NormalDist().inv_cdf
    root = quantile(1 - LEVEL / 2) * math.sqrt(flips) + quantile(POWER) * math.sqrt(flips - size**2)
    more = (root / size) ** 2 - len(change)
    return max(1, round(float(f"{more:.2g}"))) if more > 0 else None
