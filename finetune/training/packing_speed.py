"""How much faster packed rows are than padded ones, measured on one's own rows and machine.

Three ways to learn the same rows with one model. Their passes take turns, so a busy machine is as busy for each:

    reference   MuMath-Code's trainer: 16 random rows, padded to the longest of them, logits of every place
    grouped     rows of similar length, padded; logits of trained tokens
    packed      whole rows on one line, attention row by row; logits of trained tokens

On a CPU the clock is that of the processor time of this process, which other programs don't advance.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import torch
from torch.nn import functional

from finetune.training.batches import Batch, Layout, Numbers, epoch_batches
from finetune.training.train import Stage, batch_of, losses

RANDOM_ROWS = 16
"""Rows of a batch of one GPU in MuMath-Code's scripts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Of one way."""

    tokens_per_s: float
    """Padding not counted."""
    padding: float
    """Share of what was computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingScheme:
    packed: bool
    batches: list[Numbers]
    loss: Callable[[Stage, Batch], torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    tokens: int
    computed: int
    seconds: float


def measure(stage: Stage, *, rounds: int, processes: int = 1) -> dict[str, Speed]:
    """Make `rounds` forward and backward passes of each way, each after the same one that doesn't count.

    With `processes`, so many passes in a row stand for those of as many GPUs that wait for each other: they take as
    long as the slowest of them. The speed is that of one.
    """
    ways = _ways(stage)
    passes: dict[str, list[_Pass]] = {name: [] for name in ways}
    for index in range(rounds):
        for name, way in ways.items():
            passes[name].append(_pass(stage, way, way.batches[index % len(way.batches)]))
    return {name: _speed(made, processes) for name, made in passes.items()}


def _speed(passes: list[_Pass], processes: int) -> Speed:
    groups = [passes[start : start + processes] for start in range(0, len(passes), processes)]
    waited = sum(max(one.seconds for one in group) * len(group) for group in groups)
    tokens = sum(one.tokens for one in passes)
    return Speed(tokens_per_s=tokens / waited, padding=1 - tokens / sum(one.computed for one in passes))


def _ways(stage: Stage) -> dict[str, BatchingScheme]:
    recipe, lengths = stage.recipe, stage.rows.lengths
    order = list(range(len(lengths)))
    Random(recipe.seed).shuffle(order)
    cuts = range(0, max(1, len(order) - RANDOM_ROWS + 1), RANDOM_ROWS)
    drawn = [order[start : start + RANDOM_ROWS] for start in cuts]
    ways = {"reference": BatchingScheme(packed=False, batches=drawn, loss=plain_loss)}
    for name, packed in (("grouped", False), ("packed", True)):
        layout = Layout(batch_tokens=recipe.held_tokens, packed=packed, seed=recipe.seed)
        ways[name] = BatchingScheme(
            packed=packed, batches=epoch_batches(lengths, layout, epoch=0), loss=_our_loss
        )
    return ways


def plain_loss(stage: Stage, batch: Batch) -> torch.Tensor:
    """The mean loss of the trained tokens of padded rows, as transformers computes it: from the logits of all."""
    with torch.autocast(batch.ids.device.type, torch.bfloat16, enabled=stage.recipe.precision == "bf16"):
        logits = stage.model(input_ids=batch.ids, use_cache=False).logits
    each = functional.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), batch.ids[:, 1:], reduction="none"
    )
    weights = batch.weights[:, 1:]
    return (each * weights).sum() / weights.sum()


def _our_loss(stage: Stage, batch: Batch) -> torch.Tensor:
    return losses(stage, batch).weighted / batch.weights[:, 1:].sum()


def _pass(stage: Stage, way: BatchingScheme, numbers: Numbers) -> _Pass:
    """The second of two equal passes: the first pays for what is new about their shape."""
    told = replace(stage, recipe=stage.recipe.model_copy(update={"packing": way.packed}))
    batch = batch_of(told, stage.rows.trained, numbers)
    if way.loss is plain_loss:
        batch = _narrowed(batch, max(len(stage.rows.trained[number].ids) for number in numbers))
    _run(stage, way, batch)
    seconds = _run(stage, way, batch)
    return _Pass(tokens=batch.tokens, computed=batch.ids.numel(), seconds=seconds)


def _narrowed(batch: Batch, columns: int) -> Batch:
    """Not a place wider than its longest row: our round widths are no burden of the reference."""
    return replace(batch, ids=batch.ids[:, :columns], weights=batch.weights[:, :columns])


def _run(stage: Stage, way: BatchingScheme, batch: Batch) -> float:
    began = _clock(stage)
    way.loss(stage, batch).backward()  # type: ignore[no-untyped-call]
    stage.model.zero_grad(set_to_none=True)
    return _clock(stage) - began


def _clock(stage: Stage) -> float:
    if stage.workers.device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()
