"""Compute the loss of group-relative policy optimisation (GRPO, arXiv 2402.03300), token by token.

Three policies have a say about a token: `new` is the one that learns, `old` is the same before this round of updates,
`behaviour` wrote the token (a server's engine, other kernels, other precision: never quite `old`).

    loss = -min(ratio * advantage, clip(ratio) * advantage) * min(old / behaviour, cap)      with ratio = new / old

The last factor is truncated importance sampling (Yao et al. 2025, "Your efficient RL framework secretly brings you
off-policy training data"): without it what the engines differ by is learned, too. The loss of a step is the sum over
all written tokens of all samples, divided by their number (DAPO, arXiv 2503.14476): a long attempt isn't learned less
for its length. What the model didn't write isn't in any tensor here, so its gradient is exactly zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from finetune.learning.advantages import Sample
from finetune.training.batches import Batch, collate
from finetune.training.encode import UNTRAINED, Encoded
from finetune.training.loss import logprobs_of
from finetune.training.weights import Model
from mumath_agent.rollouts import Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The settings of the loss."""

    clip_low: float = 0.2
    clip_high: float = 0.28
    """A ratio counts between 1 - clip_low and 1 + clip_high; DAPO's: more room up, so that rare tokens can grow."""
    correction_cap: float | None = 2.0
    """The most that old / behaviour may be; TRL's token_truncate. None: no correction."""
    kl: float = 0.0
    """Weight of the divergence from a reference; DAPO and Dr. GRPO have none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PolicyBatch:
    """Samples as tensors: the `batch` as the model reads it, and one value for each token that the model wrote."""

    batch: Batch
    advantages: torch.Tensor
    behaviour: torch.Tensor
    old: torch.Tensor | None = None
    """None: the policy that learns is still the old one, and every ratio is 1."""
    reference: torch.Tensor | None = None

    @property
    def written(self) -> int:
        """Number of tokens that the model wrote."""
        return len(self.advantages)

    def to(self, device: torch.device) -> "PolicyBatch":
        """Return a batch that nothing is remembered of, on `device`."""
        return replace(
            self,
            batch=self.batch.to(device),
            advantages=self.advantages.to(device),
            behaviour=self.behaviour.to(device),
        )


def encoded(rollout: Rollout) -> Encoded:
    """Return a rollout as a training row: what the model wrote is trained."""
    prompt = len(rollout.prompt_ids)
    ids = np.array([*rollout.prompt_ids, *rollout.completion_ids], dtype=np.int32)
    written = np.array([*[False] * prompt, *rollout.env_mask])
    return Encoded(ids=ids, labels=np.where(written, ids, UNTRAINED).astype(np.int32), prompt_tokens=prompt)


def policy_batch(samples: Sequence[Sample], *, pad_id: int = 0, packed: bool = False) -> PolicyBatch:
    """Return samples as tensors, on the CPU. A prompt has at least one token: the first is never predicted."""
    rollouts = [sample.rollout for sample in samples]
    counts = torch.tensor([sum(rollout.env_mask) for rollout in rollouts])
    behaviour = [
        logprob
        for rollout in rollouts
        for logprob, written in zip(rollout.logprobs, rollout.env_mask, strict=True)
        if written
    ]
    each = torch.tensor([sample.advantage for sample in samples], dtype=torch.float32)
    return PolicyBatch(
        batch=collate([encoded(rollout) for rollout in rollouts], pad_id=pad_id, packed=packed),
        advantages=each.repeat_interleave(counts),
        behaviour=torch.tensor(behaviour, dtype=torch.float32),
    )


def remembering(
    batch: PolicyBatch, model: Model, *, reference: Model | None = None, half: bool = False
) -> PolicyBatch:
    """Return the batch with what `model` thinks of its tokens as the old policy, and `reference` as the reference.

    Needed before the first of several updates on the same samples, and for the divergence.
    """
    with torch.no_grad():
        old = logprobs_of(model, batch.batch, half=half)
        thinks = None if reference is None else logprobs_of(reference, batch.batch, half=half)
    return replace(batch, old=old, reference=thinks)


class PolicyLoss(NamedTuple):
    """Sums over the tokens that were written; divide by the number of those of the step."""

    loss: torch.Tensor
    """It has a gradient."""
    gap: torch.Tensor
    """By how much old and behaviour differ about the tokens' log-probabilities: two engines of one policy, hardly."""


def policy_loss(model: Model, batch: PolicyBatch, objective: Objective, *, half: bool = False) -> PolicyLoss:
    """Return the loss of a batch for the model that learns."""
    new = logprobs_of(model, batch.batch, half=half)
    old = new.detach() if batch.old is None else batch.old
    gap = (old - batch.behaviour).abs().sum()
    return PolicyLoss(loss=token_losses(new, old, batch, objective).sum(), gap=gap)


def token_losses(
    new: torch.Tensor, old: torch.Tensor, batch: PolicyBatch, objective: Objective
) -> torch.Tensor:
    """Return the loss of each written token, from its log-probabilities for the new and the old policy."""
    ratio = (new - old).exp()
    clipped = ratio.clamp(1 - objective.clip_low, 1 + objective.clip_high)
    losses = -torch.minimum(ratio * batch.advantages, clipped * batch.advantages)
    if objective.correction_cap is not None:
        losses = losses * (old - batch.behaviour).exp().clamp(max=objective.correction_cap)
    if batch.reference is not None and objective.kl:
        apart = batch.reference - new  # Schulman's k3: unbiased, never negative
        losses = losses + objective.kl * (apart.exp() - apart - 1)
    return losses
