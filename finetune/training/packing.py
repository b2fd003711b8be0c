"""As many whole rows in a batch as fit.

Best fit, longest first, within pools of shuffled rows: batches come out almost full, and rows keep their random
company. That rows on a line don't see each other is attention's business (`attention`).
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

_POOL_ROWS = 2048
"""Enough for batches over 99 % full, and few enough that an epoch's order stays random."""


def pack(order: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """The rows of `order`, whole, in batches of at most `batch_tokens` tokens (or one row)."""
    for start in range(0, len(order), _POOL_ROWS):
        yield from _fit(order[start : start + _POOL_ROWS], lengths, batch_tokens)


def _fit(pool: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    batches: list[list[int]] = []
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
