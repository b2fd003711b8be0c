"""How a replay looks to a person: cells by cause, and every cell that differs; unexplained ones last and in full."""

from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.replay.cells import Difference
from benchmarks.replay.outputs import Cause

_TAIL_CHARS = 160


def counts(cells: int, rows: Iterable[Difference]) -> dict[Cause, int]:
    """Cells by cause, of `cells` in all."""
    found = Counter(row.cause for row in rows)
    found[Cause.EQUAL] = cells - found.total()
    return {cause: found[cause] for cause in Cause}


def print_report(solutions: int, cells: int, rows: list[Difference], console: Console) -> None:
    explained = [row for row in rows if row.cause is not Cause.OURS]
    if explained:
        console.print(_table(explained))
    for row in rows:
        if row.cause is Cause.OURS:
            console.print(_in_full(row))
    console.print(_summary(solutions, counts(cells, rows)))


def _summary(solutions: int, found: dict[Cause, int]) -> Table:
    table = Table("cause", "cells", "share", title=f"{solutions} solutions replayed")
    for column in table.columns[1:]:
        column.justify = "right"
    cells = max(1, sum(found.values()))
    for cause, number in found.items():
        style = "red" if cause is Cause.OURS and number else ""
        table.add_row(cause.value, str(number), f"{number / cells:.2%}", style=style)
    return table


def _table(rows: list[Difference]) -> Table:
    table = Table(
        "solution", "cell", "cause", "end of the code", "recorded", "ours", title="Explained differences"
    )
    for row in rows:
        # Text(), not str: brackets in code are no markup.
        shown = (Text(_tail(text)) for text in (row.code, row.recorded, row.ours))
        table.add_row(Text(row.id), str(row.cell), row.cause.value, *shown)
    return table


def _in_full(row: Difference) -> Text:
    parts = [("code", row.code), ("recorded", row.recorded), ("ours", row.ours)]
    body = "\n".join(f"--- {name}\n{text}" for name, text in parts)
    return Text(f"=== {row.id} cell {row.cell}: {row.cause.value}\n{body}\n")


def _tail(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _TAIL_CHARS else f"…{text[-_TAIL_CHARS:]}"
