"""Put rows into batches, in an order that can be resumed, and batches into tensors.

    lengths ─▶ batches of row numbers, epoch after epoch ─▶ tensors

Padded, each row of a batch has a line of its own, and rows of similar length come together. Packed, as many whole rows
as fit are laid end to end on one line; `attention` keeps them apart. The order is a function of lengths, layout and
seed only, so a resumed run continues exactly where the killed one would have.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from random import Random

import numpy as np
import torch

from finetune.training.encode import UNTRAINED, Encoded
from finetune.training.recipe import Recipe

WIDTH_STEP = 32
"""Widths are multiples of this: few shapes, because oneDNN prepares its kernels for each."""
_GROUPING_POOL_BATCHES = 48
"""Rows are sorted by length within pools of about this many batches."""
_PACKING_POOL_ROWS = 2048
"""Enough for batches over 99 % full, and few enough that an epoch's order stays random."""

Numbers = list[int]
"""A batch as the numbers of its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The rules by which rows become batches."""

    batch_tokens: int
    """Tokens of a batch, padding included."""
    packed: bool = False
    """True: all rows of a batch on one line. False: a line for each row, padded."""
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Rows as tensors of (lines, width). A weight says how much the prediction of its token counts."""

    ids: torch.Tensor
    weights: torch.Tensor
    positions: torch.Tensor | None
    """The position of each token in its row. None: every line is one row."""
    row_lengths: tuple[int, ...] | None
    """Tokens of each row on the one line, with the padding as the last row. None: every line is one row."""
    tokens: int
    """Tokens without padding."""

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on `device`."""
        positions = self.positions if self.positions is None else self.positions.to(device)
        return replace(self, ids=self.ids.to(device), weights=self.weights.to(device), positions=positions)


def layout_of(recipe: Recipe, *, seed: int) -> Layout:
    """Return the layout of the batches that one process holds at a time."""
    return Layout(batch_tokens=recipe.held_tokens, packed=recipe.packing, seed=seed)


def count_steps(recipe: Recipe, lengths: Sequence[int]) -> int:
    """Return the number of steps of a training run."""
    if recipe.steps is not None:
        return recipe.steps
    layout = layout_of(recipe, seed=recipe.seed)
    batches = sum(len(epoch_batches(lengths, layout, epoch=epoch)) for epoch in range(recipe.epochs or 1))
    return math.ceil(batches / recipe.passes)


def endless(lengths: Sequence[int], layout: Layout, *, skip: int) -> Iterator[Numbers]:
    """Yield batches, epoch after epoch, from batch `skip` on."""
    for epoch in count():
        batches = epoch_batches(lengths, layout, epoch=epoch)
        if skip < len(batches):
            yield from batches[skip:]
        skip = max(0, skip - len(batches))


def epoch_batches(lengths: Sequence[int], layout: Layout, *, epoch: int) -> list[Numbers]:
    """Return every row number once, in batches of at most `batch_tokens` tokens with padding (or of one row)."""
    random = Random(f"{layout.seed}/{epoch}")
    order = list(range(len(lengths)))
    random.shuffle(order)
    batches = list((pack if layout.packed else _grouped)(order, lengths, layout.batch_tokens))
    random.shuffle(batches)
    return batches


def pack(order: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> Iterator[Numbers]:
    """Yield the rows of `order` in batches of at most `batch_tokens` tokens (or of one row), as few as can be found.

    Best fit, longest first, within pools of shuffled rows: batches are almost full, and which rows come together stays
    random.
    """
    for start in range(0, len(order), _PACKING_POOL_ROWS):
        yield from _best_fit(order[start : start + _PACKING_POOL_ROWS], lengths, batch_tokens)


def _best_fit(pool: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> list[Numbers]:
    batches: list[Numbers] = []
    free: list[tuple[int, int]] = []  # tokens left in a batch, and which batch; sorted
    for row in sorted(pool, key=lambda row: -lengths[row]):
        fitting = bisect_left(free, (lengths[row], 0))
        if fitting == len(free):
            batches.append([])
            insort(free, (batch_tokens, len(batches) - 1))
            fitting = bisect_left(free, (min(lengths[row], batch_tokens), 0))
        left, batch = free.pop(fitting)
        batches[batch].append(row)
        insort(free, (left - lengths[row], batch))
    return batches


def _grouped(order: Numbers, lengths: Sequence[int], batch_tokens: int) -> Iterator[Numbers]:
    pool_rows = max(1, _GROUPING_POOL_BATCHES * batch_tokens * len(lengths) // sum(lengths))
    for start in range(0, len(order), pool_rows):
        pool = sorted(order[start : start + pool_rows], key=lengths.__getitem__)
        yield from _cut(pool, lengths, batch_tokens)


def _cut(pool: Numbers, lengths: Sequence[int], batch_tokens: int) -> Iterator[Numbers]:
    batch: Numbers = []
    for row in pool:
        if batch and width(lengths[row]) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def width(length: int) -> int:
    """Round `length` up to a width in use."""
    return -(-length // WIDTH_STEP) * WIDTH_STEP


def collate(
    rows: Sequence[Encoded], *, pad_id: int, packed: bool = False, question_weight: float = 0.0
) -> Batch:
    """Return the rows as tensors, padded on the right. The first token of a row is never predicted."""
    lines = [rows] if packed else [[row] for row in rows]
    columns = width(max(sum(len(row.ids) for row in line) for line in lines))
    ids = np.full((len(lines), columns), pad_id, dtype=np.int64)
    weights = np.zeros((len(lines), columns), dtype=np.float32)
    for index, line in enumerate(lines):
        start = 0
        for row in line:
            end = start + len(row.ids)
            ids[index, start:end] = row.ids
            weights[index, start:end] = row.labels != UNTRAINED
            weights[index, start : start + row.prompt_tokens] = question_weight
            weights[index, start] = 0
            start = end
    lengths = _lengths_on_one_line(rows, columns) if packed else None
    return Batch(
        ids=torch.from_numpy(ids),
        weights=torch.from_numpy(weights),
        positions=torch.cat([torch.arange(length) for length in lengths])[None] if lengths else None,
        row_lengths=lengths,
        tokens=sum(len(row.ids) for row in rows),
    )


def _lengths_on_one_line(rows: Sequence[Encoded], columns: int) -> tuple[int, ...]:
    """Return the rows' lengths, and that of the padding, which is a row of its own."""
    lengths = [len(row.ids) for row in rows]
    padding = columns - sum(lengths)
    return (*lengths, padding) if padding else tuple(lengths)
