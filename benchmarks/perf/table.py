"""Print measurements as one table: ours, what it is compared with, and the target."""

import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from rich.console import Console
from rich.table import Table

PACKAGES = ("mumath-agent", "ipython", "ipykernel", "jupyter-client", "pyzmq", "numpy", "scipy", "sympy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measured quantity, a row of the table. For units that end in "/s" more is better, for others less."""

    what: str
    unit: str
    ours: float | None = None
    reference: float | None = None
    """What it is compared with in the same run: a stock kernel, rounds in lock step."""
    at_least: float | None = None
    """Target: at least this many times better than the reference."""
    limit: float | None = None
    """Target: the worst acceptable value, in the unit."""
    skipped: str = ""
    """Why it wasn't measured."""

    @property
    def ratio(self) -> float | None:
        """How many times better ours is; None if nothing is compared."""
        if not self.ours or not self.reference:
            return None
        return self.ours / self.reference if self._more_is_better else self.reference / self.ours

    @property
    def target(self) -> str:
        """The target in words; empty where there is none."""
        parts = []
        if self.at_least is not None:
            parts.append(f"{self.at_least:g}x")
        if self.limit is not None:
            parts.append(f"{'≥' if self._more_is_better else '≤'} {self.limit:g} {self.unit}")
        return " and ".join(parts)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is no target or no measurement."""
        if self.ours is None or not self.target:
            return None
        if self.limit is not None:
            good = self.ours >= self.limit if self._more_is_better else self.ours <= self.limit
            if not good:
                return False
        return self.at_least is None or (self.ratio is not None and self.ratio >= self.at_least)

    @property
    def _more_is_better(self) -> bool:
        return self.unit.endswith("/s")


def machine(isolation: str) -> dict[str, Any]:
    """Return what the numbers depend on; call it before measuring, for the load."""
    return {
        "isolation": isolation,
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
    }


def print_table(about: dict[str, Any], rows: Iterable[Measurement], console: Console) -> None:
    """Print the machine and the rows."""
    console.print(
        f"{about['cores']} cores, load before {about['load_before']}, {about['system']}, "
        f"isolation {about['isolation']!r}, {about['seconds']:.0f} s"
    )
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    console.print(f"Python {about['python']}, {packages}", soft_wrap=True)
    table = Table(
        "what",
        "ours",
        "reference",
        "ratio",
        "target",
        "met?",
        caption="ratio: times better than the reference",
    )
    for column in table.columns[1:4]:
        column.justify = "right"
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.1f}x"
        met = row.skipped or {None: "", True: "yes", False: "NO"}[row.met]
        style = "red" if row.met is False else ""
        ours, reference = (_shown(value, row.unit) for value in (row.ours, row.reference))
        table.add_row(row.what, ours, reference, ratio, row.target, met, style=style)
    console.print(table)


def row_to_json(row: Measurement) -> dict[str, Any]:
    """Return a row as JSON, with what follows from it."""
    measured = {"what": row.what, "unit": row.unit, "ours": row.ours, "reference": row.reference}
    judged = {"ratio": row.ratio, "target": row.target, "met": row.met, "skipped": row.skipped}
    return measured | judged


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"
