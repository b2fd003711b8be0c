"""Several rows on one line of tokens, none of them cut.

Best fit, longest first, within pools of shuffled rows: lines come out almost full, and rows keep their random
company. That rows on a line don't see each other is the batch's business (`batches.collate`).
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

_POOL_ROWS = 2048
"""Enough for lines over 99 % full, and few enough that an epoch's order stays random."""


def pack(order: Sequence[int], lengths: Sequence[int], *, line_tokens: int) -> Iterator[list[int]]:
    """The rows of `order`, whole, on lines of at most `line_tokens` tokens (or one row)."""
    for start in range(0, len(order), _POOL_ROWS):
        yield from _fit(order[start : start + _POOL_ROWS], lengths, line_tokens)


def _fit(pool: Sequence[int], lengths: Sequence[int], line_tokens: int) -> list[list[int]]:
    lines: list[list[int]] = []
    free: list[tuple[int, int]] = []  # tokens left on a line, and which line; sorted
    for row in sorted(pool, key=lambda row: -lengths[row]):
        fitting = bisect_left(free, (lengths[row], 0))
        if fitting == len(free):
            lines.append([])
            insort(free, (line_tokens, len(lines) - 1))
            fitting = bisect_left(free, (min(lengths[row], line_tokens), 0))
        left, line = free.pop(fitting)
        lines[line].append(row)
        insort(free, (left - lengths[row], line))
    return lines
