"""Draw the numbers of stories, compute with them exactly, and write them (digits, words, commas, money)."""

import re
from collections.abc import Callable
from fractions import Fraction
from random import Random

from finetune.wordproblems.problem import NUMBER_WORDS

Value = int | Fraction
Draw = Callable[[Random, str], Value]

# Numbers of one story mostly share a size: textbooks compare 48 with 36, rarely 939 with 10.
SIZES: dict[str, tuple[int, int]] = {
    "small": (2, 20),
    "middle": (5, 99),
    "large": (50, 999),
    "huge": (1000, 9999),
}
SIZE_WEIGHTS = {"small": 30, "middle": 44, "large": 21, "huge": 5}

WORD_SHARE = 0.08
COMMA_SHARE = 0.3
_RANGE = re.compile(r"(\d+)-(\d+)(?:/(\d+))?")


def size_of(rng: Random) -> str:
    """Draw the size that the counts of one story share."""
    return rng.choices(tuple(SIZE_WEIGHTS), tuple(SIZE_WEIGHTS.values()))[0]


def _any(rng: Random, size: str) -> Value:
    low, high = SIZES[size if rng.random() < 0.8 else size_of(rng)]
    return rng.randint(low, high)


def _count(rng: Random, size: str) -> Value:
    """Draw a count that may be a single one; only for numbers whose noun agrees."""
    return 1 if rng.random() < 0.05 else _any(rng, size)


def _price(rng: Random, size: str) -> Value:
    """Draw a price: mostly whole, sometimes with cents."""
    if rng.random() < 0.7:
        return rng.randint(2, 40)
    cents = rng.choice((25, 50, 50, 75, 99, 5 * rng.randint(1, 19), rng.randint(1, 99)))
    return Fraction(100 * rng.randint(0 if cents > 20 else 1, 25) + cents, 100)


def _decimal(rng: Random, size: str) -> Value:
    """Draw a measure with one or two decimal places."""
    places = 10 if rng.random() < 0.75 else 100
    value = Fraction(rng.randint(places // 2, 20 * places), places)
    return value if value.denominator != 1 else value + Fraction(1, 2)


DRAWS: dict[str, Draw] = {
    "any": _any,
    "count": _count,
    "price": _price,
    "decimal": _decimal,
    "few": lambda rng, _: rng.randint(2, 9) if rng.random() < 0.8 else rng.randint(3, 14),
    "some": lambda rng, _: rng.randint(2, 30),
    "mid": lambda rng, _: rng.randint(10, 99),
    "group": lambda rng, _: rng.randint(2, 12) if rng.random() < 0.75 else rng.randint(10, 60),
    "big": lambda rng, _: rng.randint(100, 999) if rng.random() < 0.7 else rng.randint(1000, 9000),
    "hundreds": lambda rng, _: 100 * rng.randint(1, 40),
    "tally": lambda rng, _: (
        rng.randint(2, 25) if rng.random() < 0.5 else rng.randint(5, 99 if rng.random() < 0.85 else 600)
    ),
    "bill": lambda rng, _: rng.choice((5, 10, 20, 20, 50, 100)),
    "percent": lambda rng, _: 5 * rng.randint(1, 18) if rng.random() < 0.9 else rng.randint(2, 98),
    "year": lambda rng, _: rng.randint(1950, 2023),
}


def draw_of(kind: str) -> Draw:
    """Return the draw of a named range, or of `low-high` with an optional `/step`.

    Raises:
        ValueError: there is no such range.
    """
    match = _RANGE.fullmatch(kind)
    if match is None:
        if kind not in DRAWS:
            raise ValueError(f"no range {kind!r}; write low-high or one of {', '.join(DRAWS)}")
        return DRAWS[kind]
    low, high, step = int(match[1]), int(match[2]), int(match[3] or 1)
    if low > high or not step:
        raise ValueError(f"the range {kind!r} is empty")
    return lambda rng, _: rng.randrange(low, high + 1, step)


def operate(op: str, left: Value, right: Value) -> Value:
    """Apply one operation exactly; whole results stay `int`, which keeps drawing fast.

    Dividing by zero gives -1, which no schema accepts.
    """
    if op == "+":
        return left + right
    if op == "-":
        return left - right
    if op == "*":
        return left * right
    if op == "/":
        quotient = Fraction(left, right) if right else Fraction(-1)
        return quotient.numerator if quotient.denominator == 1 else quotient
    if not right:
        return -1
    return left // right if op == "//" else left % right


def written(rng: Random, value: Value, sign: str) -> tuple[str, str]:
    """Return a number as the question shows it, and its plain digits; `sign` is `$`, `#` or nothing."""
    if value.denominator != 1:
        digits = f"{float(value):.2f}"
        digits = digits if sign == "$" else digits.rstrip("0")
        return (f"${digits}" if sign == "$" else digits), digits
    digits = str(value)
    if sign == "$":
        return f"${_commas(rng, value)}", digits
    if not sign and 2 <= value <= 12 and rng.random() < WORD_SHARE:
        return NUMBER_WORDS[int(value)], digits
    return _commas(rng, value), digits


def _commas(rng: Random, value: Value) -> str:
    return f"{int(value):,}" if value >= 1000 and rng.random() < COMMA_SHARE else str(value)
