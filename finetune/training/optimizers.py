"""Make the optimisers of a training run, compute the learning rate of each step, and make the step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from finetune.training.recipe import Optimizer
from mumath_agent.errors import MuMathError


class TrainingDiverged(MuMathError):
    """The loss is no longer a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What an update of the weights was like."""

    gradient_norm: float
    """Before clipping."""
    learning_rate: float


def make_optimizers(model: nn.Module, settings: Optimizer) -> tuple[torch.optim.Optimizer, ...]:
    """Return the optimisers of all trained weights.

    The layers' matrices have a decay, and possibly an optimiser, of their own; embeddings, norms and the output matrix
    have the other.
    """
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    inner = {name for name, p in named if p.ndim == 2 and "embed" not in name and "lm_head" not in name}
    matrices = [weight for name, weight in named if name in inner]
    others = [weight for name, weight in named if name not in inner]
    made: list[torch.optim.Optimizer] = []
    if settings.kind == "muon":
        made.append(
            torch.optim.Muon(
                matrices,
                lr=settings.rate,
                weight_decay=settings.matrix_decay,
                momentum=0.95,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    groups = [{"params": others, "weight_decay": settings.other_decay}]
    if settings.kind == "adamw":
        groups.append({"params": matrices, "weight_decay": settings.matrix_decay})
    groups = [group for group in groups if group["params"]]
    if groups:
        made.append(torch.optim.AdamW(groups, lr=settings.rate, betas=settings.betas))
    return tuple(made)


def learning_rate(step: int, steps: int, settings: Optimizer) -> float:
    """Return the learning rate of `step`, counted from 0: warm-up, then flat, then down to `settings.final` of it."""
    return settings.rate * _factor(step, steps, settings)


def update(
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    settings: Optimizer,
    *,
    loss: float,
    step: int,
    steps: int,
) -> Update:
    """Clip the gradients, move the weights with the learning rate of `step`, counted from 0, and drop the gradients.

    Raises:
        TrainingDiverged: the loss or a gradient is not finite; the weights are as they were.
    """
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    before = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
    if not (math.isfinite(loss) and math.isfinite(before)):
        raise TrainingDiverged(
            "the loss is not finite; lower optimizer.rate in the recipe and use a new --out"
        )
    rate = learning_rate(step, steps, settings)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return Update(gradient_norm=before, learning_rate=rate)


def _factor(step: int, steps: int, settings: Optimizer) -> float:
    warmup_steps = settings.warmup_steps
    if settings.warmup_ratio is not None:
        warmup_steps = max(1, math.ceil(settings.warmup_ratio * steps))
    warmup, fraction = min(1.0, (step + 1) / warmup_steps), step / steps
    if fraction < settings.flat_until:
        return warmup
    left = (1 - fraction) / (1 - settings.flat_until)
    if settings.schedule == "cosine":
        left = settings.final + (1 - settings.final) * (1 - math.cos(math.pi * left)) / 2
    return warmup * max(settings.final, left)
