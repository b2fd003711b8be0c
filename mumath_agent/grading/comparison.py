"""What can be said of an answer by looking at its characters, and what a worker's findings mean.

Runs in our own process and evaluates nothing: text that has to be understood as mathematics is left to the worker.
Names of methods, as they stand in `Verdict.method`: "text" and "notation" compare spellings, "number" plain numbers,
"value" numbers that math-verify evaluated, "math-verify" is its own verdict; "limit" and "worker" go with no verdict.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from mumath_agent.grading.notation import brackets, is_based, is_mathematics, normalised
from mumath_agent.grading.numbers import Number, equal, number
from mumath_agent.records import Outcome, Verdict

MAX_CHARS = 2000
"""Longer answers are not graded: no gold answer comes near, and comparing may take time that grows with its square."""

_VALUE = re.compile(r"-?\d{0,60}\.?\d{0,60}(?:e[-+]?\d{1,3})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An answer and its target, both normalised."""

    answer: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a worker found out about a pair."""

    equal: bool | None
    """math-verify's verdict; None: it could not read one of the two."""
    answer_value: str | None
    """Decimal digits, where it is a real number."""
    target_value: str | None


def decided(answer: str | None, target: str) -> Verdict | Pair:
    """The verdict if characters are enough for one, else the pair to give to a worker."""
    if answer is None or not answer.strip():
        return Verdict(outcome=Outcome.NO_ANSWER, method="text")
    for name, text in (("answer", answer), ("target", target)):
        if len(text) > MAX_CHARS:
            return ungraded(
                "limit", f"the {name} has {len(text):,} characters; at most {MAX_CHARS:,} are graded"
            )
    if answer.strip() == target.strip():
        return Verdict(outcome=Outcome.CORRECT, method="text")
    return _compared(Pair(answer=normalised(answer), target=normalised(target)))


def judged(pair: Pair, findings: Findings) -> Verdict:
    """The verdict that follows from what a worker found."""
    answer, target = _valued(pair.answer, findings.answer_value), _valued(pair.target, findings.target_value)
    if answer is not None and target is not None:
        # math-verify rounds to 6 decimals, so 1/2^99 would equal 1/2^98.
        return _verdict(equal(answer, target), "value", f"{pair.answer} and {pair.target} as numbers")
    if findings.equal is None:
        return _verdict(False, "math-verify", "not read as mathematics")
    return _verdict(findings.equal, "math-verify")


def ungraded(method: str, detail: str) -> Verdict:
    return Verdict(outcome=Outcome.UNGRADED, method=method, detail=detail)


def _compared(pair: Pair) -> Verdict | Pair:
    answer, target = pair.answer, pair.target
    if answer == target or (answer.casefold() == target.casefold() and not is_mathematics(target)):
        return _verdict(True, "notation")
    answer_number, target_number = number(answer), number(target)
    if answer_number is not None and target_number is not None:
        return _verdict(equal(answer_number, target_number), "number")
    if is_based(answer) or is_based(target):
        return _verdict(False, "notation", "a numeral that names its base equals only itself")
    kinds = brackets(answer), brackets(target)
    if all(kinds) and kinds[0] != kinds[1]:
        return _verdict(False, "notation", f"a list in {kinds[0]} is none in {kinds[1]}")
    if not (is_mathematics(answer) and is_mathematics(target)):
        return _verdict(False, "notation", "different words")
    return pair


def _valued(text: str, value: str | None) -> Number | None:
    if (plain := number(text)) is not None:
        return plain
    # A short exponent: Fraction("1e+99999999") would fill the memory of this process.
    if value is None or not _VALUE.fullmatch(value):
        return None
    return Number(value=Fraction(value), evaluated=True)


def _verdict(is_equal: bool, method: str, detail: str | None = None) -> Verdict:
    return Verdict(outcome=Outcome.CORRECT if is_equal else Outcome.INCORRECT, method=method, detail=detail)
