"""Say how much of everything a model is made of, and where its training rows come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """Rows that a teacher writes: seeds, augmentation, synthesis, selection."""

    seeds: int
    """Questions of each source."""
    samples: int
    """Programs a question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordProblems:
    """Rows of word problems whose programs are known: no teacher and no selection."""

    thought_rows: int
    """Rows of stage 1."""
    code_rows: int
    """Rows of stage 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Rows that are there already, for a model that is there already: it is made smaller, then trained on them."""

    start: str
    """Folder, GGUF file or hub name of the model."""
    data: tuple[str, str]
    """Files of the rows of stage 1 and of stage 2."""
    keep_text: tuple[str, ...] = ()
    """Files whose tokens are kept besides those of the rows; see `prune`."""
    min_count: int = 1
    keep_first: int = 0
    drop_layers: tuple[int, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the model is made from."""
        start = (Path(self.start),) if Path(self.start).is_file() else ()
        return (*start, *map(Path, self.data), *map(Path, self.keep_text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that decides what model is made."""

    rows: Synthesis | WordProblems | Given
    vocabulary: int = 0
    """Tokens of the tokenizer that is learned; a given model has one."""
    recipe: str
    """The recipe of both stages of training, by name."""
    held_out: int
    """Problems to measure with."""
    weights: str = "float16"
    """Precision of the embedded engine's weights."""


class Size(StrEnum):
    """The plans by name."""

    TINY = "tiny"
    SMALL = "small"
    EMBEDDED = "embedded"


PLANS: Mapping[Size, Plan] = {
    Size.TINY: Plan(rows=Synthesis(seeds=24, samples=2), vocabulary=600, recipe="tiny", held_out=8),
    Size.SMALL: Plan(rows=Synthesis(seeds=480, samples=2), vocabulary=1024, recipe="small", held_out=200),
    # Enough rows that no stage of training sees one twice.
    Size.EMBEDDED: Plan(
        rows=WordProblems(thought_rows=30_000, code_rows=100_000),
        vocabulary=2048,
        recipe="embedded",
        held_out=200,
    ),
}
"""tiny: does everything work? small: a model that solves some of its problems. embedded: the model that ships."""
