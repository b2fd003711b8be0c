"""Measure how long a user waits at first: for the import of the library, `--help`, and one answer.

Each is a new process; an unmeasured one before it brings its files into the cache. The interpreter's own start is
measured as well and subtracted from the imports.
"""

import statistics
import subprocess
import sys
import time

from benchmarks.perf.table import Measurement

QUESTION = "What is 17 times 23?"


def measure(quick: bool) -> list[Measurement]:
    """Return all rows; `quick` does few of everything, only to see that it works."""
    times = 3 if quick else 15
    nothing = _median_ms(["-c", "pass"], times)
    imported, working = (
        max(_median_ms(["-c", f"import {module}"], times) - nothing, 0.0)
        for module in ("mumath_agent", "mumath_agent.agent.solver")
    )
    seen = _median_ms(["-m", "mumath_agent", "--help"], times)
    solved = _median_ms(["-m", "mumath_agent", "solve", QUESTION], times)
    return [
        Measurement(what="import mumath_agent", unit="ms", ours=imported, limit=150),
        Measurement(what="import mumath_agent.agent.solver, and with it LangGraph", unit="ms", ours=working),
        Measurement(what="mumath-agent --help", unit="ms", ours=seen, limit=300),
        Measurement(what="mumath-agent solve, the embedded model, from nothing", unit="ms", ours=solved),
    ]


def _median_ms(arguments: list[str], times: int) -> float:
    return statistics.median([_ms(arguments) for _ in range(times + 1)][1:])


def _ms(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return 1000 * (time.perf_counter() - started)
