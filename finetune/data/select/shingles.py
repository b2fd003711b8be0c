"""Turn text into sets of hashed word groups, for every comparison of questions and solutions.

Two cuts. `words_of` reads a question: words and numbers, no marks. `solution_pieces` reads a solution: prose as
lower-case words, numbers and marks; programs as tokens without comments and layout, every name of the program's own
replaced by one sign, because renaming a variable makes no new program. Numbers stay: another number is another
exercise. Nothing is parsed as a program, so broken code is as good as any.
"""

import builtins
import hashlib
import keyword
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mumath_agent.transcript import Kind, Segment

Hashes = npt.NDArray[np.uint64]

_WORD = re.compile(r"[^\W\d_]+|\d+(?:,\d{3})*(?:\.\d+)?")
_PROSE = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?|[^\w\s]")
_TOKEN = re.compile(
    r"(?P<comment>#[^\n]*)"
    r"|\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    r"|\d[\w.]*|(?P<name>[^\W\d]\w*)(?P<call>\s*\()?|\S",
    re.DOTALL,
)
_KNOWN_NAMES = frozenset({*keyword.kwlist, *dir(builtins)})
_OWN_NAME = "_"
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


def words_of(text: str) -> list[str]:
    """Return the words and numbers of a question, as they are written; a thousands comma is left out."""
    return [word.replace(",", "") for word in _WORD.findall(text)]


def solution_pieces(segments: Iterable[Segment]) -> Iterator[str]:
    """Yield the pieces of a solution, programs by `code_pieces`."""
    for segment in segments:
        if segment.kind is Kind.CODE:
            yield from code_pieces(segment.text)
        else:
            yield from _PROSE.findall(segment.text.lower())


def code_pieces(code: str) -> Iterator[str]:
    """Yield a program's tokens; names that are neither Python's, nor called, nor an attribute are all alike."""
    after_dot = False
    for token in _TOKEN.finditer(code):
        name, call = token["name"], token["call"]
        if token["comment"]:
            continue
        if name is None:
            yield token.group()
        else:
            yield name if call or after_dot or name in _KNOWN_NAMES else _OWN_NAME
            if call:
                yield "("
        after_dot = token.group() == "."


def hashed(pieces: Iterable[str]) -> Hashes:
    """Return a hash for each piece, the same in every process."""
    return np.fromiter(map(_hash, pieces), dtype=np.uint64)


def groups(hashes: Hashes, size: int) -> Hashes:
    """Return a hash for each run of `size` pieces, in order; fewer than `size` pieces are one run."""
    size = min(size, len(hashes))
    if size == 0:
        return hashes
    runs = np.zeros(len(hashes) - size + 1, dtype=np.uint64)
    for offset in range(size):
        runs = (runs ^ hashes[offset : offset + len(runs)]) * _MULTIPLIER
        runs ^= runs >> _SHIFT
    return runs


def jaccard(a: Hashes, b: Hashes) -> float:
    """Return the share of the members of two sorted sets that both have; 1 for empty ones."""
    both = len(np.intersect1d(a, b, assume_unique=True))
    either = len(a) + len(b) - both
    return both / either if either else 1.0


@lru_cache(maxsize=1 << 18)
def _hash(piece: str) -> int:
    digest = hashlib.blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
