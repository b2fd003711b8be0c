"""Measure how much faster packed rows are trained than padded ones, on one's own rows and machine.

Three batching schemes learn the same rows with one model. Their passes alternate, so a busy machine is as busy for
each:

    reference   MuMath-Code's trainer: 16 random rows, padded to the longest of them, logits of every token
    grouped     rows of similar length, padded; logits of trained tokens
    packed      whole rows on one line, attention row by row; logits of trained tokens

On a CPU the clock is the processor time of this process, which other programs don't advance.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import torch
from torch.nn import functional

from finetune.training.batches import Batch, Layout, Numbers, epoch_batches
from finetune.training.train import TrainingRun, batch_of, losses

REFERENCE_ROWS = 16
"""Rows of a batch of one GPU in MuMath-Code's scripts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """The speed of a batching scheme."""

    tokens_per_s: float
    """Tokens without padding."""
    padding: float
    """Padding as a share of all tokens computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingScheme:
    """A way to put rows into batches, with its loss."""

    packed: bool
    batches: list[Numbers]
    loss: Callable[[TrainingRun, Batch], torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    tokens: int
    computed: int
    seconds: float


def measure(training: TrainingRun, *, rounds: int, processes: int = 1) -> dict[str, Speed]:
    """Time `rounds` forward and backward passes of each scheme, each after an equal one that isn't timed.

    With `processes`, that many passes in a row stand for those of as many GPUs that wait for each other: each takes as
    long as the slowest of them. The speed is that of one GPU.
    """
    schemes = _schemes(training)
    passes: dict[str, list[_Pass]] = {name: [] for name in schemes}
    for index in range(rounds):
        for name, scheme in schemes.items():
            passes[name].append(_pass(training, scheme, scheme.batches[index % len(scheme.batches)]))
    return {name: _speed(timed, processes) for name, timed in passes.items()}


def _schemes(training: TrainingRun) -> dict[str, BatchingScheme]:
    recipe, lengths = training.recipe, training.rows.lengths
    order = list(range(len(lengths)))
    Random(recipe.seed).shuffle(order)
    cuts = range(0, max(1, len(order) - REFERENCE_ROWS + 1), REFERENCE_ROWS)
    drawn = [order[start : start + REFERENCE_ROWS] for start in cuts]
    schemes = {"reference": BatchingScheme(packed=False, batches=drawn, loss=plain_loss)}
    for name, packed in (("grouped", False), ("packed", True)):
        layout = Layout(batch_tokens=recipe.held_tokens, packed=packed, seed=recipe.seed)
        batches = epoch_batches(lengths, layout, epoch=0)
        schemes[name] = BatchingScheme(packed=packed, batches=batches, loss=_mean_loss)
    return schemes


def plain_loss(training: TrainingRun, batch: Batch) -> torch.Tensor:
    """Return the mean loss of the trained tokens of padded rows as transformers computes it, from all logits."""
    with torch.autocast(batch.ids.device.type, torch.bfloat16, enabled=training.recipe.precision == "bf16"):
        logits = training.model(input_ids=batch.ids, use_cache=False).logits
    each = functional.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), batch.ids[:, 1:], reduction="none"
    )
    weights = batch.weights[:, 1:]
    return (each * weights).sum() / weights.sum()


def _mean_loss(training: TrainingRun, batch: Batch) -> torch.Tensor:
    return losses(training, batch).weighted / batch.weights[:, 1:].sum()


def _pass(training: TrainingRun, scheme: BatchingScheme, numbers: Numbers) -> _Pass:
    """Time the second of two equal passes: the first pays for what is new about its shape."""
    recipe = training.recipe.model_copy(update={"packing": scheme.packed})
    batch = batch_of(replace(training, recipe=recipe), training.rows.trained, numbers)
    if scheme.loss is plain_loss:
        batch = _narrowed(batch, max(len(training.rows.trained[number].ids) for number in numbers))
    _run(training, scheme, batch)
    seconds = _run(training, scheme, batch)
    return _Pass(tokens=batch.tokens, computed=batch.ids.numel(), seconds=seconds)


def _narrowed(batch: Batch, columns: int) -> Batch:
    """Cut a batch to its longest row: the reference doesn't round widths up."""
    return replace(batch, ids=batch.ids[:, :columns], weights=batch.weights[:, :columns])


def _run(training: TrainingRun, scheme: BatchingScheme, batch: Batch) -> float:
    began = clock(training)
    scheme.loss(training, batch).backward()  # type: ignore[no-untyped-call]
    training.model.zero_grad(set_to_none=True)
    return clock(training) - began


def clock(training: TrainingRun) -> float:
    """Return the processor time of this process, or the time by the clock where a GPU computes."""
    if training.processes.device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def _speed(passes: list[_Pass], processes: int) -> Speed:
    groups = [passes[start : start + processes] for start in range(0, len(passes), processes)]
    waited = sum(max(one.seconds for one in group) * len(group) for group in groups)
    tokens = sum(one.tokens for one in passes)
    return Speed(tokens_per_s=tokens / waited, padding=1 - tokens / sum(one.computed for one in passes))
