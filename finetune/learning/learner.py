"""A model that learns from samples: the updates of one step."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import torch

from finetune.learning.advantages import Sample
from finetune.learning.grpo import Objective, PolicyBatch, policy_batch, policy_loss, remembering
from finetune.learning.run import Run
from finetune.training.batches import epoch_batches, layout_of
from finetune.training.metrics import StepMetrics
from finetune.training.optimizers import Update, update
from finetune.training.weights import Model


class Learned(NamedTuple):
    """What a step was like."""

    metrics: StepMetrics
    gap: float
    """By how much the log-probabilities of a token differ between the engine that wrote it and the model that learns,
    on average: near zero, unless the engine has other weights or another precision."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learner:
    """A run with what it needs to learn from samples."""

    run: Run
    objective: Objective
    updates: int
    """Updates of a step, on the same samples."""
    reference: Model | None

    def learn(self, samples: Sequence[Sample], step: int) -> Learned:
        """Update the weights with the samples of `step`, counted from 0; without any, leave them as they are.

        Raises:
            TrainingDiverged: the loss is not finite.
        """
        # Dropout is a function of seed and step, so a checkpoint needs to hold no generator's state.
        torch.manual_seed(Random(f"{self.run.recipe.seed}/{step}").getrandbits(63))
        batches = [*self._batches(samples, step)] if samples else []
        written = sum(batch.written for batch in batches)
        if not written:
            nothing = StepMetrics(loss=0.0, tokens=0, gradient_norm=0.0, learning_rate=0.0)
            return Learned(metrics=nothing, gap=0.0)
        made = [self._update(batches, written, step) for _ in range(self.updates)]
        (loss, gap, _), last = made[0], made[-1][2]
        return Learned(
            metrics=StepMetrics(
                loss=loss,
                tokens=self.updates * sum(batch.batch.tokens for batch in batches),
                gradient_norm=last.gradient_norm,
                learning_rate=last.learning_rate,
            ),
            gap=gap,
        )

    def _batches(self, samples: Sequence[Sample], step: int) -> list[PolicyBatch]:
        lengths = [len(one.rollout.prompt_ids) + len(one.rollout.completion_ids) for one in samples]
        numbers = epoch_batches(lengths, layout_of(self.run.recipe, seed=self.run.recipe.seed), epoch=step)
        batches = [
            policy_batch([samples[n] for n in each], pad_id=self.run.pad_id, packed=self.run.recipe.packing)
            for each in numbers
        ]
        batches = [batch.to(self.run.processes.device) for batch in batches]
        if self.updates == 1 and self.reference is None:
            return batches
        return [remembering(b, self.run.model, reference=self.reference, half=self.run.half) for b in batches]

    def _update(self, batches: Sequence[PolicyBatch], written: int, step: int) -> tuple[float, float, Update]:
        loss = gap = 0.0
        for batch in batches:
            found = policy_loss(self.run.model, batch, self.objective, half=self.run.half)
            (found.loss / written).backward()  # type: ignore[no-untyped-call]
            loss += found.loss.item() / written
            gap += found.gap.item() / written
        settings = self.run.recipe.optimizer
        made = update(
            self.run.model, self.run.optimizers, settings, loss=loss, step=step, steps=self.run.steps
        )
        return loss, gap, made
