"""Find near-duplicates: attempts whose question and solution together are almost the same as another's.

MinHash (Broder 1997) with banding finds candidates, the true Jaccard similarity of the shingle sets decides, so
nothing is dropped on an estimate; only pairs that share no band are missed (0.2 % of the pairs at 0.8). Fifty lines
of numpy and no library: the known ones sketch text by text in Python objects and stop at the estimate.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from finetune.data.select.attempts import Attempt
from finetune.data.select.reasons import Fault, Faults, Reason
from finetune.data.select.shingles import Hashes, groups, hashed, jaccard, solution_pieces, words_of

SHINGLE = 3
"""Consecutive pieces. Longer ones make a changed number weigh more than a changed solution method."""

Sketch = npt.NDArray[np.uint32]

_BANDS, _ROWS = 20, 6
_RANDOM = np.random.default_rng(20231228)
_FACTORS = _RANDOM.integers(1, 2**63, size=(_BANDS * _ROWS, 1), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _RANDOM.integers(0, 2**63, size=(_BANDS * _ROWS, 1), dtype=np.uint64)
_HIGH_HALF = np.uint64(32)
_DOUBT = 0.15
"""An estimate this far below the threshold settles it: at 0.8 these are four standard errors."""


def shingles(attempt: Attempt) -> Hashes:
    """Return the shingles of question and solution, as a sorted set."""
    question = groups(hashed(word.lower() for word in words_of(attempt.question)), SHINGLE)
    solution = groups(hashed(solution_pieces(attempt.segments)), SHINGLE)
    return np.unique(np.concatenate([question, solution]))


def sketch(members: Hashes) -> Sketch:
    """Return the MinHash signature of a set that isn't empty."""
    lowest: Sketch = ((members * _FACTORS + _OFFSETS) >> _HIGH_HALF).min(axis=1).astype(np.uint32)
    return lowest


def estimate(a: Sketch, b: Sketch) -> float:
    """Return the estimated Jaccard similarity of two sets, from their signatures."""
    return float((a == b).mean())


def near_duplicates(attempts: Sequence[Attempt], *, similar: float) -> Faults:
    """Return the faults of attempts that are at least `similar` to an attempt before them that stays."""
    kept = _Kept(similar)
    faults: Faults = {}
    for position, attempt in enumerate(attempts):
        twin = kept.find_or_add(attempt)
        if twin is not None:
            faults[position] = Fault(reason=Reason.NEAR_DUPLICATE, detail=twin.id)
    return faults


class _Kept:
    """The attempts that stay, to be looked up by likeness."""

    def __init__(self, similar: float) -> None:
        self._similar = similar
        self._attempts: list[Attempt] = []
        self._sketches: list[Sketch] = []
        self._bands: defaultdict[bytes, list[int]] = defaultdict(list)

    def find_or_add(self, attempt: Attempt) -> Attempt | None:
        """Return the first one kept that is as similar; without one, keep `attempt`."""
        members = shingles(attempt)
        signature = sketch(members) if len(members) else np.zeros(_BANDS * _ROWS, dtype=np.uint32)
        # A band's number is part of its key: equal rows count only in the same place.
        keys = [bytes([band]) + rows.tobytes() for band, rows in enumerate(signature.reshape(_BANDS, _ROWS))]
        candidates = sorted({number for key in keys for number in self._bands.get(key, ())})
        for number in candidates:
            if estimate(signature, self._sketches[number]) >= self._similar - _DOUBT:
                other = self._attempts[number]
                if jaccard(members, shingles(other)) >= self._similar:
                    return other
        for key in keys:
            self._bands[key].append(len(self._attempts))
        self._attempts.append(attempt)
        self._sketches.append(signature)
        return None
