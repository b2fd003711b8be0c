"""Write a gold answer, spellings that equal it and near misses from patterns."""

import re
from dataclasses import dataclass

_VALUE = re.compile(r"<(\w+)>")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A gold answer, spellings that equal it, and answers that don't."""

    gold: str
    equal: tuple[str, ...]
    other: tuple[str, ...]


def drawn(gold: str, equal: str, other: str, /, **values: object) -> Drawn:
    """Fill in the patterns: `<n>` stands for a value, and ` | ` between two spellings."""

    def filled(pattern: str) -> str:
        return _VALUE.sub(lambda name: str(values[name[1]]), pattern)

    return Drawn(filled(gold), tuple(filled(equal).split(" | ")), tuple(filled(other).split(" | ")))


def signed(n: int) -> str:
    """Return a number with its sign, plus included."""
    return f"{n:+d}"
