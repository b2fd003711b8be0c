"""Find for each item of a set an item of its own in the other: by what equal items have in common, then by matching."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from mumath_agent.grading.lists import SET, items
from mumath_agent.grading.numbers import number
from mumath_agent.records import Outcome

MAX_DEPTH = 3
"""The deepest lists in lists that are compared."""


def without_shared(listed: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return what is left of both without the items that are certainly equal, one for one."""
    ours, theirs = _by_key(listed), _by_key(wanted)
    for key in ours.keys() & theirs.keys():
        shared = min(len(ours[key]), len(theirs[key]))
        del ours[key][:shared], theirs[key][:shared]
    return [text for texts in ours.values() for text in texts], [
        text for each in theirs.values() for text in each
    ]


def _by_key(texts: tuple[str, ...]) -> dict[object, list[str]]:
    found: dict[object, list[str]] = {}
    for text in texts:
        found.setdefault(key(text, MAX_DEPTH), []).append(text)
    return found


def key(text: str, depth: int) -> object:
    """Return what equal items have in common: the value of an exact number, the items of a list, else the text."""
    if (read := number(text)) is not None:
        return read.value if read.is_exact else text
    if not depth or (listed := items(text)) is None:
        return text
    keys = [key(item, depth - 1) for item in listed.texts]
    return _ListKey(
        listed.brackets, frozenset(Counter(keys).items()) if listed.brackets == SET else tuple(keys)
    )


class _ListKey(NamedTuple):
    brackets: str
    keys: frozenset[tuple[object, int]] | tuple[object, ...]


def is_certain(key: object) -> bool:
    """Tell whether items with other keys are other items: exact numbers, and lists of them."""
    if not isinstance(key, _ListKey):
        return isinstance(key, Fraction)
    keys = [each for each, _ in key.keys] if isinstance(key.keys, frozenset) else key.keys
    return all(map(is_certain, keys))


def all_matched(rows: list[list[Outcome]], fits: Sequence[Outcome]) -> bool:
    """Tell whether every row finds an item of its own: a bipartite matching by augmenting paths (Kuhn)."""
    owner: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for item, outcome in enumerate(rows[row]):
            if outcome in fits and item not in tried:
                tried.add(item)
                if item not in owner or place(owner[item], tried):
                    owner[item] = row
                    return True
        return False

    fixed = [row for row in rows if len(row) == 1]
    if any(row[0] not in fits for row in fixed):
        return False
    return all(place(number, set()) for number, row in enumerate(rows) if len(row) > 1)
