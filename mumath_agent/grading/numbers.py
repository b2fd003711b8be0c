r"""Plain numbers, read and compared exactly.

A plain number is an integer, a decimal, a fraction, a mixed number, a power of two of these, or one with a percent
sign. It is read from its digits into a `Fraction`: no text is evaluated, and no power is larger than `_MAX_DIGITS`.

How two numbers compare is decided here for all methods. Integers and fractions are equal only if they are the same. A
decimal that is no integer may be a rounded or cut-off one: if it shows 4 or more significant digits, it equals what is
less than one unit of its last digit away. It equals no integer, but for the noise of floating point. "50%" is 50 with
its unit as well as 0.5. There is no ÷100 and no ×100 otherwise, and no relative tolerance: 542.08 is not 542.04.
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction

_MAX_DIGITS = 2000
_NOISE, _NOISE_OF_INTEGERS = Fraction(1, 10**9), Fraction(1, 10**5)
"""Relative. What programs print where they mean 18 is often 17.99999."""
_ROUNDED_DIGITS = 4
_ZERO = Fraction(1, 10**12)

_INTEGER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.\d*)?|\.\d+)"
_POWER = rf"{_DECIMAL}(?:\^(?:\d|\{{\d{{1,4}}\}}))?"
_SCIENTIFIC = re.compile(
    rf"({_DECIMAL})(?:[eE]([-+]?\d{{1,3}})|\s*(?:\\times|\\cdot)\s*10\^(?:(\d)|\{{(-?\d{{1,3}})\}}))?"
)
_RATIO = re.compile(rf"(-?{_POWER})/(-?{_POWER})|\\frac\{{(-?{_POWER})\}}\{{(-?{_POWER})\}}|({_POWER})")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\overline\{(\d{1,50})\}")
_MIXED = re.compile(r"(\d{1,9})(?:\s+(\d{1,9})/(\d{1,9})|\s*\\frac\{(\d{1,9})\}\{(\d{1,9})\})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number and how it was written."""

    value: Fraction
    percent: bool = False
    unit_in_last_place: Fraction | None = None
    """For a decimal that is no integer: the worth of its last digit. None: written exactly."""
    error: Fraction = Fraction(0)
    """How far, relative to its size, a value that was computed from an expression may be off."""

    def times(self, factor: Fraction) -> "Number":
        """The same number in a unit `factor` times smaller."""
        place = self.unit_in_last_place
        return replace(
            self, value=self.value * factor, unit_in_last_place=None if place is None else place * factor
        )


def number(text: str) -> Number | None:
    """The plain number that a normalised text is, or None."""
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
    """Whether both can be the same number, under the policy above."""
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
    """Whether `decimal` may be a rounded way to write `other`."""
    unit = decimal.unit_in_last_place
    if unit is None:
        return False
    if other.value == 0:
        return difference <= _ZERO  # 5.55e-17 is what Python makes of 0
    if other.value.denominator == 1 and not other.error:
        return difference <= _NOISE_OF_INTEGERS * size and difference < Fraction(1, 2)
    shows_enough = abs(decimal.value) / unit >= 10 ** (_ROUNDED_DIGITS - 1)
    return difference <= _NOISE * size or (shows_enough and difference < unit)


def _decimal(text: str) -> tuple[Fraction, Fraction | None] | None:
    """An integer or a decimal, with its power of ten, and the worth of its last digit if it is no integer."""
    match = _SCIENTIFIC.fullmatch(text)
    if match is None:
        return None
    digits = match[1].replace(",", "")
    scale = Fraction(10) ** int(match[2] or match[3] or match[4] or 0)
    value = _value(digits) * scale
    unit = scale / 10 ** len(digits.partition(".")[2])
    return value, unit if value.denominator != 1 else None


def _fraction(text: str) -> Fraction | None:
    """A fraction, a mixed number, a repeating decimal or a power."""
    if mixed := _MIXED.fullmatch(text):
        whole, part, parts = (int(digits) for digits in mixed.groups() if digits is not None)
        return whole + Fraction(part, parts) if parts else None
    if repeating := _REPEATING.fullmatch(text):
        whole_digits, fixed, period = repeating.groups()
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
