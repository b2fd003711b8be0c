"""The order in which a stage sees its rows, and rows as tensors.

Batches hold rows of similar length, padded on the right to a few fixed widths; rows never share a sequence, so none
can attend to another. The order is a function of lengths, seed and step only: that is what makes a resumed run
continue exactly where the killed one would have gone on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random

import torch

from finetune.encode import UNTRAINED, Encoded

WIDTH_STEP = 32
"""Widths are multiples of this: few shapes, because oneDNN prepares its kernels for each."""
_POOL_BATCHES = 48
"""Rows are sorted by length within pools of about this many batches."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """`ids` and `weights` are (rows, width); a weight says how much the prediction of its token counts."""

    ids: torch.Tensor
    weights: torch.Tensor
    tokens: int
    """Without padding."""


def endless(lengths: Sequence[int], *, batch_tokens: int, seed: int, skip: int) -> Iterator[list[int]]:
    """Row numbers batch by batch, epoch after epoch, from batch `skip` on."""
    for epoch in count():
        batches = epoch_batches(lengths, batch_tokens=batch_tokens, seed=seed, epoch=epoch)
        if skip < len(batches):
            yield from batches[skip:]
        skip = max(0, skip - len(batches))


def epoch_batches(lengths: Sequence[int], *, batch_tokens: int, seed: int, epoch: int) -> list[list[int]]:
    """Every row number once, in batches of at most `batch_tokens` tokens with padding (or one row)."""
    random = Random(f"{seed}/{epoch}")
    order = list(range(len(lengths)))
    random.shuffle(order)
    pool_rows = max(1, _POOL_BATCHES * batch_tokens * len(lengths) // sum(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(order), pool_rows):
        pool = sorted(order[start : start + pool_rows], key=lengths.__getitem__)
        batches.extend(_cut(pool, lengths, batch_tokens))
    random.shuffle(batches)
    return batches


def _cut(pool: list[int], lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    batch: list[int] = []
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


def collate(rows: Sequence[Encoded], *, pad_id: int, question_weight: float) -> Batch:
    """The rows as one padded batch. The first token of a row is never predicted."""
    columns = width(max(len(row.ids) for row in rows))
    ids = torch.full((len(rows), columns), pad_id)
    weights = torch.zeros(len(rows), columns)
    for index, row in enumerate(rows):
        ids[index, : len(row.ids)] = torch.from_numpy(row.ids)
        weights[index, : len(row.ids)] = torch.from_numpy(row.labels != UNTRAINED).float()
        weights[index, 1 : row.prompt_tokens] = question_weight
    return Batch(ids=ids, weights=weights, tokens=sum(len(row.ids) for row in rows))
