"""`votes`: what voting and early stop would have been worth on recorded attempts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from benchmarks.commands.reports import AsJson
from benchmarks.runs import load_run
from mumath_agent.commands.console import print_json, remark, run, stdout
from mumath_agent.records import to_json
from mumath_agent.runs.wording import short

if TYPE_CHECKING:
    from benchmarks.report.votes import VoteReport
    from mumath_agent.runs.paired import AccuracyDifference


def votes(
    recorded: Annotated[Path, typer.Argument(help="A run's folder or file, with several samples a problem.")],
    samples: Annotated[int | None, typer.Option(min=2, help="Only the first N samples of each.")] = None,
    as_json: AsJson = False,
    figure: Annotated[
        Path | None, typer.Option(help="Also draw what confidences mean: a reliability diagram, SVG.")
    ] = None,
) -> None:
    """Say what votes over recorded samples are worth, what early stop saves, and what confidences mean.

    Example:
        python -m benchmarks votes runs/svamp-embedded --figure reliability.svg
    """
    from benchmarks.report.votes import VoteReport, vote_report
    from mumath_agent.grading import Grader

    loaded = load_run(recorded)

    async def reported() -> VoteReport:
        async with Grader(workers=2) as grader:
            return await vote_report(loaded, grader, samples)

    report = run(reported)
    if figure:
        _draw(report, figure)
    if as_json:
        print_json(to_json(report))
        return
    for table in _tables(report):
        stdout().print(table)
    for each in report.differing:
        answers = f"by spelling {_said(each.by_spelling)}, by equality {_said(each.by_equality)}"
        remark(f"{each.id}: {answers}, right is {_said(each.target)}")


def _draw(report: "VoteReport", figure: Path) -> None:
    from benchmarks.report.reliability import diagram
    from mumath_agent.errors import InputError

    title = f"{report.name}: {report.problems} problems, {report.samples} attempts each"
    try:
        figure.write_text(diagram(report.reliability, title), encoding="utf-8")
    except OSError as error:
        raise InputError(f"can't write {figure}: {error.strerror}") from None
    remark(f"wrote {figure}")


def _tables(report: "VoteReport") -> Sequence[Table]:
    title = f"{report.problems} problems, {report.samples} samples each"
    ways = _table(title, "answer of", "right", "95 %", "against the first sample", "against spelling")
    for way in report.ways:
        right = way.accuracy
        ways.add_row(
            way.name,
            f"{right.value:.1%}",
            f"{right.low:.1%} – {right.high:.1%}",
            _points(way.against_first),
            _points(way.against_spelling),
        )
    more = _table("More attempts", "attempts", "right", "95 %", "against 1", "tokens")
    for row in report.more:
        right = row.accuracy
        interval = f"{right.low:.1%} – {right.high:.1%}"
        more.add_row(
            str(row.attempts), f"{right.value:.1%}", interval, _points(row.against_first), f"{row.tokens:,}"
        )
    stops = _table("Early stop", "when it is", "tokens", "saved", "same answers")
    for stop in report.early_stops:
        stops.add_row(
            stop.name, f"{stop.tokens:,}", f"{stop.saved:.1%}", f"{stop.same_answers} of {report.problems}"
        )
    bins = _table("Confidence", "between", "answers", "mean", "right", "95 %")
    for each in report.reliability:
        bins.add_row(
            f"{each.low:g} – {each.high:g}",
            str(each.answers),
            f"{each.confidence:.2f}",
            f"{each.right.value:.1%}",
            f"{each.right.low:.1%} – {each.right.high:.1%}",
        )
    shared, found = _table("Programs", "which", "number", "seconds"), report.shared
    shared.add_row("all", f"{found.programs:,}", f"{found.seconds:.1f}")
    shared.add_row("run before, at the same place", f"{found.repeated:,}", f"{found.repeated_seconds:.1f}")
    return ways, more, stops, bins, shared


def _table(title: str, *columns: str) -> Table:
    table = Table(*columns, title=Text(title), title_justify="left", pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _points(found: "AccuracyDifference") -> str:
    return f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _said(answer: str | None) -> str:
    return "none" if answer is None else short(answer)
