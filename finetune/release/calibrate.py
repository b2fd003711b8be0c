"""Fit how probable it is that a model's answer is right to graded attempts: a logistic curve of the log-probability.

The curve is written into the model's folder. What it is worth is measured on attempts it was not fitted to: each of
`FOLDS` parts of the problems is judged by a curve of the others.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mumath_agent.errors import InputError
from mumath_agent.models.calibration import FILE, Calibration, log_probability
from mumath_agent.records import Outcome, RunRecord
from mumath_agent.runs.jsonl import load_records, replace_file

FOLDS, BINS = 5, 5
_STEPS = 50
_RIDGE = 1e-6
"""Keeps the curve finite where the log-probability separates right from wrong."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Attempts of similar confidence: one point of a reliability diagram."""

    attempts: int
    confidence: float
    """The mean of what the curve says."""
    right: float
    """The share of them that are right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A curve, and how reliable curves like it are on other attempts."""

    calibration: Calibration
    attempts: int
    right: float
    bins: tuple[Bin, ...]
    error: float
    """The expected calibration error: the mean distance between confidence and share, weighted by attempts."""


def calibrate(folder: Path, runs: Sequence[Path]) -> Fitted:
    """Fit a curve to the graded answers of `runs` and write it into the model's folder.

    Args:
        folder: a model in the embedded engine's format.
        runs: folders of `benchmarks run` with this model, on problems it wasn't trained on.

    Raises:
        InputError: a run can't be read, or there are too few answers, right and wrong, with log-probabilities.
    """
    records = [record for run in runs for record in load_records(run / "attempts.jsonl", RunRecord)]
    fitted = fit(records)
    replace_file(folder / FILE, json.dumps(asdict(fitted.calibration) | _about(fitted), indent=1) + "\n")
    return fitted


def fit(records: Sequence[RunRecord]) -> Fitted:
    """Return the curve of graded answers, and its reliability.

    Raises:
        InputError: there are too few answers, right and wrong, with log-probabilities.
    """
    known = [
        (total, record.verdict.outcome is Outcome.CORRECT)
        for record in records
        if record.trajectory.answer and record.verdict
        if (total := log_probability(record.trajectory.completions)) is not None
    ]
    totals = np.array([total for total, _ in known], np.float64)
    right = np.array([is_right for _, is_right in known], np.float64)
    if min(right.sum(), len(right) - right.sum()) < 2 * FOLDS:
        raise InputError(
            f"{len(right)} answers with log-probabilities, {int(right.sum())} of them right, are too few: "
            f"{2 * FOLDS} right and {2 * FOLDS} wrong ones are needed"
        )
    judged = np.empty_like(totals)
    order = np.random.default_rng(0).permutation(len(totals))
    for part in np.array_split(order, FOLDS):
        others = np.setdiff1d(order, part)
        judged[part] = _curve(_fit(totals[others], right[others]), totals[part])
    intercept, slope = _fit(totals, right)
    bins = tuple(_bins(judged, right))
    return Fitted(
        calibration=Calibration(intercept=intercept, slope=slope),
        attempts=len(right),
        right=float(right.mean()),
        bins=bins,
        error=sum(each.attempts * abs(each.confidence - each.right) for each in bins) / len(right),
    )


def _fit(totals: Floats, right: Floats) -> tuple[float, float]:
    """Return intercept and slope of the most likely curve, by Newton's method."""
    inputs, weights = np.stack([np.ones_like(totals), totals], axis=1), np.zeros(2)
    for _ in range(_STEPS):
        share = _curve((weights[0], weights[1]), totals)
        curvature = inputs.T @ (inputs * (share * (1 - share))[:, None]) + _RIDGE * np.eye(2)
        weights = weights + np.linalg.solve(curvature, inputs.T @ (right - share) - _RIDGE * weights)
    return float(weights[0]), float(weights[1])


def _curve(weights: tuple[float, float], totals: Floats) -> Floats:
    return (1 + np.tanh((weights[0] + weights[1] * totals) / 2)) / 2


def _bins(judged: Floats, right: Floats) -> list[Bin]:
    """Return bins of about as many attempts each."""
    return [
        Bin(attempts=len(part), confidence=float(judged[part].mean()), right=float(right[part].mean()))
        for part in np.array_split(np.argsort(judged, kind="stable"), BINS)
    ]


def _about(fitted: Fitted) -> dict[str, object]:
    """Return what a reader of the file may want to know; only the curve is read back."""
    return {
        "attempts": fitted.attempts,
        "right": round(fitted.right, 4),
        "reliability": [
            {name: round(value, 4) for name, value in asdict(each).items()} for each in fitted.bins
        ],
        "expected_calibration_error": round(fitted.error, 4),
    }
