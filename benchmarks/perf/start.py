"""Measure how long a user waits at first: for the import of the library, `--help`, and one answer.

Each is a new process, beside one that imports LangGraph's graphs and does nothing with them; `import langgraph` alone
imports nothing, since that is a namespace. All are started in turns, after an unmeasured turn that brings the files
into the cache.
"""

import statistics
import subprocess
import sys
import time

from benchmarks.perf.table import Measurement

QUESTION = "What is 17 times 23?"
REFERENCE = ("-c", "import langgraph.graph")
STARTS = {
    "Python alone": ("-c", "pass"),
    "import mumath_agent": ("-c", "import mumath_agent"),
    "import mumath_agent.agent.graph, and with it LangGraph": ("-c", "import mumath_agent.agent.graph"),
    "mumath-agent --help": ("-m", "mumath_agent", "--help"),
    "mumath-agent solve, the embedded model, from nothing": ("-m", "mumath_agent", "solve", QUESTION),
}
LIMITS_MS = {
    "mumath-agent --help": 300,
    "mumath-agent solve, the embedded model, from nothing": 3000,
}
"""Targets on a quiet machine."""


def measure(quick: bool) -> list[Measurement]:
    """Return all rows; `quick` does few of everything, only to see that it works."""
    turns = 1 if quick else 15
    took: dict[tuple[str, ...], list[float]] = {start: [] for start in (REFERENCE, *STARTS.values())}
    for _ in range(turns + 1):
        for start, times in took.items():
            times.append(_ms(start))
    reference, *ours = (statistics.median(times[1:]) for times in took.values())
    return [
        Measurement(what=what, unit="ms", ours=own, reference=reference, limit=LIMITS_MS.get(what))
        for what, own in zip(STARTS, ours, strict=True)
    ]


def _ms(arguments: tuple[str, ...]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return 1000 * (time.perf_counter() - started)
