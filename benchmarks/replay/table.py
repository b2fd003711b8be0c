"""Print a replay for a person: each cell and verdict that differs, then cells by cause, then the figures.

Cells that differ without an explanation stand last among the cells, and in full.
"""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.replay.cells import CellDifference
from benchmarks.replay.outputs import DifferenceCause
from benchmarks.replay.summary import ReplayMode, ReplayReport, VerdictFlip

_TAIL_CHARS = 160


def print_report(report: ReplayReport, console: Console) -> None:
    """Print a replay."""
    explained = [row for row in report.differences if row.cause is not DifferenceCause.OURS]
    if explained:
        console.print(_differences(explained))
    for row in report.differences:
        if row.cause is DifferenceCause.OURS:
            console.print(_in_full(row))
    if report.flips:
        console.print(_flips(report.flips))
    for answer in report.ungraded:
        console.print(Text(f"not graded: {answer.id}: {_tail(answer.answer or '')} ({answer.detail})"))
    console.print(_causes(report))
    console.print(_figures(report))


def _figures(report: ReplayReport) -> Table:
    ours = "our answers" if report.mode is ReplayMode.AGENT else "the recorded answers"
    table = Table.grid(padding=(0, 2))
    table.add_row("accuracy", f"{_percent(report.accuracy)}, of {ours}")
    table.add_row("published", f"{_percent(report.published)}, the recorded answers as our grader sees them")
    if report.paper:
        table.add_row("paper", f"{report.paper.figure} %, {report.paper.source}")
    table.add_row("cells", f"{report.agreement:.2%} of {report.cells} equal or excused")
    table.add_row("time", f"{report.seconds:g} s")
    return table


def _causes(report: ReplayReport) -> Table:
    table = Table(
        "cause", "cells", "share", title=f"{report.solutions} solutions replayed, {report.mode.value}"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for cause, number in report.counts.items():
        style = "red" if cause is DifferenceCause.OURS and number else ""
        table.add_row(cause.value, str(number), f"{number / max(1, report.cells):.2%}", style=style)
    return table


def _differences(rows: list[CellDifference]) -> Table:
    table = Table(
        "solution", "cell", "cause", "end of the code", "recorded", "ours", title="Explained differences"
    )
    for row in rows:
        # Text(), not str: brackets in code aren't markup.
        shown = (Text(_tail(text)) for text in (row.code, row.recorded, row.ours))
        table.add_row(Text(row.id), str(row.cell), row.cause.value, *shown)
    return table


def _flips(flips: tuple[VerdictFlip, ...]) -> Table:
    table = Table("solution", "gold", "recorded", "ours", "why", title="Verdicts that differ")
    for flip in flips:
        recorded = f"{flip.recorded_outcome.value}: {_tail(flip.recorded_answer or '')}"
        ours = f"{flip.our_outcome.value if flip.our_outcome else 'none'}: {_tail(flip.our_answer or '')}"
        table.add_row(Text(flip.id), Text(flip.target or ""), Text(recorded), Text(ours), flip.why.value)
    return table


def _in_full(row: CellDifference) -> Text:
    parts = [("code", row.code), ("recorded", row.recorded), ("ours", row.ours)]
    body = "\n".join(f"--- {name}\n{text}" for name, text in parts)
    return Text(f"=== {row.id} cell {row.cell}: {row.cause.value}\n{body}\n")


def _percent(value: float | None) -> str:
    return "no gold answers" if value is None else f"{value} %"


def _tail(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _TAIL_CHARS else f"…{text[-_TAIL_CHARS:]}"
