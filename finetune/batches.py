"""The order in which a stage sees its rows, and rows as tensors.

A batch is a number of lines of tokens. Padded, each line holds one row, and lines of similar length come together;
packed, a line holds as many whole rows as fit. Rows never see each other: on a shared line their positions begin
anew, from which transformers makes block-diagonal attention. The order is a function of lengths, layout, seed and
step only: that is what makes a resumed run continue exactly where the killed one would have gone on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from random import Random

import numpy as np
import torch

from finetune.encode import UNTRAINED, Encoded
from finetune.packing import pack

WIDTH_STEP = 32
"""Widths are multiples of this: few shapes, because oneDNN prepares its kernels for each."""
_POOL_BATCHES = 48
"""Rows are sorted by length within pools of about this many batches."""

Lines = list[list[int]]
"""A batch: the row numbers of each of its lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How rows become batches."""

    batch_tokens: int
    """Tokens of a batch, padding included."""
    line_tokens: int | None = None
    """Pack rows on lines of this length. None: a row a line, padded."""
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Tensors of (lines, width). A weight says how much the prediction of its token counts."""

    ids: torch.Tensor
    weights: torch.Tensor
    positions: torch.Tensor | None
    """Where each token stands in its row. None: every line is one row."""
    tokens: int
    """Without padding."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        positions = self.positions if self.positions is None else self.positions.to(device)
        return replace(self, ids=self.ids.to(device), weights=self.weights.to(device), positions=positions)


def endless(lengths: Sequence[int], layout: Layout, *, skip: int) -> Iterator[Lines]:
    """Batches, epoch after epoch, from batch `skip` on."""
    for epoch in count():
        batches = epoch_batches(lengths, layout, epoch=epoch)
        if skip < len(batches):
            yield from batches[skip:]
        skip = max(0, skip - len(batches))


def epoch_batches(lengths: Sequence[int], layout: Layout, *, epoch: int) -> list[Lines]:
    """Every row number once, in batches of at most `batch_tokens` tokens with padding (or one line)."""
    random = Random(f"{layout.seed}/{epoch}")
    order = list(range(len(lengths)))
    random.shuffle(order)
    if layout.line_tokens is not None:
        lines = list(pack(order, lengths, line_tokens=layout.line_tokens))
        random.shuffle(lines)
        size = max(1, layout.batch_tokens // layout.line_tokens)
        return [lines[start : start + size] for start in range(0, len(lines), size)]
    pool_rows = max(1, _POOL_BATCHES * layout.batch_tokens * len(lengths) // sum(lengths))
    batches: list[Lines] = []
    for start in range(0, len(order), pool_rows):
        pool = sorted(order[start : start + pool_rows], key=lengths.__getitem__)
        batches.extend(_cut(pool, lengths, layout.batch_tokens))
    random.shuffle(batches)
    return batches


def _cut(pool: list[int], lengths: Sequence[int], batch_tokens: int) -> Iterator[Lines]:
    batch: Lines = []
    for row in pool:
        if batch and width(lengths[row]) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append([row])
    if batch:
        yield batch


def width(length: int) -> int:
    """`length` rounded up to a width in use."""
    return -(-length // WIDTH_STEP) * WIDTH_STEP


def collate(lines: Sequence[Sequence[Encoded]], *, pad_id: int, question_weight: float = 0.0) -> Batch:
    """The lines as tensors, padded on the right. The first token of a row is never predicted."""
    columns = width(max(sum(len(row.ids) for row in line) for line in lines))
    ids = np.full((len(lines), columns), pad_id, dtype=np.int64)
    weights = np.zeros((len(lines), columns), dtype=np.float32)
    positions = np.zeros((len(lines), columns), dtype=np.int64)
    for index, line in enumerate(lines):
        start = 0
        for row in line:
            end = start + len(row.ids)
            ids[index, start:end] = row.ids
            weights[index, start:end] = row.labels != UNTRAINED
            weights[index, start : start + row.prompt_tokens] = question_weight
            weights[index, start] = 0
            positions[index, start:end] = np.arange(end - start)
            start = end
        positions[index, start:] = np.arange(columns - start)  # padding is a row of its own
    shared = any(len(line) > 1 for line in lines)
    return Batch(
        ids=torch.from_numpy(ids),
        weights=torch.from_numpy(weights),
        positions=torch.from_numpy(positions) if shared else None,
        tokens=sum(len(row.ids) for line in lines for row in line),
    )
