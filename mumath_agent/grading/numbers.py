"""Read plain numbers and compare them exactly.

A plain number is an integer, a decimal, a fraction, a mixed number, a power of two of these, or one with a percent
sign. It is read from its digits into a `Fraction`: no text is evaluated, and no power exceeds `_MAX_DIGITS` digits.

All methods compare two numbers by these rules. Integers and fractions are equal only if they are the same. A decimal
that isn't an integer may have been rounded or cut off: if it shows 4 or more significant digits, it equals whatever
rounds to it, or has its digits and more. It never equals an integer, which nobody has to round (5000.04 isn't 5000),
except for the noise of floating-point arithmetic: a program that means 24000 may print 24000.000000000004. "50%" is
both 50 with its unit and 0.5. Nothing else is divided or multiplied by 100, and there is no relative tolerance: 542.08
isn't 542.04.
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

_MAX_DIGITS = 2000
_NOISE = Fraction(1, 10**9)
"""A relative tolerance."""
_NOISE_OF_INTEGERS, _NOISE_DIGITS = Fraction(1, 10**6), 10
"""Noise is less than this, and what has it shows at least so many digits."""
_ROUNDED_DIGITS = 4
_ZERO = Fraction(1, 10**12)

_INTEGER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.\d*)?|\.\d+)"
_POWER = rf"{_DECIMAL}(?:\^(?:\d|\{{\d{{1,4}}\}}))?"
_SCIENTIFIC = re.compile(
    rf"({_DECIMAL})(?:[eE]([-+]?\d{{1,3}})|\s*(?:\\times|\\cdot)\s*10\^(?:(\d)|\{{(-?\d{{1,3}})\}}))?"
)
_RATIO = re.compile(rf"(-?{_POWER})/(-?{_POWER})|\\frac\{{(-?{_POWER})\}}\{{(-?{_POWER})\}}|({_POWER})")
_REPEATING = re.compile(r"(\d*)\.(\d*)(?:\\overline\{(\d{1,50})\}|\((\d{1,50})\))")
_MIXED = re.compile(r"(\d{1,9})(?:\s+(\d{1,9})/(\d{1,9})|\s*\\frac\{(\d{1,9})\}\{(\d{1,9})\})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number and how it was written."""

    value: Fraction
    percent: bool = False
    unit_in_last_place: Fraction | None = None
    """The value of the last digit, for a decimal that isn't an integer; None if the number is exact."""
    error: Fraction = Fraction(0)
    """The relative error of a value that was computed from an expression."""

    @property
    def is_exact(self) -> bool:
        """Whether it is an integer or a fraction, and neither a percentage nor computed."""
        return self.unit_in_last_place is None and not self.percent and not self.error

    def times(self, factor: Fraction) -> "Number":
        """Return the same number in a unit `factor` times smaller."""
        place = self.unit_in_last_place
        return replace(
            self, value=self.value * factor, unit_in_last_place=None if place is None else place * factor
        )


@lru_cache(maxsize=1024)
def number(text: str) -> Number | None:
    """Return the plain number that a normalised text is, or None."""
    if len(text) > _MAX_DIGITS:
        return None
    percent = text.endswith("%")
    digits = text.removesuffix("%").strip()
    sign = -1 if digits.startswith("-") else 1
    digits = digits[1:].strip() if digits[:1] in ("-", "+") else digits
    if (read := _decimal(digits)) is None and (value := _fraction(digits)) is not None:
        read = (value, None)
    if read is None:
        return None
    return Number(value=sign * read[0], percent=percent, unit_in_last_place=read[1])


def equal(answer: Number, target: Number) -> bool:
    """Tell whether both can be the same number, by the rules above."""
    if answer.percent is not target.percent:
        bare, marked = (target, answer) if answer.percent else (answer, target)
        return any(_close(bare, reading) for reading in (marked, marked.times(Fraction(1, 100))))
    return _close(answer, target)


def _close(one: Number, other: Number) -> bool:
    difference = abs(one.value - other.value)
    size = max(abs(one.value), abs(other.value))
    if difference <= max(one.error, other.error) * size:
        return True
    return any(_rounds(a, b, difference, size) for a, b in ((one, other), (other, one)))


def _rounds(decimal: Number, other: Number, difference: Fraction, size: Fraction) -> bool:
    """Tell whether `decimal` may be a rounded form of `other`."""
    unit = decimal.unit_in_last_place
    if unit is None:
        return False
    if other.value == 0:
        return difference <= _ZERO  # Python often computes 5.55e-17 where it means 0
    digits = abs(decimal.value) / unit
    if _is_integer(other):
        shows_noise = digits >= 10 ** (_NOISE_DIGITS - 1) and difference < _NOISE_OF_INTEGERS
        return shows_noise and difference <= _NOISE * size
    shows_enough = digits >= 10 ** (_ROUNDED_DIGITS - 1)
    is_cut = abs(decimal.value) < abs(other.value) and difference < unit
    return difference <= _NOISE * size or (shows_enough and (is_cut or difference <= unit / 2))


def _is_integer(number: Number) -> bool:
    """Tell whether a number is an integer; of one that was computed its digits tell."""
    nearest = round(number.value)
    return abs(number.value - nearest) <= _ZERO * abs(nearest)


def _decimal(text: str) -> tuple[Fraction, Fraction | None] | None:
    """Read an integer or a decimal, with its power of ten; return its value and, for a decimal, its last digit's."""
    match = _SCIENTIFIC.fullmatch(text)
    if match is None:
        return None
    digits = match[1].replace(",", "")
    scale = Fraction(10) ** int(match[2] or match[3] or match[4] or 0)
    value = _value(digits) * scale
    unit = scale / 10 ** len(digits.partition(".")[2])
    return value, unit if value.denominator != 1 else None


def _fraction(text: str) -> Fraction | None:
    """Read a fraction, a mixed number, a repeating decimal or a power."""
    if mixed := _MIXED.fullmatch(text):
        whole, part, parts = (int(digits) for digits in mixed.groups() if digits is not None)
        return whole + Fraction(part, parts) if parts else None
    if repeating := _REPEATING.fullmatch(text):
        whole_digits, fixed, lined, bracketed = repeating.groups()
        period = lined or bracketed
        repeated = Fraction(int(period), 10 ** len(period) - 1) + int(fixed or 0)
        return int(whole_digits or 0) + repeated / int(10 ** len(fixed))
    ratio = _RATIO.fullmatch(text)
    if ratio is None:
        return None
    above, below = [*filter(None, ratio.groups()), "1"][:2]
    numerator, denominator = _power(above), _power(below)
    return numerator / denominator if numerator is not None and denominator else None


def _power(text: str) -> Fraction | None:
    digits, _, exponent = text.removeprefix("-").replace(",", "").partition("^")
    times = int(exponent.strip("{}") or 1)
    if len(digits) * times > _MAX_DIGITS:
        return None
    value = _value(digits) ** times
    return -value if text.startswith("-") else value


def _value(digits: str) -> Fraction:
    whole, _, decimals = digits.partition(".")
    return Fraction(int(whole + decimals or "0"), 10 ** len(decimals))
