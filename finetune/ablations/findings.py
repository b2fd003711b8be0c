"""Compute what the runs show: shares solved by arm, and differences between arms, with their intervals.

- Over seeds: Student's t, 95 %. A seed draws data, weights and order, so this interval is about other seeds.
- For differences also a bootstrap, 95 % of 10,000 samples, over seeds and schemas: problems of a schema succeed or fail
  together, so schemas are drawn, not problems. Arms are paired: the same seed has the same data, and the problems are
  the same.

With few seeds both are rough: the bootstrap is too narrow and the t interval wide. All values are shares of problems.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from finetune.ablations.design import ARMS, CLAIMS, Arm, Claim
from finetune.ablations.running import Run
from mumath_agent.records import Outcome

LEVEL = 0.95
RESAMPLES = 10_000

Shares = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An interval of a mean."""

    low: float
    high: float

    @property
    def leaves_out_zero(self) -> bool:
        """True if the mean is clearly positive or clearly negative."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFinding:
    """The runs of one arm, as means over its seeds."""

    name: str
    seeds: tuple[int, ...]
    solved: float
    interval: Interval | None
    """Over seeds; None if there is only one."""
    by_seed: tuple[float, ...]
    copied: float
    """Problems for which the model wrote all numbers that the solution needs."""
    solved_of_copied: float
    """Share of these that were solved; 0 if there are none."""
    no_answer: float
    ungraded: float
    steps: int
    tokens: float
    train_s: float
    solve_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFinding:
    """The difference between a claim's arms, over the seeds that both have."""

    name: str
    better: str
    worse: str
    control: str
    seeds: tuple[int, ...]
    difference: float
    by_seed: tuple[float, ...]
    over_seeds: Interval | None
    over_seeds_and_schemas: Interval | None
    """None if there is only one seed."""


def arm_findings(runs: Sequence[Run]) -> tuple[ArmFinding, ...]:
    """Return the findings of every arm that has a run, in the design's order."""
    return tuple(_arm(arm, found) for arm in ARMS if (found := _runs_of(arm, runs)))


def claim_findings(runs: Sequence[Run], schemas: Sequence[str]) -> tuple[ClaimFinding, ...]:
    """Return the findings of every claim whose arms share a seed; `schemas` has the schema of each problem."""
    found = (_claim(claim, runs, schemas) for claim in CLAIMS)
    return tuple(finding for finding in found if finding)


def over_seeds(values: Sequence[float]) -> Interval | None:
    """Return Student's t interval of the mean; None for a single value."""
    if len(values) < 2:
        return None
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1)) * error
    return Interval(low=mean - reach, high=mean + reach)


def over_seeds_and_schemas(change: Shares, schemas: Sequence[str]) -> Interval | None:
    """Return the bootstrap interval of the mean of `change` (seeds, problems), drawing both seeds and schemas."""
    seeds = len(change)
    if seeds < 2:
        return None
    names, clusters = np.unique(np.array(schemas), return_inverse=True)
    membership = np.eye(len(names))[clusters]  # (problems, schemas)
    sums, sizes = change @ membership, membership.sum(axis=0)
    draw = np.random.default_rng(0)
    seed_weights = draw.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES)
    schema_weights = draw.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    totals = np.einsum("rs,sk,rk->r", seed_weights, sums, schema_weights)
    means = totals / (seeds * (schema_weights @ sizes))
    low, high = np.percentile(means, (50 * (1 - LEVEL), 50 * (1 + LEVEL)))
    return Interval(low=float(low), high=float(high))


def _arm(arm: Arm, runs: Sequence[Run]) -> ArmFinding:
    solved = [float(_right(run).mean()) for run in runs]
    outcomes = [one.outcome for run in runs for one in run.results]
    copied = [one.outcome for run in runs for one in run.results if one.copied]
    return ArmFinding(
        name=arm.name,
        seeds=tuple(run.seed for run in runs),
        solved=float(np.mean(solved)),
        interval=over_seeds(solved),
        by_seed=tuple(solved),
        copied=len(copied) / len(outcomes),
        solved_of_copied=copied.count(Outcome.CORRECT) / max(1, len(copied)),
        no_answer=outcomes.count(Outcome.NO_ANSWER) / len(outcomes),
        ungraded=outcomes.count(Outcome.UNGRADED) / len(outcomes),
        steps=runs[0].steps,
        tokens=float(np.mean([run.tokens for run in runs])),
        train_s=float(np.mean([run.train_s for run in runs])),
        solve_s=float(np.mean([run.solve_s for run in runs])),
    )


def _claim(claim: Claim, runs: Sequence[Run], schemas: Sequence[str]) -> ClaimFinding | None:
    better, worse = (
        {run.seed: _right(run) for run in _runs_of(arm, runs)} for arm in (claim.better, claim.worse)
    )
    seeds = tuple(sorted(better.keys() & worse.keys()))
    if not seeds:
        return None
    change = np.array([better[seed] - worse[seed] for seed in seeds])
    by_seed = tuple(change.mean(axis=1).tolist())
    return ClaimFinding(
        name=claim.name,
        better=claim.better.name,
        worse=claim.worse.name,
        control=claim.control,
        seeds=seeds,
        difference=float(change.mean()),
        by_seed=by_seed,
        over_seeds=over_seeds(by_seed),
        over_seeds_and_schemas=over_seeds_and_schemas(change, schemas),
    )


def _runs_of(arm: Arm, runs: Sequence[Run]) -> list[Run]:
    return sorted((run for run in runs if run.arm == arm.name), key=lambda run: run.seed)


def _right(run: Run) -> Shares:
    return np.array([one.outcome is Outcome.CORRECT for one in run.results], dtype=np.float64)
