"""Compare variants of a recipe by what they cost: processor time for each token read, passes and updates apart.

All variants read the same rows. Their passes alternate, so a busy machine is as busy for each. Other programs don't
advance the clock, but they do share the caches: repeat what is close.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from finetune.training.batches import Numbers, epoch_batches, layout_of
from finetune.training.packing_speed import clock
from finetune.training.train import TrainingRun, batch_of, losses


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a variant costs for each token, in milliseconds."""

    passes: float
    """Forward and backward."""
    updates: float
    """Clipping and the optimiser's step, shared out over the tokens of a step."""

    @property
    def total(self) -> float:
        """Both."""
        return self.passes + self.updates


def measure(runs: Mapping[str, TrainingRun], *, rounds: int) -> dict[str, Cost]:
    """Time `rounds` passes and updates of each run, after one that isn't timed: it pays for what is new."""
    batches = {
        name: epoch_batches(run.rows.lengths, layout_of(run.recipe, seed=0), epoch=0)
        for name, run in runs.items()
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for index in range(rounds + 1):
        for name, run in runs.items():
            found[name].append(_costs(run, batches[name][index % len(batches[name])]))
    means = {
        name: [sum(column) / rounds for column in zip(*costs[1:], strict=True)]
        for name, costs in found.items()
    }
    return {name: Cost(passes=passes, updates=updates) for name, (passes, updates) in means.items()}


def _costs(run: TrainingRun, numbers: Numbers) -> tuple[float, float]:
    batch = batch_of(run, run.rows.trained, numbers)
    began = clock(run)
    (losses(run, batch).weighted / batch.weights[:, 1:].sum()).backward()  # type: ignore[no-untyped-call]
    passed = clock(run)
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), run.recipe.optimizer.clip)
    for optimizer in run.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = 0.0  # what is learned doesn't matter here, and a loss that explodes would
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    updated = clock(run)
    return 1000 * (passed - began) / batch.tokens, 1000 * (updated - passed) / run.recipe.batch_tokens
