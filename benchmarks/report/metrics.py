"""How good, and how sure: accuracy, pass@k and maj@k with 95 % intervals.

Scores come in by problem: one tuple a problem, one score a sample, 1 for correct and 0 for anything else. Samples of
one problem resemble each other, so what counts for an interval is the number of problems and how much they differ, not
the number of samples. This is arithmetic only: which attempts are scored is decided in `attempts`, and which answers
are equal by the grader.
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
        return (self.high - self.low) / 2


def accuracy(scores: Scores) -> Estimate:
    """The mean over problems of the mean over their samples (avg@n, of which pass@1 is another name).

    One sample a problem: Wilson's interval. Several: Wilson's with the number of problems that would be as sure, and
    Student's t for the normal quantile (Korn & Graubard 1998). Unlike mean ± t · stderr it stays within 0 and 1, and at
    0 % and 100 % it is more than a point.

    Raises:
        ValueError: no problem has a sample.
    """
    made = [of_problem for of_problem in scores if of_problem]
    return _estimate([sum(of_problem) / len(of_problem) for of_problem in made], sum(map(len, made)))


def pass_at(scores: Scores, k: int) -> Estimate:
    """The chance that one of k samples is correct, without bias (Chen et al. 2021), over the problems that have k.

    Raises:
        ValueError: none has.
    """
    enough = [of_problem for of_problem in scores if len(of_problem) >= k]
    return _estimate([_pass_at(len(s), round(sum(s)), k) for s in enough], sum(map(len, enough)))


def ks(samples: int) -> tuple[int, ...]:
    """1, 2, 4, … and the number of samples itself."""
    return (*(2**power for power in range(samples.bit_length()) if 2**power < samples), samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """The samples of a problem, gathered by answer."""

    votes: tuple[int, ...]
    """How many samples gave each of the different answers."""
    scores: tuple[float, ...]
    """What each of these answers scores."""
    silent: int = 0
    """Samples without an answer; they have no vote."""

    @property
    def samples(self) -> int:
        return sum(self.votes) + self.silent


def maj_at(ballots: Sequence[Ballot], k: int) -> Estimate:
    """What the most frequent answer of k samples scores, over the problems that have k.

    Exact: the mean over all ways to draw k of the samples. A tie is settled by lot.

    Raises:
        ValueError: none has.
    """
    enough = [ballot for ballot in ballots if ballot.samples >= k]
    return _estimate([_maj_at(ballot, k) for ballot in enough], sum(b.samples for b in enough))


def wilson(correct: float, number: float, critical: float = Z) -> tuple[float, float]:
    """Wilson's interval for a share of which `correct` of `number` were seen."""
    share, weight = correct / number, critical**2 / number
    centre = (share + weight / 2) / (1 + weight)
    half = critical * math.sqrt(share * (1 - share) / number + weight / number / 4) / (1 + weight)
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))


def _estimate(values: Sequence[float], samples: int) -> Estimate:
    """The mean of one value a problem, each a share."""
    if not values:
        raise ValueError("there is no problem with enough samples")
    problems, mean = len(values), min(1.0, float(np.mean(values)))
    of_one = mean * (1 - mean)
    of_mean = float(np.var(values, ddof=1)) / problems if problems > 1 else of_one
    worth, critical = float(problems), Z
    if samples > problems > 1:
        worth = min(samples, of_one / of_mean) if of_mean > 1e-12 else problems
        critical = float(stdtrit(problems - 1, 0.975))
    low, high = wilson(mean * worth, worth, critical)
    return Estimate(value=mean, low=low, high=high, stderr=math.sqrt(of_mean), problems=problems)


def _pass_at(samples: int, correct: int, k: int) -> float:
    return 1 - math.comb(samples - correct, k) / math.comb(samples, k)


def _maj_at(ballot: Ballot, k: int) -> float:
    total = 0.0
    for winner, (votes, score) in enumerate(zip(ballot.votes, ballot.scores, strict=True)):
        if score:
            others = tuple(sorted(ballot.votes[:winner] + ballot.votes[winner + 1 :]))
            total += score * _ways_to_win(votes, others, ballot.silent, k)
    return total / math.comb(ballot.samples, k)


@cache
def _ways_to_win(votes: int, others: tuple[int, ...], silent: int, k: int) -> float:
    """In how many draws of k an answer wins; a tie of t answers counts 1/t."""
    return sum(
        math.comb(votes, drawn) * _ways_unbeaten(drawn, others, silent, k - drawn)
        for drawn in range(1, min(votes, k) + 1)
    )


def _ways_unbeaten(most: int, others: tuple[int, ...], silent: int, left: int) -> float:
    """In how many draws of `left` from the others none has more than `most`; t that have as many count 1/(t + 1)."""
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
