"""Make pairs of answers whose truth is known by construction: the same value in another spelling, or a near miss.

Each kind draws some values and writes a gold answer, spellings that equal it, and answers that look like it and aren't.
The truth follows from how they are made; no grader is asked. `grade-pairs --fuzz N` grades such pairs and prints false
equals and false unequals by kind.
"""

from collections.abc import Callable, Iterator
from itertools import cycle, islice
from random import Random

from benchmarks.grading import made_forms as forms
from benchmarks.grading import made_numbers as numbers
from benchmarks.grading import made_words as words
from benchmarks.grading.made import Drawn
from benchmarks.grading.pairs import ExpectedPair

KINDS: dict[str, Callable[[Random], Drawn]] = {
    draw.__name__.replace("_", " "): draw
    for draw in (
        numbers.integers,
        numbers.decimals,
        numbers.fractions,
        numbers.percentages,
        numbers.surds,
        numbers.multiples_of_pi,
        numbers.complex_numbers,
        numbers.scientific,
        numbers.huge_numbers,
        numbers.recurring_decimals,
        numbers.bases,
        forms.polynomials,
        forms.rational_functions,
        forms.logarithms,
        forms.trigonometric,
        forms.sets,
        forms.tuples,
        forms.intervals,
        forms.inequalities,
        forms.units,
        words.words,
        words.choices,
        words.counted_things,
        words.numbers_in_words,
        words.sentences,
        forms.ratios,
        forms.left_sides,
        forms.matrices,
        forms.lines,
        forms.times_of_day,
    )
}


def fuzzed(number: int, seed: int) -> tuple[ExpectedPair, ...]:
    """Return so many pairs, of all kinds in turn; the same seed gives the same pairs."""
    return tuple(islice(_pairs(Random(seed)), number))


def _pairs(random: Random) -> Iterator[ExpectedPair]:
    for line, (name, draw) in enumerate(cycle(KINDS.items()), start=1):
        made, is_equal = draw(random), random.choice((True, False))
        spellings = made.equal if is_equal else made.other
        pred = random.choice([each for each in spellings if each != made.gold])
        yield ExpectedPair(line=line, gold=made.gold, pred=pred, equal=is_equal, kind=name)
