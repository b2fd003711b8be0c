"""Train a model for the int4 weights that the embedded engine will compute with.

Rounded only when it is exported, a 135M model of these loses much of what it learned. So from some step on
(`Recipe.int4_from`) the passes are made with rounded weights, while the exact ones are kept and updated: the rounded
model is what learns (quantisation-aware training with a straight-through gradient, arXiv 1712.05877 and 1308.3432).
The finished model has the rounded weights, so that all engines compute with the same ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

BLOCK = 32
"""Weights of a row that share a scale and a zero point."""
_LEVELS = 15


def rounded(weight: torch.Tensor) -> torch.Tensor:
    """Return a matrix [out, in] with each block of a row on its own grid of 16 values, of which 0 is one."""
    blocks = weight.reshape(-1, BLOCK)
    low, high = blocks.amin(1, keepdim=True).clamp(max=0), blocks.amax(1, keepdim=True).clamp(min=0)
    step = ((high - low) / _LEVELS).clamp(min=torch.finfo(weight.dtype).tiny)
    zero = (-low / step).round()
    codes = (blocks / step).round().add_(zero).clamp_(0, _LEVELS)
    return codes.sub_(zero).mul_(step).reshape(weight.shape)


def can_be_rounded(model: Any) -> bool:
    """Return whether all matrices consist of whole blocks."""
    return all(weight.shape[1] % BLOCK == 0 for weight in _matrices(model))


def round_weights(model: Any) -> None:
    """Round the matrices of a model for good. Embeddings, and an output matrix tied to them, stay as they are."""
    for weight in _matrices(model):
        weight.data = rounded(weight.data)


@contextmanager
def rounded_weights(model: Any) -> Iterator[None]:
    """Have a model compute with rounded matrices inside; gradients are those of the exact ones."""
    exact = [(weight, weight.data) for weight in _matrices(model)]
    round_weights(model)
    try:
        yield
    finally:
        for weight, values in exact:
            weight.data = values


def _matrices(model: Any) -> list[torch.Tensor]:
    output = model.get_output_embeddings()
    linear = (part for part in model.modules() if isinstance(part, nn.Linear) and part is not output)
    return [part.weight for part in linear]
