"""Measure how much of a benchmark is in a corpus, for model cards; nothing is dropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from finetune.data.select.contamination import Hit, Index, Likeness
from finetune.data.select.questions import benchmark_name, read_questions

NEARLY_SAME = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """The share of a benchmark that is in a corpus. All numbers but `corpus` count test questions."""

    benchmark: str
    questions: int
    short: int
    """Those with too few words to be recognised otherwise than whole."""
    ngram: int
    masked: int
    similar: int
    nearly_same: int
    """Those with a similarity of at least 0.95."""
    touched: int
    """Those found by any of the three tests."""
    corpus: int
    """Questions of the corpus that would be dropped on account of this benchmark."""


def overlap(corpus: Sequence[str], benchmarks: Sequence[Path]) -> list[Overlap]:
    """Compare the questions of a corpus with those of benchmarks' files.

    Raises:
        InputError: a file can't be read.
    """
    read = {path: read_questions(path) for path in benchmarks}
    index = Index([question for questions in read.values() for question in questions])
    hits = index.hits(corpus)
    found: list[Overlap] = []
    start = 0
    for path, questions in read.items():
        members = range(start, start + len(questions))
        found.append(_overlap(benchmark_name(path), members, index, hits))
        start = members.stop
    return found


def _overlap(name: str, members: range, index: Index, hits: Sequence[tuple[Hit, ...]]) -> Overlap:
    """`members` are the positions of the benchmark's questions in the index."""
    own = [hit for each in hits for hit in each if hit.position in members]

    def count(likeness: Likeness, at_least: float = 0.0) -> int:
        return len({hit.position for hit in own if hit.likeness is likeness and hit.score >= at_least})

    return Overlap(
        benchmark=name,
        questions=len(members),
        short=sum(index.is_short(position) for position in members),
        ngram=count(Likeness.NGRAM),
        masked=count(Likeness.MASKED),
        similar=count(Likeness.SIMILAR),
        nearly_same=count(Likeness.SIMILAR, NEARLY_SAME),
        touched=len({hit.position for hit in own}),
        corpus=sum(any(hit.position in members for hit in each) for each in hits),
    )


def overlap_table(found: Sequence[Overlap]) -> Table:
    """Return a table with a row for each benchmark."""
    table = Table("benchmark", box=None, pad_edge=False)
    headings = ("questions", "ngram", "masked", "≥ .8", "≥ .95", "any", "share", "in corpus", "short")
    for heading in headings:
        table.add_column(heading, justify="right")
    for each in found:
        counts = (each.ngram, each.masked, each.similar, each.nearly_same, each.touched)
        share = f"{100 * each.touched / each.questions:.2f} %"
        numbers = [f"{count:,}" for count in (each.questions, *counts)]
        table.add_row(each.benchmark, *numbers, share, f"{each.corpus:,}", f"{each.short:,}")
    return table
