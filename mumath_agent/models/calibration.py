"""Say how probable it is that an answer is right, by how probable the model found its own words.

`python -m finetune calibrate` fits a logistic curve to answers that were graded, and writes it into the model's folder.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mumath_agent.errors import InputError
from mumath_agent.records import Completion, Trajectory

FILE = "calibration.json"
TAIL_TOKENS = 32
"""How many tokens the tail of an attempt has, and how many of its last ones a completion keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The probability that an answer is right, as a logistic function of an attempt's log-probability."""

    intercept: float
    slope: float
    """Per nat."""

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the one in a model's folder, or None where there is none.

        Raises:
            InputError: the file isn't one.
        """
        file = folder / FILE
        if not file.is_file():
            return None
        try:
            given = json.loads(file.read_bytes())
            return cls(intercept=float(given["intercept"]), slope=float(given["slope"]))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{file} isn't a calibration ({error}); delete it, or calibrate again") from None

    def __call__(self, completions: Sequence[Completion]) -> float | None:
        """Return the probability for an attempt of these completions; None if one has no log-probability."""
        total = log_probability(completions)
        return None if total is None else (1 + math.tanh((self.intercept + self.slope * total) / 2)) / 2


def log_probability(completions: Sequence[Completion]) -> float | None:
    """Return the log-probability of all that was written, in nats; None if a completion has none."""
    known = [each.logprob for each in completions if each.logprob is not None]
    return math.fsum(known) if completions and len(known) == len(completions) else None


def tail_log_probability(completions: Sequence[Completion]) -> float | None:
    """Return the mean log-probability of the last tokens that were written, in nats; None if one isn't known."""
    tail: tuple[float, ...] = ()
    for each in reversed(completions):
        if each.tail_logprobs is None:
            return None
        tail = (*each.tail_logprobs, *tail)
        if len(tail) >= TAIL_TOKENS:
            break
    last = tail[-TAIL_TOKENS:]
    return math.fsum(last) / len(last) if last else None


def confidence(model: object, attempt: Trajectory) -> float | None:
    """Return how probable it is that an attempt's answer is right; None if there is none, or `model` can't say."""
    calibration = getattr(model, "calibration", None)
    return calibration(attempt.completions) if calibration and attempt.answer else None
