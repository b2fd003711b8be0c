"""The order in which a stage sees its rows, and rows as tensors.

A batch is some rows. Padded, each stands on a line of its own, and rows of similar length come together; packed, as
many as fit are laid end to end on one line. Rows never see each other: that is attention's business (`attention`),
which a shared line tells where its rows end. The order is a function of lengths, layout, seed and step only: that is
what makes a resumed run continue exactly where the killed one would have gone on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from random import Random

import numpy as np
import torch

from finetune.training.encode import UNTRAINED, Encoded
from finetune.training.packing import pack

WIDTH_STEP = 32
"""Widths are multiples of this: few shapes, because oneDNN prepares its kernels for each."""
_POOL_BATCHES = 48
"""Rows are sorted by length within pools of about this many batches."""

Numbers = list[int]
"""A batch: the numbers of its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How rows become batches."""

    batch_tokens: int
    """Tokens of a batch, padding included."""
    packed: bool = False
    """Rows on one line. False: a row a line, padded."""
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Tensors of (lines, width). A weight says how much the prediction of its token counts."""

    ids: torch.Tensor
    weights: torch.Tensor
    positions: torch.Tensor | None
    """Where each token stands in its row. None: every line is one row."""
    row_lengths: tuple[int, ...] | None
    """Of the rows on the one line, padding as the last of them. None: every line is one row."""
    tokens: int
    """Without padding."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        positions = self.positions if self.positions is None else self.positions.to(device)
        return replace(self, ids=self.ids.to(device), weights=self.weights.to(device), positions=positions)


def endless(lengths: Sequence[int], layout: Layout, *, skip: int) -> Iterator[Numbers]:
    """Batches, epoch after epoch, from batch `skip` on."""
    for epoch in count():
        batches = epoch_batches(lengths, layout, epoch=epoch)
        if skip < len(batches):
            yield from batches[skip:]
        skip = max(0, skip - len(batches))


def epoch_batches(lengths: Sequence[int], layout: Layout, *, epoch: int) -> list[Numbers]:
    """Every row number once, in batches of at most `batch_tokens` tokens with padding (or one row)."""
    random = Random(f"{layout.seed}/{epoch}")
    order = list(range(len(lengths)))
    random.shuffle(order)
    batches = list((pack if layout.packed else _grouped)(order, lengths, layout.batch_tokens))
    random.shuffle(batches)
    return batches


def _grouped(order: Numbers, lengths: Sequence[int], batch_tokens: int) -> Iterator[Numbers]:
    pool_rows = max(1, _POOL_BATCHES * batch_tokens * len(lengths) // sum(lengths))
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
    """`length` rounded up to a width in use."""
    return -(-length // WIDTH_STEP) * WIDTH_STEP


def collate(
    rows: Sequence[Encoded], *, pad_id: int, packed: bool = False, question_weight: float = 0.0
) -> Batch:
    """The rows as tensors, padded on the right. The first token of a row is never predicted."""
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
    """Of the rows, and of the padding, which is a row of its own."""
    lengths = [len(row.ids) for row in rows]
    padding = columns - sum(lengths)
    return (*lengths, padding) if padding else tuple(lengths)
