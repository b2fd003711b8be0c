"""Compare an answer with its target by their characters, and decide what a worker's report means.

This runs in our own process and evaluates nothing: text that has to be understood as mathematics is left to the worker.
The values of `Verdict.method`: "text" and "notation" compare spellings, "number" plain numbers, "value" numbers that
math-verify evaluated; "math-verify" is its own verdict, "list" compares items; "limit" and "worker" come without one.

A target that can't be read as mathematics, isn't a word either, and differs from the answer gives no verdict. An answer
that can't be read although the target can is wrong.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mumath_agent.grading.choices import choice
from mumath_agent.grading.lists import (
    SET,
    Items,
    as_interval,
    items,
    named_interval,
    nesting,
    point,
    split_label,
)
from mumath_agent.grading.matching import MAX_DEPTH, all_matched, is_certain, key, without_shared
from mumath_agent.grading.notation import (
    has_relation,
    is_letters,
    is_mathematics,
    is_words,
    normalised,
    spelling,
    without_capitals,
    without_text,
)
from mumath_agent.grading.numbers import Number, equal, number
from mumath_agent.grading.sides import has_letter, name_other_values, top_level, value_behind
from mumath_agent.grading.units import is_same_time, quantity
from mumath_agent.records import Outcome, Verdict

MAX_CHARS = 2000
"""Longer answers aren't graded: no gold answer comes near, and comparing can take quadratic time."""
MAX_NESTING = 60
"""The deepest brackets that are graded; the parser's time grows fast with them."""
MAX_CELLS = 2000
"""The most comparisons of items that sets may take; each may have to be compared with each of the other set."""

_VALUE = re.compile(r"-?\d{0,2000}\.?\d{0,60}(?:e[-+]?\d{1,5})?(?:/\d{1,2000})?")
_BASED = re.compile(r"-?\d[\da-fA-F.]*_\{?\d+\}?|-?[A-F][\dA-F]+_\{?1[1-6]\}?")
_SHORT_WORDS = ("no", "yes", "odd")
_RATIO_TERMS = 3
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\^\{\\circ\}")
_LOOSE_SPACE = re.compile(r"(?<!\d) | (?!\d)")
_BRACES = re.compile(r"[{}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An answer and a target for a worker to compare; an empty answer asks only whether the target can be read."""

    answer: str
    target: str
    alone: bool = False
    """The texts are as they were written, and only math-verify is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """A worker's findings on a pair."""

    equal: bool | None
    """The worker's verdict; None if it couldn't read one of the two, or one of two numbers isn't exact."""
    target_read: bool
    answer_value: tuple[str, str] | None
    """The real and imaginary part, in decimal digits or as a fraction, if it is a number."""
    target_value: tuple[str, str] | None
    read: str = ""
    """What math-verify, asked alone, takes the two for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """One row per item of the target; its cells are the comparisons with the items of the answer that may equal it."""

    cells: tuple[tuple["Step", ...], ...]


Step = Verdict | Pair | Rows
"""A verdict, or the comparisons that a worker has to make before there is one."""


def compare(answer: str | None, target: str) -> Step:
    """Return the verdict if characters are enough for one, else the comparisons for a worker."""
    if answer is None or not answer.strip():
        return Verdict(outcome=Outcome.NO_ANSWER, method="text")
    if answer.strip() == target.strip():
        return Verdict(outcome=Outcome.CORRECT, method="text")
    if (too_large := over_limit(answer, target)) is not None:
        return too_large
    one, other = number(answer.strip()), number(target.strip())
    if one is not None and other is not None:  # most are, and need no spelling
        return _verdict(equal(one, other), "number")
    return _compared(normalised(answer), normalised(target), MAX_DEPTH)


def over_limit(answer: str, target: str) -> Verdict | None:
    """Return why texts of this size aren't graded, or None if they are."""
    for name, text in (("answer", answer), ("target", target)):
        if len(text) > MAX_CHARS:
            return ungraded(
                "limit", f"the {name} has {len(text):,} characters; at most {MAX_CHARS:,} are graded"
            )
        if nesting(text) > MAX_NESTING:
            return ungraded("limit", f"the {name} has more than {MAX_NESTING} brackets in brackets")
    return None


def pairs(step: Step) -> Iterator[Pair]:
    """Yield the pairs that a worker has to compare before there is a verdict."""
    if isinstance(step, Pair):
        yield step
    elif isinstance(step, Rows):
        for row in step.cells:
            for cell in row:
                yield from pairs(cell)


def conclude(step: Step, verdicts: Mapping[Pair, Verdict]) -> Verdict:
    """Return the verdict that follows from the verdicts on `pairs(step)`."""
    if isinstance(step, Verdict):
        return step
    if isinstance(step, Pair):
        return verdicts[step]
    return _matched([[conclude(cell, verdicts).outcome for cell in row] for row in step.cells])


def verdict_on(pair: Pair, report: WorkerReport) -> Verdict:
    """Return the verdict that follows from a worker's report."""
    if pair.alone:
        if report.equal is None:
            return ungraded("math-verify", "it can't read both as mathematics")
        return _verdict(report.equal, "math-verify", report.read)
    answer, target = _valued(pair.answer, report.answer_value), _valued(pair.target, report.target_value)
    if answer is not None and target is not None:
        if report.equal is not None and _is_exact(pair.answer) and _is_exact(pair.target):
            return _verdict(report.equal, "value", f"{pair.answer} and {pair.target} as exact numbers")
        # math-verify rounds to 6 decimals, so 1/2^99 would equal 1/2^98.
        same = all(equal(one, other) for one, other in zip(answer, target, strict=True))
        return _verdict(same, "value", f"{pair.answer} and {pair.target} as numbers")
    if not report.target_read:
        return ungraded("math-verify", f"the target {pair.target[:100]} can't be read as mathematics")
    if report.equal is None:
        return _verdict(False, "math-verify", "can't be read as mathematics")
    return _verdict(report.equal, "math-verify")


def ungraded(method: str, detail: str) -> Verdict:
    """Return the verdict of a grader that couldn't decide."""
    return Verdict(outcome=Outcome.UNGRADED, method=method, detail=detail)


def _compared(answer: str, target: str, depth: int) -> Step:
    """Compare two normalised texts; the order of the steps is the policy."""
    if _is_same_spelling(answer, target):
        return _verdict(True, "notation")
    one, other = number(answer), number(target)
    if one is not None and other is not None:
        return _verdict(equal(one, other), "number")
    letter, right_letter = choice(without_text(answer)), choice(without_text(target))
    if letter and right_letter and not (len(answer) == len(target) == 1 and target.islower()):  # a variable
        return _verdict(letter == right_letter, "notation", "a choice")
    if name_other_values(answer, target):
        return _verdict(False, "notation", "the values of two things")
    answer, target = _without_labels(answer, target)
    answer, target = _with_intervals(answer, target)
    if depth < MAX_DEPTH and _is_set(answer) is not _is_set(target):
        return _verdict(False, "list", "a set and what isn't one")  # {{1}, {2}} isn't {1, 2}
    listed = _items(answer), _items(target)
    if depth and any(listed) and not (has_relation(answer) or has_relation(target)):
        return _lists(answer, listed[0], target, listed[1], depth)
    return _single(answer, target)


def _items(text: str) -> Items | None:
    r"""Return the items of a list; `\$1,234` has a comma, but isn't a list."""
    return items(text) if number(quantity(text).text) is None else None


def _lists(answer: str, listed: Items | None, target: str, wanted: Items | None, depth: int) -> Step:
    if listed is None or wanted is None:
        if number(answer if listed is None else target) is not None:
            return _verdict(False, "list", "a list and a number")
        if (r"\pm" in answer) is not (r"\pm" in target):
            return _verdict(False, "list", "both signs, and one value")
        return _single(answer, target)
    if SET in (listed.brackets, wanted.brackets) and "()" in (listed.brackets, wanted.brackets):
        listed, wanted = (point(listed) or listed), (point(wanted) or wanted)
    # Programs print their solutions in square brackets.
    is_open = wanted.brackets == SET and listed.brackets in ("[]", SET)
    if listed.brackets != wanted.brackets and not is_open:
        return _verdict(False, "notation", f"a list in {listed.brackets}, not in {wanted.brackets}")
    if len(listed.texts) != len(wanted.texts):
        return _verdict(False, "list", f"{len(listed.texts)} items for {len(wanted.texts)}")
    if not is_open:
        return _rows(
            [(_compared(*pair, depth - 1),) for pair in zip(listed.texts, wanted.texts, strict=True)]
        )
    left, missing = without_shared(listed.texts, wanted.texts)
    if all(is_certain(key(text, MAX_DEPTH)) for text in (*left, *missing)) and missing:
        return _verdict(False, "list", "an item without an equal")
    if sum(map(_size, left)) * sum(map(_size, missing)) > MAX_CELLS:
        return ungraded("limit", f"more than {MAX_CELLS:,} comparisons of items without order")
    return _rows([tuple(_compared(one, other, depth - 1) for one in left) for other in missing])


def _single(answer: str, target: str) -> Step:
    if (same_time := is_same_time(answer, target)) is not None:
        return _verdict(same_time, "notation", "times of day")
    if (ratio := _ratios(answer, target)) is not None:
        return ratio
    given, wanted = quantity(answer), quantity(target)
    if given.unit.dimension and wanted.unit.dimension and given.unit.dimension != wanted.unit.dimension:
        return _verdict(False, "notation", f"{given.unit.dimension} is not {wanted.unit.dimension}")
    if given.counts_other(wanted):
        return _verdict(False, "notation", f"{' '.join(given.counted)}, not {' '.join(wanted.counted)}")
    answer, target = without_text(given.text), without_text(wanted.text)
    factors = given.factor(wanted), wanted.factor(given)
    one, other = number(answer), number(target)
    if one is not None and other is not None:
        return _verdict(equal(one.times(factors[0]), other.times(factors[1])), "number")
    if factors[0] != factors[1]:
        answer, target = (_times(*both) for both in zip(factors, (answer, target), strict=True))
    if _is_same_spelling(answer, target):
        return _verdict(True, "notation")
    if _BASED.fullmatch(answer) or _BASED.fullmatch(target):
        same = _BRACES.sub("", answer).casefold() == _BRACES.sub("", target).casefold()
        return _verdict(same, "notation", "a numeral with a base equals only itself")
    return _asked(answer, target, other)


def _asked(answer: str, target: str, target_number: Number | None) -> Verdict | Pair:
    """Return the pair for a worker, unless it may not read one of the two."""
    if not is_mathematics(target) or target.casefold() in _SHORT_WORDS or is_letters(target):
        if is_words(target) or is_letters(target):
            return _verdict(False, "notation", "different words")
        return ungraded("notation", f"the target {target[:100]} can't be read as mathematics")
    equations = [len(top_level(text)) > 1 and not has_relation(text) for text in (answer, target)]
    if equations[0] is not equations[1]:
        told = "an equation, not a value" if equations[0] else "a value, not an equation"
        return _verdict(False, "notation", told)
    if answer.count("'") != target.count("'"):
        return _verdict(False, "notation", "a prime too many")  # math-verify drops them
    if is_mathematics(answer):
        answer, target = without_capitals(answer, target)
        return Pair(answer=_in_radians(answer), target=_in_radians(target))
    if target_number is not None:
        return _verdict(False, "notation", "can't be read as mathematics")
    return Pair(answer="", target=_in_radians(target))


def _is_same_spelling(answer: str, target: str) -> bool:
    if is_words(target):
        return spelling(answer) == spelling(target)
    return _LOOSE_SPACE.sub("", answer) == _LOOSE_SPACE.sub("", target)


def _without_labels(answer: str, target: str) -> tuple[str, str]:
    """Return both without `x=` or `f(2)=` if only one has it or both have the same."""
    given, wanted = split_label(answer), split_label(target)
    if not (given[0] and wanted[0] and given[0] != wanted[0]) and "=" not in (given[1] + wanted[1]):
        answer, target = given[1], wanted[1]
    sides, others = top_level(answer), top_level(target)
    if len(sides) > 1 and len(others) > 1:
        same = len(sides) == len(others) == 2 and sides[0] == others[0] and has_letter(sides[0])
        is_value = same and value_behind(answer) and value_behind(target)
        return (sides[1], others[1]) if is_value else (answer, target)
    if has_relation(answer) or has_relation(target):
        return answer, target
    return value_behind(answer) or answer, value_behind(target) or target


def _with_intervals(answer: str, target: str) -> tuple[str, str]:
    """Return inequalities as intervals, where only one of the two is an inequality, or both are of one variable."""
    if has_relation(answer) is not has_relation(target):
        return as_interval(answer) or answer, as_interval(target) or target
    given, wanted = named_interval(answer), named_interval(target)
    if given and wanted and given[0] == wanted[0]:
        return given[1], wanted[1]
    return answer, target


def _ratios(answer: str, target: str) -> Step | None:
    """Compare ratios of three numbers or more, 1:2:3 and 2:4:6; None if neither is one."""
    given, wanted = (top_level(text, ":") for text in (answer, target))
    if max(len(given), len(wanted)) < _RATIO_TERMS or not (all(given) and all(wanted)):
        return None
    if len(given) != len(wanted):
        return _verdict(False, "notation", f"a ratio of {len(wanted)}, not of {len(given)}")
    numbers = [number(text) for text in (*given, *wanted)]
    if all(numbers):
        values = [read.value for read in numbers if read]
        ours, theirs = values[: len(given)], values[len(given) :]
        is_same = all(a * theirs[0] == b * ours[0] for a, b in zip(ours, theirs, strict=True))
        return _verdict(is_same and any(ours) and any(theirs), "number", "ratios")
    if not all(map(is_mathematics, (*given, *wanted))):
        return None
    products = [
        (f"({a})\\cdot({wanted[0]})", f"({b})\\cdot({given[0]})") for a, b in zip(given, wanted, strict=True)
    ]
    return _rows([(Pair(answer=one, target=other),) for one, other in products[1:]])


def _times(factor: Fraction, text: str) -> str:
    return rf"\frac{{{factor.numerator}}}{{{factor.denominator}}}\cdot({text})"


def _is_exact(text: str) -> bool:
    return (plain := number(text)) is None or plain.is_exact


def _is_set(text: str) -> bool:
    return text.startswith(r"\{") and text.endswith(r"\}")


def _size(text: str) -> int:
    return 1 + text.count(",")


def _rows(cells: Sequence[tuple[Step, ...]]) -> Step:
    """Return the rows, or the verdict if no worker is needed."""
    if any(all(isinstance(c, Verdict) and c.outcome is Outcome.INCORRECT for c in row) for row in cells):
        return _verdict(False, "list", "an item without an equal")
    rows = Rows(cells=tuple(cells))
    return rows if any(pairs(rows)) else conclude(rows, {})


def _matched(rows: list[list[Outcome]]) -> Verdict:
    """Match each row with an equal item of its own; a rounded item may equal several, so the first may be wrong.

    A row of one cell is an item in a fixed place; it takes nothing from the others.
    """
    sure = (Outcome.CORRECT,)
    if all_matched(rows, sure):
        return _verdict(True, "list")
    if all_matched(rows, (*sure, Outcome.UNGRADED)):
        return ungraded("list", "an item has no verdict")
    return _verdict(False, "list", "an item without an equal")


def _in_radians(text: str) -> str:
    """Return `text` with angles in radians: math-verify drops the degree sign."""
    return _DEGREES.sub(r"(\\frac{\1\\pi}{180})", text)


def _valued(text: str, value: tuple[str, str] | None) -> tuple[Number, Number] | None:
    zero = Number(value=Fraction(0))
    if (plain := number(text)) is not None:
        return plain, zero
    # Only short exponents: Fraction("1e+99999999") would fill this process's memory.
    if value is None or not all(_VALUE.fullmatch(part) for part in value):
        return None
    return _computed(value[0]), _computed(value[1])


def _computed(digits: str) -> Number:
    if "." not in digits:
        return Number(value=Fraction(digits))
    shown = len(digits.partition("e")[0])
    return Number(value=Fraction(digits), error=Fraction(1, 10 ** max(shown - 6, 9)))


def _verdict(is_equal: bool, method: str, detail: str | None = None) -> Verdict:
    return Verdict(outcome=Outcome.CORRECT if is_equal else Outcome.INCORRECT, method=method, detail=detail)
