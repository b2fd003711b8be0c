"""Print a comparison for a person: the problems that flipped, both accuracies, and the verdict."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.report.compare import Comparison, FlippedProblem

_NAMED = 5
"""How many ids a remark names; --json has them all."""


def print_comparison(found: Comparison, console: Console) -> None:
    """Print a comparison."""
    if found.flips:
        console.print(_flips(found))
    if found.difference:
        console.print(_table(found, found.difference.test))
    console.print(Text(found.verdict, style="bold"))


def warnings(found: Comparison) -> Iterator[str]:
    """Yield what weakens the comparison."""
    for what in found.differing:
        yield f"the runs differ in {what}"
    for name, ids in ((found.a, found.only_in_a), (found.b, found.only_in_b)):
        if ids:
            yield f"only in {name}, not compared: {_ids(ids)}"
    if causes := [f"{number:,} {cause}" for cause, number in found.attempts_left_out.items() if number]:
        yield f"attempts left out: {', '.join(causes)}; {_problems(found.left_out)} not compared for want of others"


def _table(found: Comparison, test: str) -> Table:
    table = Table("", "run", "accuracy, %", "flips won")
    for column in table.columns[2:]:
        column.justify = "right"
    for letter, name, accuracy, ahead in (
        ("A", found.a, found.accuracy_a, [flip for flip in found.flips if flip.score_a > flip.score_b]),
        ("B", found.b, found.accuracy_b, [flip for flip in found.flips if flip.score_b > flip.score_a]),
    ):
        table.add_row(letter, Text(name), f"{100 * (accuracy or 0):.1f}", f"{len(ahead):,}")
    table.caption = f"{_problems(found.problems)} · {test}"
    return table


def _flips(found: Comparison) -> Table:
    table = Table("problem", "gold", "A's answer", "B's answer", "solved by", title="Flipped problems")
    for flip in found.flips:
        solved_by = "A" if flip.score_a > flip.score_b else "B"
        cells = (flip.id, flip.target or "", flip.answer_a, flip.answer_b)
        table.add_row(*(Text(cell, overflow="fold") for cell in cells), _scored(solved_by, flip))
    return table


def _scored(solved_by: str, flip: FlippedProblem) -> str:
    """Add the scores where they aren't all or nothing."""
    if {flip.score_a, flip.score_b} == {0.0, 1.0}:
        return solved_by
    return f"{solved_by} ({flip.score_a:.2g} and {flip.score_b:.2g})"


def _ids(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
    return f"{_problems(len(ids))} ({', '.join(ids[:_NAMED])}{more})"


def _problems(number: int) -> str:
    return "1 problem" if number == 1 else f"{number:,} problems"
