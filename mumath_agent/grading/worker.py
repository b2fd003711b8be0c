"""The process that reads answers as mathematics: `python -P worker.py SECONDS`, started and killed by `pool`.

Each line on stdin is a pair of LaTeX strings in JSON. For each it writes "started", so that the clock of the pair
does not count the import of sympy or the queue, and then its findings as one line of JSON. Only math-verify's LaTeX
reader is used: its other one hands text to sympy's `parse_expr`, which evaluates Python.

It ends when stdin does, and the system ends it (SIGPROF, unhandled) when it has computed for SECONDS on one pair, even
inside a C function that never returns to Python; so nothing is left over when the parent is killed. It imports nothing
of this package.
"""

import json
import logging
import os
import queue
import resource
import signal
import sys
import threading
from typing import Any

_MEMORY_BYTES = 4 * 2**30
_VALUE_DIGITS = 30


def main(seconds_per_pair: float) -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not look like a reply
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    pairs = _lines_until_end_of_input()
    logging.disable(logging.CRITICAL)  # math-verify warns that its own time limits are off
    _findings(
        "x+1", "1+x"
    )  # sympy and the parser load their parts when first used: before the first clock starts

    while True:
        pair = json.loads(pairs.get())
        print("started", file=replies, flush=True)
        signal.setitimer(signal.ITIMER_PROF, seconds_per_pair)
        findings = _findings(pair["answer"], pair["target"])
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(findings), file=replies, flush=True)


def _lines_until_end_of_input() -> "queue.Queue[str]":
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)  # the parent is gone or done

    threading.Thread(target=read, daemon=True).start()
    return lines


def _findings(answer: str, target: str) -> dict[str, Any]:
    from math_verify import verify

    try:
        answer_read, target_read = _read(answer), _read(target)
        if not answer_read or not target_read:
            return {"equal": None, "answer_value": _value(answer_read), "target_value": _value(target_read)}
        values = _value(answer_read), _value(target_read)
        # Two numbers are compared by their values, and verify could take for ever to simplify a difference.
        same = (
            None
            if None not in values
            else verify(target_read, answer_read, timeout_seconds=None, raise_on_error=True)
        )
        return {"equal": same, "answer_value": values[0], "target_value": values[1]}
    except (
        Exception
    ) as error:  # the boundary: sympy fails in every way there is, and that says nothing of the answer
        return {"error": f"{type(error).__name__}: {error}"[:200]}


def _read(latex: str) -> list[Any]:
    from math_verify import LatexExtractionConfig, parse

    reader = [LatexExtractionConfig(boxed_match_priority=0)]
    return list(parse(f"\\boxed{{{latex}}}", reader, parsing_timeout=None, fallback_mode="no_fallback"))


def _value(read: list[Any]) -> str | None:
    """The digits of what was read, if it is one finite real number of a size that can be written out."""
    if len(read) != 1 or not getattr(read[0], "is_number", False):
        return None
    number = read[0].evalf(_VALUE_DIGITS)
    if not (number.is_Float or number.is_Integer or number.is_Rational) or not number.is_finite:
        return None
    digits = str(number)
    exponent = digits.partition("e")[2]
    return digits if abs(int(exponent or 0)) < 1000 and len(digits) < 2 * _VALUE_DIGITS else None


if __name__ == "__main__":
    main(float(sys.argv[1]))
