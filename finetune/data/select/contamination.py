"""Find questions that are a benchmark's test questions, or nearly.

Three tests, each against every question of the benchmarks; one hit is enough.

    ngram     13 words in a row are the same; a shorter test question counts whole
    masked    of the runs of 8 words of the test question, numbers and names masked, at least half are there
    similar   the sets of words, numbers and names left out, have a Jaccard similarity of at least 0.8

The first is what the large models' reports use. A single masked run of 8 proves nothing in grade-school mathematics
("how much money does he have left …"): one in six of GSM8K's test questions shares one with some training question
of GSM8K, nearly always a phrase of the trade; hence the share. The third catches what was reworded, its names and
numbers changed. Test questions of few words are recognised only whole, since "What is 3 times 4?" without its
numbers is in every set.

A name is a capitalised word that no test question has in lower case; so the verdict on a question depends on it and on
the benchmarks, not on what else is in the corpus. Translations and paraphrases in other words are not found.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import sparse

from finetune.data.select.questions import NamedQuestion
from finetune.data.select.shingles import Hashes, groups, hashed, words_of

_NUMBER, _NAME = "0", "A"
_BATCH = 256
"""Questions compared at a time: the table of what they share with all test questions is a few dozen MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The limits from which on a question counts as a benchmark's."""

    ngram: int = 13
    """Words in a row."""
    masked_ngram: int = 8
    masked_share: float = 0.5
    """Share of the test question's masked runs."""
    similar: float = 0.8
    few_words: int = 8
    """A test question with fewer different words, numbers and names left out, is recognised only whole."""


class Likeness(StrEnum):
    """The test that found a hit; see the module."""

    NGRAM = "ngram"
    MASKED = "masked"
    SIMILAR = "similar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A test question that a question is too close to."""

    position: int
    """The test question's place in the index."""
    likeness: Likeness
    score: float
    """The share of its runs that were found, or the similarity."""


class Index:
    """The test questions of all benchmarks, ready to be compared with."""

    def __init__(self, questions: Sequence[NamedQuestion], thresholds: Thresholds | None = None) -> None:
        """Hash the questions' words once, for all comparisons."""
        self.questions = tuple(questions)
        self.thresholds = thresholds or Thresholds()
        texts = [words_of(question.text) for question in questions]
        self._lower = frozenset(word for words in texts for word in words if word.islower())
        masked = [self._masked(words) for words in texts]
        bags = [_bag(words) for words in masked]
        self._short = np.array([len(bag) < self.thresholds.few_words for bag in bags], dtype=bool)
        self._literal_runs = _Runs([self._literal(words) for words in texts])
        self._masked_runs = _Runs(
            [
                self._runs(words) if len(bag) >= self.thresholds.few_words else _NONE
                for words, bag in zip(masked, bags, strict=True)
            ]
        )
        self._columns = {word: column for column, word in enumerate(sorted(set().union(*bags)))}
        self._sizes = np.array([len(bag) for bag in bags])
        self._table = self._rows(bags).T.tocsr()

    def is_short(self, position: int) -> bool:
        """Return whether a test question is recognised only whole."""
        return bool(self._short[position])

    def hits(self, texts: Sequence[str]) -> list[tuple[Hit, ...]]:
        """Return the hits of each text: by likeness, then by position."""
        found: list[tuple[Hit, ...]] = []
        for start in range(0, len(texts), _BATCH):
            batch = [words_of(text) for text in texts[start : start + _BATCH]]
            masked = [self._masked(words) for words in batch]
            similar = self._similar(masked)
            for words, hidden, likes in zip(batch, masked, similar, strict=True):
                literal = self._literal_runs.found(self._literal(words), at_least=0.0)
                runs = self._masked_runs.found(self._runs(hidden), at_least=self.thresholds.masked_share)
                found.append((*_hits(Likeness.NGRAM, literal), *_hits(Likeness.MASKED, runs), *likes))
        return found

    def _literal(self, words: list[str]) -> Hashes:
        return np.unique(groups(hashed(word.lower() for word in words), self.thresholds.ngram))

    def _runs(self, masked: list[str]) -> Hashes:
        return np.unique(groups(hashed(masked), self.thresholds.masked_ngram))

    def _masked(self, words: list[str]) -> list[str]:
        return [self._mask(word) for word in words]

    def _mask(self, word: str) -> str:
        if word[0].isdigit():
            return _NUMBER
        lower = word.lower()
        return _NAME if word != lower and lower not in self._lower else lower

    def _similar(self, masked: Sequence[list[str]]) -> list[list[Hit]]:
        bags = [_bag(words) for words in masked]
        common = (self._rows(bags) @ self._table).tocoo()
        sizes = np.array([len(bag) for bag in bags])
        similarity = common.data / (sizes[common.row] + self._sizes[common.col] - common.data)
        is_hit = (similarity >= self.thresholds.similar) & ~self._short[common.col]
        hits: list[list[Hit]] = [[] for _ in bags]
        for row, column, score in sorted(
            zip(
                common.row[is_hit].tolist(),
                common.col[is_hit].tolist(),
                similarity[is_hit].tolist(),
                strict=True,
            )
        ):
            hits[row].append(Hit(position=column, likeness=Likeness.SIMILAR, score=score))
        return hits

    def _rows(self, bags: Sequence[frozenset[str]]) -> sparse.csr_array:
        """Return a table with a row for each text and a column for each word that some test question has."""
        known = [sorted(self._columns[word] for word in bag if word in self._columns) for bag in bags]
        starts = np.cumsum([0, *map(len, known)])
        columns = np.array([column for row in known for column in row], dtype=np.int64)
        ones = np.ones(len(columns), dtype=np.int32)
        return sparse.csr_array((ones, columns, starts), shape=(len(bags), len(self._columns)))


class _Runs:
    """The runs of words of many texts, to be looked up."""

    def __init__(self, runs: Sequence[Hashes]) -> None:
        """Sort the runs; `runs` are sets, one a text."""
        self._sizes = [len(each) for each in runs]
        owners = np.repeat(np.arange(len(runs)), self._sizes)
        every = np.concatenate([_NONE, *runs])
        order = np.argsort(every, kind="stable")
        self._every, self._owners = every[order], owners[order]

    def found(self, runs: Hashes, *, at_least: float) -> list[tuple[int, float]]:
        """Return the texts that share runs with a text, and the share of their runs which it has, in order."""
        starts = np.searchsorted(self._every, runs, side="left")
        ends = np.searchsorted(self._every, runs, side="right")
        counts: Counter[int] = Counter()
        for start, end in zip(starts[starts < ends].tolist(), ends[starts < ends].tolist(), strict=True):
            counts.update(self._owners[start:end].tolist())
        shares = ((owner, count / self._sizes[owner]) for owner, count in sorted(counts.items()))
        return [(owner, share) for owner, share in shares if share >= at_least]


_NONE: Hashes = np.zeros(0, dtype=np.uint64)


def _bag(masked: list[str]) -> frozenset[str]:
    return frozenset(masked) - {_NUMBER, _NAME}


def _hits(likeness: Likeness, found: list[tuple[int, float]]) -> list[Hit]:
    return [Hit(position=position, likeness=likeness, score=share) for position, share in found]
