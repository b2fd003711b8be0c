"""Choose the next token from a model's logits."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from mumath_agent.records import Sampling

F = TypeVar("F", np.float32, np.float64)
Choose = Callable[[npt.NDArray[np.float32]], tuple[int, float]]
"""Takes logits [vocabulary]; returns a token and the natural logarithm of its probability at temperature 1."""

_COLDEST = 1e-6
"""Below this temperature the quotients would overflow; the likeliest token is the only one at either."""


def chooser(sampling: Sampling) -> Choose:
    """Return a function that chooses tokens one after the other: the likeliest at temperature 0, else by chance.

    The same seed gives the same choices. With `top_p`, only the likeliest tokens that together have so much of the
    probability can be chosen: nucleus sampling (arXiv 1904.09751).
    """
    chance = np.random.default_rng(sampling.seed)

    def choose(logits: npt.NDArray[np.float32]) -> tuple[int, float]:
        token = int(logits.argmax())
        if sampling.temperature > 0:
            token = _draw(
                logits.astype(np.float64) / max(sampling.temperature, _COLDEST), sampling.top_p, chance
            )
        return token, float(_logprobs(logits)[token])

    return choose


def _draw(logits: npt.NDArray[np.float64], top_p: float, chance: np.random.Generator) -> int:
    probabilities = np.exp(_logprobs(logits))
    order = np.argsort(-probabilities, kind="stable")
    before = np.cumsum(probabilities[order]) - probabilities[order]
    kept = order[before < top_p]  # the likeliest one always
    kept_probabilities = probabilities[kept]
    return int(chance.choice(kept, p=kept_probabilities / kept_probabilities.sum()))


def _logprobs(logits: npt.NDArray[F]) -> npt.NDArray[F]:
    shifted = logits - logits.max()
    result: npt.NDArray[F] = shifted - np.log(np.exp(shifted).sum())
    return result
