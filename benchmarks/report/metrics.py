"""Estimate accuracy, pass@k and maj@k, with 95 % intervals.

Scores come in by problem: one tuple a problem, one score a sample, 1 for correct and 0 for anything else. Problems are
the clusters: samples of one problem resemble each other, so the width of an interval depends on the number of problems
and how much they differ, not on the number of samples. This is arithmetic only: `attempts` decides which attempts are
scored, and the grader which answers are equal.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import stdtrit

Scores = Sequence[Sequence[float]]

Z = 1.959963984540054
"""A standard normal variable lies within ± this with 95 % probability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over problems with its 95 % interval; all are shares, from 0 to 1."""

    value: float
    low: float
    high: float
    stderr: float
    problems: int

    @property
    def half_width(self) -> float:
        """Half the width of the interval, which isn't symmetric near 0 and 1."""
        return (self.high - self.low) / 2


def accuracy(scores: Scores) -> Estimate:
    """Return the mean over problems of the mean over their samples (avg@n, also called pass@1).

    One sample a problem: Wilson's (1927) interval. Several: Wilson's with the effective number of problems, and
    Student's t for the normal quantile (Korn & Graubard 1998). Unlike mean ± t · stderr it stays within 0 and 1, and at
    0 % and 100 % it is wider than a point.

    Raises:
        ValueError: no problem has a sample.
    """
    made = [of_problem for of_problem in scores if of_problem]
    return _estimate([sum(of_problem) / len(of_problem) for of_problem in made], sum(map(len, made)))


def pass_at(scores: Scores, k: int) -> Estimate:
    """Return the unbiased estimate of the chance that one of k samples is correct (Chen et al. 2021, equation 1).

    Only problems with k samples count.

    Raises:
        ValueError: no problem has k samples.
    """
    enough = [of_problem for of_problem in scores if len(of_problem) >= k]
    return _estimate([_pass_at(len(s), round(sum(s)), k) for s in enough], sum(map(len, enough)))


def ks(samples: int) -> tuple[int, ...]:
    """Return 1, 2, 4, … and the number of samples itself."""
    return (*(2**power for power in range(samples.bit_length()) if 2**power < samples), samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """The samples of a problem, counted by answer."""

    votes: tuple[int, ...]
    """How many samples gave each of the different answers."""
    scores: tuple[float, ...]
    """The score of each of these answers."""
    silent: int = 0
    """Samples without an answer; they have no vote."""

    @property
    def samples(self) -> int:
        """How many samples there are, with and without an answer."""
        return sum(self.votes) + self.silent


def maj_at(ballots: Sequence[Ballot], k: int) -> Estimate:
    """Return the expected score of the most frequent answer among k samples (Wang et al. 2023, self-consistency).

    Exact: the mean over all ways to draw k of a problem's samples without replacement, with ties broken at random. Only
    problems with k samples count.

    Raises:
        ValueError: no problem has k samples.
    """
    enough = [ballot for ballot in ballots if ballot.samples >= k]
    return _estimate([_maj_at(ballot, k) for ballot in enough], sum(b.samples for b in enough))


def wilson(correct: float, number: float, critical: float = Z) -> tuple[float, float]:
    """Return Wilson's (1927) score interval for a share, of which `correct` of `number` were seen.

    Near 0 and 1, where strong models are, the normal interval p ± z·√(p(1-p)/n) covers far less than 95 % (Brown, Cai &
    DasGupta 2001).
    """
    share, weight = correct / number, critical**2 / number
    centre = (share + weight / 2) / (1 + weight)
    # min and max: rounding must not put the share itself outside.
    half = critical * math.sqrt(share * (1 - share) / number + weight / number / 4) / (1 + weight)
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))


def _estimate(values: Sequence[float], samples: int) -> Estimate:
    """Return the mean of one value a problem, each a share; `samples` is the number of all samples."""
    if not values:
        raise ValueError("there is no problem with enough samples")
    problems, mean = len(values), min(1.0, float(np.mean(values)))
    variance_of_one = mean * (1 - mean)  # of a single 0 or 1 with this mean
    variance = float(np.var(values, ddof=1)) / problems if problems > 1 else variance_of_one  # of the mean
    effective, critical = float(problems), Z
    if samples > problems > 1:
        # Korn & Graubard 1998: the effective size is that of the simple random sample with the same variance. Where all
        # problems score the same there is no variance to go by, and each problem counts once.
        effective = min(samples, variance_of_one / variance) if variance > 1e-12 else problems
        critical = float(stdtrit(problems - 1, 0.975))
    low, high = wilson(mean * effective, effective, critical)
    return Estimate(value=mean, low=low, high=high, stderr=math.sqrt(variance), problems=problems)


def _pass_at(samples: int, correct: int, k: int) -> float:
    """Return 1 - C(n - c, k) / C(n, k): one minus the share of draws of k without a correct sample."""
    return 1 - math.comb(samples - correct, k) / math.comb(samples, k)


def _maj_at(ballot: Ballot, k: int) -> float:
    """Return the mean score of the winner over all draws of k; a draw without any answer scores 0."""
    total = 0.0
    for winner, (votes, score) in enumerate(zip(ballot.votes, ballot.scores, strict=True)):
        if score:
            others = tuple(sorted(ballot.votes[:winner] + ballot.votes[winner + 1 :]))
            total += score * _ways_to_win(votes, others, ballot.silent, k)
    return total / math.comb(ballot.samples, k)


@cache
def _ways_to_win(votes: int, others: tuple[int, ...], silent: int, k: int) -> float:
    """Count the draws of k that an answer with `votes` wins; a tie of t answers counts 1/t."""
    return sum(
        math.comb(votes, drawn) * _ways_unbeaten(drawn, others, silent, k - drawn)
        for drawn in range(1, min(votes, k) + 1)
    )


def _ways_unbeaten(most: int, others: tuple[int, ...], silent: int, left: int) -> float:
    """Count the draws of `left` from the others in which none has more than `most`; t ties count 1/(t + 1).

    Dynamic programming, answer by answer, over how many samples are drawn so far and how many answers tie.
    """
    ways = Counter({(0, 0): 1})
    for size in others:
        longer: Counter[tuple[int, int]] = Counter()
        for (drawn, ties), number in ways.items():
            for more in range(min(size, most, left - drawn) + 1):
                longer[drawn + more, ties + (more == most)] += number * math.comb(size, more)
        ways = longer
    return sum(
        number * math.comb(silent, left - drawn) / (ties + 1) for (drawn, ties), number in ways.items()
    )
