r"""Read what stands beside a number: `5\text{ cm}`, `\$5`, `20^\circ`, `3 apples`, `2 million`, `5 \pmod 7`, `2 P.M.`.

A unit or words that only one side has are ignored. If both sides name a unit of measurement, the quantities are
compared: 100 cm is 1 m, 5 cm isn't 5 m, and 5 cm isn't 5 cm^2. If both have other words, those of one must be among
those of the other: 3 boys aren't 3 girls, nor are 5 km north 5 km south, but 12 ways are 12 different ways.
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from mumath_agent.grading.notation import TEXT, without_text
from mumath_agent.grading.numbers import number


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit of measurement: its dimension ("" for what is merely counted), and its size in the basic unit."""

    dimension: str = ""
    factor: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A value, as text, and its unit."""

    text: str
    unit: Unit = Unit()
    scale: Fraction = Fraction(1)
    """The factor of a word such as "million"."""
    counted: tuple[str, ...] = ()
    """The words beside it that are no unit."""

    def factor(self, other: "Quantity") -> Fraction:
        """Return the factor for `text` before it is compared with `other`'s."""
        return self.scale * (self.unit.factor if other.unit.dimension else 1)

    def counts_other(self, other: "Quantity") -> bool:
        """Tell whether the words of the two say different things."""
        ours, theirs = (
            {word.removesuffix("s") for name in each.counted for word in name.casefold().split("/")}
            - _SAYING_NOTHING
            for each in (self, other)
        )
        return not (ours <= theirs or theirs <= ours)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clock:
    seconds: int
    """Since midnight."""
    is_marked: bool
    """Whether a.m. or p.m. is given."""
    has_minutes: bool
    has_seconds: bool


_TABLE = """
length 1/1000 mm millimeter millimetre
length 1/100 cm centimeter centimetre
length 1 m meter metre
length 1000 km kilometer kilometre
length 127/5000 in inch
length 381/1250 ft foot feet
length 1143/1250 yd yard
length 201168/125 mi mile
length^3 1/1000 l L liter litre
length^3 1/1000000 ml mL milliliter millilitre cc
mass 1/1000 mg milligram
mass 1 g gm gram
mass 1000 kg kilogram
mass 45359237/100000 lb pound
mass 45359237/1600000 oz ounce
time 1 s sec second
time 60 min minute
time 3600 h hr hour
time 86400 day
time 604800 week
month 1 month
month 12 year yr
money 1 dollar
money 1/100 cent ¢
euro 1 euro €
sterling 1 £
celsius 1 °C
fahrenheit 1 °F
radian 1 radian rad
speed 1397/3125 mph
speed 5/18 kph
"""
_PLURALS = {"inch": "inches", "foot": "feet"}
_UNITS = {
    name: Unit(dimension=dimension, factor=Fraction(factor))
    for dimension, factor, *names in (line.split() for line in _TABLE.split("\n") if line)
    for singular in names
    for name in (singular, _PLURALS.get(singular, singular + "s"))
}
_PARTS = (
    *("halves", "thirds", "quarters", "fifths", "sixths", "sevenths"),
    *("eighths", "ninths", "tenths", "elevenths", "twelfths"),
)
_SCALES = {name: Fraction(1, part) for part, name in enumerate(_PARTS, start=2)} | {
    "third": Fraction(1, 3),
    "quarter": Fraction(1, 4),
    "hundredths": Fraction(1, 100),
    "thousandths": Fraction(1, 1000),
    "hundred": Fraction(10**2),
    "thousand": Fraction(10**3),
    "million": Fraction(10**6),
    "billion": Fraction(10**9),
    "trillion": Fraction(10**12),
    "dozen": Fraction(12),
}
_COMPUTES = re.compile(
    r"and|or|to|by|half|over|times|squared|cubed|factorial|plus|minus|than|not|point|root|\w+teenths?"
)
_SAYING_NOTHING = frozenset(
    ("unit", "square", "cubic", "sq", "cu", "per", "of", "the", "a", "in", "total", "")
)
_PREFIX = re.compile(r"(-?)\s*(?:\\\$|(€|£))\s*")
_DEGREES = re.compile(r"\^\{\\circ\}\s*(?:\\(?:text|mathrm)\{)?([CF]?)\}?$")
_ANGLE_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
_MODULUS = re.compile(
    r"\\cdot\(\\?(?:bmod|mod)\s*(\d+)\)$|\s*(?:\\[pb]?mod|\(\\?(?:bmod|mod))\s*\{?(\d+)\}?\)?$"
)
_ORDINAL = re.compile(r"(?<=\d)(?:\^?\{?(?:\\(?:text|mathrm|textrm)\{)?(?:st|nd|rd|th)\}*)$")
_IN_TEXT = re.compile(rf"(?<=[\d}})%.a-z])\s*{TEXT}(?:\^\{{?(\d)\}}?)?$")
_IN_BRACES = re.compile(r"(?<=\d)\{([a-zA-Z]{2,})\}(?:\^\{?(\d)\}?)?$")
_IN_WORDS = re.compile(r"(?<=[\d}).%])\s*([a-zA-Z¢€£][a-zA-Z. /]*)(?:\^\{?(\d)\}?)?$")
_COMPOUND = re.compile(r"(?:\d+(?:\.\d+)?\s*[a-zA-Z]+[ ,]*){2,4}")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]+)")
_CLOCK = re.compile(r"(?:at )?(\d{1,2})(?::(\d\d)(?::(\d\d))?)?\s*(?:([ap])\.?\s?m\.?)?", re.IGNORECASE)
_HALF_DAY_S = 43_200


@lru_cache(maxsize=1024)
def quantity(text: str) -> Quantity:
    """Split a normalised text into value and unit; text that isn't a quantity comes back as it is."""
    if (total := _compound(text)) is not None:
        return total
    if modulus := _MODULUS.search(text):
        number_of_classes = modulus[1] or modulus[2]
        return Quantity(text=text[: modulus.start()], unit=Unit(dimension=f"modulo {number_of_classes}"))
    if sign := _PREFIX.match(text):
        named = _UNITS[sign[2] or "dollar"]
        return replace(_suffixed(sign[1] + text[sign.end() :]), unit=named)
    return _suffixed(text)


def is_same_time(answer: str, target: str) -> bool | None:
    """Tell whether two times of day are the same; None if neither has a.m. or p.m. and they aren't both like 3:30.

    3:30 may be a time or a ratio, and 1:20:30 is a ratio; 9 is a time of day beside 9 a.m.
    """
    one, other = _clock(answer), _clock(target)
    if not ((one and one.is_marked) or (other and other.is_marked)):
        both = one is not None and other is not None and one.has_minutes and other.has_minutes
        is_ratio = one is not None and other is not None and one.has_seconds and other.has_seconds
        return one == other if both and not is_ratio else None
    if one is None or other is None:
        return False
    early = min(one.seconds, other.seconds) <= _HALF_DAY_S
    is_sure = one.is_marked and other.is_marked
    return one.seconds == other.seconds or (
        not is_sure and early and not (one.seconds - other.seconds) % _HALF_DAY_S
    )


def _suffixed(text: str) -> Quantity:
    if ordinal := _ORDINAL.search(text):
        return Quantity(text=text[: ordinal.start()])
    if (degrees := _DEGREES.search(text)) and not _ANGLE_FUNCTION.search(text):
        named = _UNITS[f"°{degrees[1]}"] if degrees[1] else Unit()
        return Quantity(text=text[: degrees.start()].strip(), unit=named)
    found = _IN_TEXT.search(text) or _IN_BRACES.search(text) or _in_words(text)
    if found is None:
        return Quantity(text=text)
    return _measured(text[: found.start()].strip(), found[1], int(found[2] or 1)) or Quantity(text=text)


def _in_words(text: str) -> re.Match[str] | None:
    """Find plain letters after a value that are a unit, as in 5 cm, 5cm, 5 m and 3 apples; 5m and 5 x are products."""
    found = _IN_WORDS.search(text)
    if found is None:
        return None
    names = found[1].strip(" .").split(" ")
    spaced = text[found.start()] == " " or text[found.start() - 1] == "%"
    if number(text[: found.start()].strip()) is None:
        is_unit = len(names[-1]) >= 3 and names[-1].casefold() in _UNITS
    elif names[0] in _UNITS:
        is_unit = spaced or len(names[0]) >= 2
    else:
        is_unit = spaced and len(names[0]) >= 3
    return found if is_unit else None


def _measured(value: str, words: str, power: int) -> Quantity | None:
    """Return the quantity, or None if the words don't make one, as in "5 and a half"."""
    names = re.split(r"\s+", re.sub(r"[.,~]", " ", words).strip())
    scale = Fraction(1)
    while names and names[0].casefold() in _SCALES:
        scale *= _SCALES[names.pop(0).casefold()]
    if any(_COMPUTES.fullmatch(name) for name in names):
        return None
    unit, counted = _unit(names, power), names
    if unit.dimension:
        counted = []
    elif len(names) > 1 and names[0] in _UNITS and names[0] != "in":
        unit, counted = _UNITS[names[0]], names[1:]  # 3 km north
    return Quantity(text=value, unit=unit, scale=scale, counted=tuple(counted))


def _unit(names: list[str], power: int) -> Unit:
    whole = " ".join(names).replace(" per ", "/")
    above, slash, below = whole.partition("/")
    if not slash:
        return _simple_unit(names, power)
    one, other = _simple_unit(above.split(), 1), _simple_unit(below.split(), power)
    if not (one.dimension and other.dimension):
        return Unit()
    if (one.dimension, other.dimension) == ("length", "time"):
        return Unit(dimension="speed", factor=one.factor / other.factor)
    return Unit(dimension=f"{one.dimension}/{other.dimension}", factor=one.factor / other.factor)


def _simple_unit(names: list[str], power: int) -> Unit:
    powers = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
    if names and names[0].casefold() in powers:
        power, names = powers[names[0].casefold()], names[1:]
    if not names:
        return Unit()
    exact = _UNITS.get(names[0]) or _UNITS.get(names[0].casefold())
    if exact is None or len(names) > 1:
        return Unit()
    return exact if power == 1 else Unit(dimension=f"{exact.dimension}^{power}", factor=exact.factor**power)


def _compound(text: str) -> Quantity | None:
    """Return the sum that "2 hours 15 minutes" is, or None."""
    text = without_text(text)
    if not _COMPOUND.fullmatch(text):
        return None
    parts = [(Fraction(digits), _UNITS.get(name.casefold())) for digits, name in _PART.findall(text)]
    units = [unit for _, unit in parts if unit is not None]
    if len(units) < len(parts) or len({unit.dimension for unit in units}) > 1:
        return None
    if any(larger.factor <= smaller.factor for larger, smaller in pairwise(units)):
        return None
    total = sum(value * unit.factor for (value, _), unit in zip(parts, units, strict=True))
    return Quantity(text=str(total / units[-1].factor), unit=units[-1])


def _clock(text: str) -> _Clock | None:
    read = _CLOCK.fullmatch(without_text(text))
    if read is None:
        return None
    hours, minutes, seconds = (int(digits or 0) for digits in read.group(1, 2, 3))
    if hours > 24 or minutes > 59 or seconds > 59:
        return None
    if half := (read[4] or "").casefold():
        hours = hours % 12 + (12 if half == "p" else 0)
    return _Clock(
        seconds=hours * 3600 + minutes * 60 + seconds,
        is_marked=bool(half),
        has_minutes=bool(read[2]),
        has_seconds=bool(read[3]),
    )
