r"""Decide whether two expressions are equal, by numbers: random points first, then hundreds of digits.

This runs in the worker, which loads it by its path: it imports nothing of this package. Most wrong answers differ at
the first point, which costs microseconds; sympy's simplification, which costs milliseconds or never ends, isn't needed.

Variables are real. A point where only one of two expressions is real tells nothing: `\ln x^2y` is `2\ln x+\ln y`, which
makes sense only for positive numbers; nor does one with the root of a negative number on the way. Equal at random
points of a region is equal, because all functions known here are analytic almost everywhere.
"""

import cmath
import math
import random
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import sympy
from sympy.core.relational import Relational

_POINTS = 12
"""The first half of them is positive."""
_FEWEST = 3
_TOLERANCE = 1e-9
_MOST_SYMBOLS = 8
_EXACT_POINTS = (
    (sympy.Rational(13, 7), sympy.Rational(5, 11)),
    (sympy.Rational(3, 17), sympy.Rational(19, 9)),
)
"""Two numbers for two variables; a third takes another multiple."""
_DIGITS = (15, 60)
_AGREEING_DIGITS, _MOST_DIGITS = 150, 20_000
"""Numbers that agree in so many digits, and twice those of all integers in them, are equal."""
_FUNCTIONS: dict[Any, Callable[[complex], complex]] = {
    sympy.exp: cmath.exp,
    sympy.log: cmath.log,
    sympy.Abs: abs,
    sympy.sin: cmath.sin,
    sympy.cos: cmath.cos,
    sympy.tan: cmath.tan,
    sympy.cot: lambda z: 1 / cmath.tan(z),
    sympy.sec: lambda z: 1 / cmath.cos(z),
    sympy.csc: lambda z: 1 / cmath.sin(z),
    sympy.asin: cmath.asin,
    sympy.acos: cmath.acos,
    sympy.atan: cmath.atan,
    sympy.sinh: cmath.sinh,
    sympy.cosh: cmath.cosh,
    sympy.tanh: cmath.tanh,
}
_MIRRORED = {
    sympy.Equality: sympy.Equality,
    sympy.Unequality: sympy.Unequality,
    sympy.StrictGreaterThan: sympy.StrictLessThan,
    sympy.StrictLessThan: sympy.StrictGreaterThan,
    sympy.GreaterThan: sympy.LessThan,
    sympy.LessThan: sympy.GreaterThan,
}


class Undecided(Exception):
    """Numbers don't tell whether two expressions are equal."""


def same_numbers(one: Any, other: Any) -> bool | None:
    """Compare two exact numbers by ever more digits, until they differ or have agreed in more than can be chance.

    None: one of them isn't exact, or can't be evaluated.
    """
    one, other = one.doit(), other.doit()
    if one.has(sympy.Float) or other.has(sympy.Float):
        return None
    if one.is_Rational and other.is_Rational:
        return bool(one == other)
    sizes = [
        math.log10(abs(n.p) + 1) + math.log10(n.q) for e in (one, other) for n in e.atoms(sympy.Rational)
    ]
    most = min(_AGREEING_DIGITS + int(2 * sum(sizes)), _MOST_DIGITS)
    for digits in (*_DIGITS, most):
        ours, theirs = _evaluated(one, digits), _evaluated(other, digits)
        if ours is None or theirs is None:
            return None
        size = max(abs(part) for part in (*ours, *theirs))
        least = size * sympy.Float(10, digits) ** (4 - digits)
        if any(abs(a - b) > least for a, b in zip(ours, theirs, strict=True)):
            return False
    return True


def same_expressions(one: Any, other: Any) -> bool:
    """Compare expressions with variables, at points.

    Raises:
        Undecided: they can't be evaluated.
    """
    if one == other:
        return True
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    if not symbols or len(symbols) > _MOST_SYMBOLS or one.has(sympy.Float) or other.has(sympy.Float):
        raise Undecided
    real, others = _compared_at_points(one, other, symbols)
    if False in real or (not real and False in others):
        return False
    if len(real) < _FEWEST and len(others) < _FEWEST:
        raise Undecided
    for numbers in _EXACT_POINTS:
        point = {symbol: numbers[i % 2] * (1 + i // 2) for i, symbol in enumerate(symbols)}
        same = same_numbers(one.subs(point), other.subs(point))
        if same is None:
            raise Undecided
        if not same:
            return False
    return True


def same_relations(one: Any, other: Any) -> bool:
    """Tell whether equations or inequalities, or chains of them, are the same but for a factor: 2x>6 and 3<x.

    Raises:
        Undecided: they aren't, but may have the same solutions; only linear ones can't.
    """
    ours, theirs = (_relations(relation) for relation in (one, other))
    if not ours or not theirs:
        raise Undecided
    if len(ours) == len(theirs) and all(any(_same_relation(a, b) for b in theirs) for a in ours):
        return True
    if len(ours) == len(theirs) == 1 and _is_linear(ours[0][1]) and _is_linear(theirs[0][1]):
        return False
    raise Undecided


def _compared_at_points(one: Any, other: Any, symbols: list[Any]) -> tuple[list[bool], list[bool]]:
    """Return whether they are equal, for each point where both are real, and for each of the others."""
    real, others = list[bool](), list[bool]()
    for point in _points(symbols):
        unreal = list[Any]()
        try:
            a, b = _at(one, point, unreal), _at(other, point, unreal)
        except (ArithmeticError, ValueError):
            continue
        size = max(abs(a), abs(b))
        if not math.isfinite(size):
            continue
        is_equal = abs(a - b) <= _TOLERANCE * size or size < _TOLERANCE
        if not unreal:
            real.append(is_equal)
            if not is_equal:
                break
        else:
            others.append(is_equal)
    return real, others


def _points(symbols: list[Any]) -> Iterator[dict[Any, complex]]:
    """Yield points of numbers between 0.3 and 3, the same ones every time."""
    numbers = random.Random(len(symbols))
    for place in range(_POINTS):
        signs = (1,) if place < _POINTS // 2 else (1, -1)
        yield {symbol: complex(numbers.choice(signs) * numbers.uniform(0.3, 3.0)) for symbol in symbols}


def _at(expression: Any, point: dict[Any, complex], unreal: list[Any]) -> complex:
    """Return the value at a point; add to `unreal` what has no real value there.

    Raises:
        ArithmeticError, ValueError: there is none, or it is too large.
        Undecided: a part isn't known here.
    """
    value = _value_at(expression, point, unreal)
    if abs(value.imag) > _TOLERANCE * abs(value):
        unreal.append(expression)
    return value


def _value_at(expression: Any, point: dict[Any, complex], unreal: list[Any]) -> complex:
    if expression in point:
        return point[expression]
    if expression.is_Rational:
        return complex(expression.p / expression.q)
    if expression.is_NumberSymbol:
        return complex(float(expression))
    if expression is sympy.I:
        return 1j
    parts = [_at(part, point, unreal) for part in expression.args]
    if expression.is_Add:
        return sum(parts)
    if expression.is_Mul:
        return math.prod(parts, start=complex(1))
    if expression.is_Pow:
        exponent = expression.exp
        return parts[0] ** (int(exponent) if exponent.is_Integer and abs(exponent) < 10**6 else parts[1])
    if (function := _FUNCTIONS.get(expression.func)) is not None and len(parts) == 1:
        return complex(function(parts[0]))
    if expression.func is sympy.log and len(parts) == 2:  # with its base
        return cmath.log(parts[0]) / cmath.log(parts[1])
    if isinstance(expression, sympy.UnevaluatedExpr):
        return parts[0]
    raise Undecided


@lru_cache(maxsize=512)
def _evaluated(number: Any, digits: int) -> tuple[Any, Any] | None:
    """Return the real and imaginary part, 0 for one without any digit that is sure; None if there is no value."""
    parts = number.evalf(digits, maxn=max(digits, 100)).as_real_imag()
    if not all((part.is_Float or part.is_Rational) and part.is_finite for part in parts):
        return None
    # 3.3 bits are a digit
    real, imaginary = (
        sympy.Integer(0) if part.is_Float and part._prec < 3 * digits else part for part in parts
    )
    return real, imaginary


def _relations(relation: Any) -> list[tuple[Any, Any]]:
    """Return kind and left side of each, its right side 0; nothing for what isn't a relation."""
    parts = list(getattr(relation, "_unsorted_args", relation.args)) if _is_and(relation) else [relation]
    if not all(isinstance(part, Relational) and type(part) in _MIRRORED for part in parts):
        return []
    return [(type(part), (part.lhs - part.rhs).doit()) for part in parts]


def _is_linear(side: Any) -> bool:
    if side.has(sympy.Float) or not side.free_symbols:
        return False
    polynomial = side.as_poly(*side.free_symbols)
    return polynomial is not None and polynomial.total_degree() == 1


def _is_and(relation: Any) -> bool:
    return type(relation).__name__ == "And"


def _same_relation(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    """Tell whether one left side is the other's times a positive number, or times a negative one and mirrored."""
    ratio = sympy.cancel(one[1] / other[1]) if other[1] != 0 else sympy.Integer(0)
    if not ratio.is_number or not ratio.is_real or ratio == 0:
        return False
    return bool(one[0] is (other[0] if ratio > 0 else _MIRRORED[other[0]]))
