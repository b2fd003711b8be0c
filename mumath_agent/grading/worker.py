"""Read answers as mathematics, in a process that `pool` starts and kills: `python -P worker.py SECONDS`.

Each line on stdin is a JSON list of pairs of LaTeX strings, each with whether math-verify alone is asked. For each line
the worker writes "started", so that the clock doesn't count the import of sympy or the queue, and then its report on
each pair as a line of JSON. Only math-verify's LaTeX reader is used: its other one passes text to sympy's `parse_expr`,
which evaluates Python.

It ends when stdin does. The system ends it when it has computed for SECONDS on one pair (SIGPROF, unhandled) and, on
Linux, when its parent has ended, even inside a C function that never returns to Python. It imports nothing of this
package.
"""

import ctypes
import importlib.util
import json
import logging
import os
import queue
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

_LIMITS_PER_LINE = 5
"""The comparisons of one answer together may take so many times the limit of one."""
_MEMORY_BYTES = 4 * 2**30
_PR_SET_PDEATHSIG = 1
_SHOWN_CHARS = 60
_VALUE_DIGITS, _FLOAT_DIGITS = 30, 15
"""A number that was read as a float has 15 digits."""
_EXACT_BITS, _LARGEST_EXPONENT = 6000, 20_000
"""Larger numbers aren't written out, but left to math-verify."""


def main(seconds: float) -> None:
    """Answer lines of pairs until stdin ends; each pair may take `seconds` of CPU time."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not look like a reply
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    lines = _lines_until_end_of_input()
    logging.disable(logging.CRITICAL)  # math-verify warns that its own time limits are off
    # sympy and the parser load their parts on first use: do that before the first clock starts.
    _report("x+1", "1+x", False)

    while True:
        asked = json.loads(lines.get())
        print("started", file=replies, flush=True)
        end = time.process_time() + _LIMITS_PER_LINE * seconds
        for answer, target, alone in asked:
            signal.setitimer(signal.ITIMER_PROF, seconds)
            report = _report(answer, target, alone) if time.process_time() < end else {"late": True}
            signal.setitimer(signal.ITIMER_PROF, 0)
            print(json.dumps(report), file=replies, flush=True)


def _lines_until_end_of_input() -> "queue.Queue[str]":
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)  # the parent is gone or done

    threading.Thread(target=read, daemon=True).start()
    return lines


def _report(answer: str, target: str, alone: bool) -> dict[str, Any]:
    try:
        if alone:
            return _second_opinion(answer, target)
        read, wanted = _read_both(answer, target)
        values = _value(read), _value(wanted)
        return {
            "equal": _same(read, wanted, None not in values) if read and wanted else None,
            "target_read": bool(wanted),
            "answer_value": values[0],
            "target_value": values[1],
        }
    except Exception as error:  # a boundary: sympy fails in many ways that say nothing about the answer
        return {"error": f"{type(error).__name__}: {error}"[:200]}


def _second_opinion(answer: str, target: str) -> dict[str, Any]:
    """Report what math-verify says with its own settings, of the texts as they are."""
    from math_verify import LatexExtractionConfig, parse, verify

    reader = [LatexExtractionConfig(boxed_match_priority=0)]
    read, wanted = (
        parse(f"\\boxed{{{text}}}", reader, parsing_timeout=None, fallback_mode="no_fallback")
        for text in (answer, target)
    )
    equal = verify(wanted, read, timeout_seconds=None, raise_on_error=True) if read and wanted else None
    seen = " and ".join(str(each[0])[:_SHOWN_CHARS] for each in (read, wanted) if each)
    values = {"answer_value": None, "target_value": None}
    return {"equal": equal, "target_read": bool(wanted), "read": f"as {seen}", **values}


def _same(read: tuple[Any, ...], wanted: tuple[Any, ...], are_numbers: bool) -> bool | None:
    """Return the verdict, None for numbers that aren't exact, which are compared by the digits they show."""
    import sympy

    equality = _beside("equality")
    if len(read) == len(wanted) == 1:
        one, other = read[0], wanted[0]
        if are_numbers:
            same: bool | None = equality.same_numbers(_with_imaginary_unit(one), _with_imaginary_unit(other))
            return same
        if isinstance(one, sympy.Expr) and isinstance(other, sympy.Expr):
            with suppress(equality.Undecided):
                return bool(equality.same_expressions(_exact(one), _exact(other)))
        else:
            with suppress(equality.Undecided):
                return bool(equality.same_relations(one, other))
    return _verified(list(read), list(wanted))


@cache
def _beside(name: str) -> Any:
    """Return a module beside this file; its folder isn't where modules are looked for."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _verified(read: list[Any], wanted: list[Any]) -> bool:
    """Return math-verify's verdict, also with floats as fractions, because it takes 1.0x for something else than x."""
    from math_verify import verify

    return any(
        verify(two, one, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True)
        for one, two in ((read, wanted), ([_exact(e) for e in read], [_exact(e) for e in wanted]))
    )


def _read_both(answer: str, target: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return what both are, read by one reader: the two write some things differently."""
    plain = _read_plain(answer), _read_plain(target)
    if plain[0] is not None and plain[1] is not None:
        return plain[0], plain[1]
    return _read(answer), _read(target)


@lru_cache(maxsize=256)
def _read_plain(latex: str) -> tuple[Any, ...] | None:
    reader = _beside("reader")
    try:
        found: tuple[Any, ...] = reader.read(latex)
    except reader.Unread:
        return None
    return found


@lru_cache(maxsize=256)
def _read(latex: str) -> tuple[Any, ...]:
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    # Without its handling of units, by which 3m is 3.
    spelling = NormalizationConfig(units=False, malformed_operators=True, nits=True)
    reader = [LatexExtractionConfig(boxed_match_priority=0, normalization_config=spelling)]
    found = parse(f"\\boxed{{{latex}}}", reader, parsing_timeout=None, fallback_mode="no_fallback")
    return tuple(found)


def _value(read: tuple[Any, ...]) -> tuple[str, str] | None:
    """Return the real and imaginary part if one finite number is read that can be written out."""
    import sympy

    if len(read) != 1 or not isinstance(read[0], sympy.Expr):
        return None
    return _value_of(read[0])


@lru_cache(maxsize=256)
def _value_of(expression: Any) -> tuple[str, str] | None:
    import sympy

    expression = _with_imaginary_unit(expression)
    if not expression.is_number:
        return None
    expression = expression.doit()
    parts = expression.as_real_imag() if expression.has(sympy.I) else (expression, sympy.Integer(0))
    real, imaginary = (_digits(part, chop=expression.has(sympy.I)) for part in parts)
    return None if real is None or imaginary is None else (real, imaginary)


def _with_imaginary_unit(expression: Any) -> Any:
    import sympy

    return expression.subs({symbol: sympy.I for symbol in expression.free_symbols if symbol.name == "i"})


def _digits(number: Any, chop: bool) -> str | None:
    import sympy

    exact = number.doit()
    if exact.is_Rational and max(abs(exact.p), exact.q).bit_length() < _EXACT_BITS:
        return str(exact)
    number = exact.evalf(_FLOAT_DIGITS if number.has(sympy.Float) else _VALUE_DIGITS, chop=chop)
    if not (number.is_Float or number.is_Rational) or not number.is_finite:
        return None
    digits = str(number)
    return digits if abs(int(digits.partition("e")[2] or 0)) < _LARGEST_EXPONENT else None


def _exact(expression: Any) -> Any:
    import sympy

    floats = getattr(expression, "atoms", lambda _: ())(sympy.Float)
    return expression.xreplace({f: sympy.Rational(str(f)) for f in floats}) if floats else expression


if __name__ == "__main__":
    main(float(sys.argv[1]))
