"""Make the optimisers of a training run, and compute the learning rate of each step."""

import math

import torch
from torch import nn

from finetune.training.recipe import Optimizer


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
