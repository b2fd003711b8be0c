"""How much faster packed lines are than padded ones, measured on one's own rows and machine.

Three ways to batch the same rows for one model. Their passes take turns, so a busy machine is as busy for each:

    random   MuMath-Code's trainer: random rows, padded to the longest of them
    grouped  rows of similar length, padded
    packed   whole rows on shared lines, attention block-diagonal
"""

import time
from collections import defaultdict
from dataclasses import dataclass
from random import Random

import torch

from finetune.batches import Batch, Layout, Lines, epoch_batches
from finetune.train import Stage, batch_of, token_losses

RANDOM_ROWS = 16
"""Rows of a batch of one GPU in MuMath-Code's scripts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Of one way."""

    tokens_per_s: float
    """Padding not counted."""
    padding: float
    """Share of what was computed."""


def measure(stage: Stage, *, rounds: int, processes: int = 1) -> dict[str, Speed]:
    """Make `rounds` forward and backward passes of each way, after one that doesn't count.

    With `processes`, so many passes in a row stand for those of as many GPUs that wait for each other: they take as
    long as the slowest of them. The speed is that of one.
    """
    ways = _ways(stage)
    tokens: dict[str, int] = defaultdict(int)
    computed: dict[str, int] = defaultdict(int)
    seconds: dict[str, list[float]] = defaultdict(list)
    for index in range(-1, rounds):
        for name, batches in ways.items():
            batch = batch_of(stage, stage.rows.trained, batches[max(index, 0) % len(batches)])
            took = _pass_s(stage, batch)
            if index >= 0:
                seconds[name].append(took)
                tokens[name] += batch.tokens
                computed[name] += batch.ids.numel()
    speeds = {}
    for name, times in seconds.items():
        groups = [times[start : start + processes] for start in range(0, rounds, processes)]
        waited = sum(max(group) * len(group) for group in groups)
        speeds[name] = Speed(tokens_per_s=tokens[name] / waited, padding=1 - tokens[name] / computed[name])
    return speeds


def _ways(stage: Stage) -> dict[str, list[Lines]]:
    recipe, lengths = stage.recipe, stage.rows.lengths
    padded = Layout(batch_tokens=recipe.held_tokens, seed=recipe.seed)
    packed = Layout(batch_tokens=recipe.held_tokens, line_tokens=recipe.max_tokens, seed=recipe.seed)
    order = list(range(len(lengths)))
    Random(recipe.seed).shuffle(order)
    starts = range(0, len(order) - RANDOM_ROWS + 1, RANDOM_ROWS)
    return {
        "random": [[[row] for row in order[start : start + RANDOM_ROWS]] for start in starts],
        "grouped": epoch_batches(lengths, padded, epoch=0),
        "packed": epoch_batches(lengths, packed, epoch=0),
    }


def _pass_s(stage: Stage, batch: Batch) -> float:
    began = time.perf_counter()
    weights = batch.weights[:, 1:]
    loss = (token_losses(stage, batch) * weights).sum() / weights.sum()
    loss.backward()  # type: ignore[no-untyped-call]
    stage.model.zero_grad(set_to_none=True)
    if stage.workers.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
