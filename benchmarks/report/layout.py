"""Lay out reports: rows of figures under headings, a column a run; for a terminal and as Markdown.

`sections` holds everything once; the tables here and the viewer only draw it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.report.attempts import Cause
from benchmarks.report.figures import RunReport, Spread
from benchmarks.report.metrics import Estimate
from mumath_agent.records import ExecutionStatus, Settings

NONE = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRow:
    """One figure, of every run."""

    label: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Figures that belong together."""

    title: str
    rows: tuple[FigureRow, ...]


def sections(reports: Sequence[RunReport]) -> tuple[Section, ...]:
    """Return all figures of the reports; rows that are empty for every run are left out."""
    made = (
        _section("What was run", reports, _about),
        _section("Accuracy, % (95 % interval)", reports, _accuracy),
        *(_section(f"Accuracy by {key}", reports, _by_tag(key)) for key in _keys(reports)),
        _section("Attempts by what became of them", reports, _causes),
        _section("Disputed verdicts: ours; math-verify's by itself", reports, _disputes),
        _section("Attempts by what was needed", reports, _needed),
        _section("Programs by how they ended", reports, _cells),
        _section("Per attempt: mean · median · p95 (total)", reports, _usage),
    )
    return tuple(section for section in made if section.rows)


def print_reports(reports: Sequence[RunReport], console: Console) -> None:
    """Print the figures as one table."""
    table = Table("", pad_edge=False)
    for report in reports:
        table.add_column(Text(report.name))
    for section in sections(reports):
        table.add_section()
        table.add_row(Text(section.title, style="bold"))
        for row in section.rows:
            table.add_row(Text(f"  {row.label}"), *map(Text, row.values))
    console.print(table)


def markdown(reports: Sequence[RunReport]) -> str:
    """Return the figures as tables to paste into a paper or a README, with the remarks below."""
    lines = []
    for section in sections(reports):
        lines.append(_line(section.title, *(report.name for report in reports)))
        lines.append(_line("---", *("---:" for _ in reports)))
        lines += [_line(row.label, *row.values) for row in section.rows]
        lines.append("")
    lines += [f"- {_escaped(remark)}" for remark in named_remarks(reports)]
    return "\n".join(lines).rstrip() + "\n"


def named_remarks(reports: Sequence[RunReport]) -> list[str]:
    """Return what has to be known before quoting, with the run's name where there are several."""
    named = len(reports) > 1
    return [f"{r.name}: {remark}" if named else remark for r in reports for remark in r.remarks]


Figures = Callable[[RunReport], dict[str, str]]
"""The figures of one run, by label."""


def _section(title: str, reports: Sequence[RunReport], figures: Figures) -> Section:
    columns = [figures(report) for report in reports]
    labels = dict.fromkeys(label for column in columns for label in column)
    rows = (FigureRow(label=label, values=tuple(c.get(label, NONE) for c in columns)) for label in labels)
    return Section(title=title, rows=tuple(rows))


def _about(report: RunReport) -> dict[str, str]:
    manifest, settings = report.manifest, report.settings
    about = {
        "model": settings.model,
        "problems × samples": f"{report.problems:,} × {report.samples}",
        "sampling": _sampling(settings),
        "limits": _limits(settings),
        "dialect": settings.dialect,
        "sessions": _sessions(settings),
        "isolation": report.isolation,
        "mumath-agent": report.version,
    }
    if manifest is None:
        return about
    servers = "; ".join(" ".join(server.values()) for server in manifest.servers)
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    extra = {"commit": manifest.commit or "", "servers": servers, "versions": versions}
    return (
        {"task": manifest.task, "source": manifest.source}
        | about
        | {"started": manifest.started_at}
        | {label: value for label, value in extra.items() if value}
    )


def _sampling(settings: Settings) -> str:
    sampling = settings.sampling
    if sampling.temperature == 0:
        return "greedy"
    seed = "" if sampling.seed is None else f", seed {sampling.seed}"
    return f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}{seed}"


def _limits(settings: Settings) -> str:
    limits = settings.limits
    return (
        f"{limits.max_turns} turns of {limits.max_new_tokens:,} tokens, {limits.cell_timeout_s:g} s a program, "
        f"{limits.output_chars} characters of output, {limits.memory_mb:,} MB, {limits.wall_s:g} s in all"
    )


def _sessions(settings: Settings) -> str:
    kept = "a new one for every program" if settings.fresh_cells else "one an attempt"
    return f"{kept}, rebuilt when lost" if settings.rebuild_state else kept


def _accuracy(report: RunReport) -> dict[str, str]:
    if report.lenient is None or report.strict is None:
        return {"accuracy": "nothing is scored"}
    figures = {
        "accuracy": share(report.lenient),
        "  boxed answers only": share(report.strict),
        "  standard error": f"{100 * report.lenient.stderr:.1f}",
    }
    if report.causes[Cause.UNGRADED]:
        figures["  if all ungraded were right"] = f"{100 * (report.if_ungraded_right or 0):.1f}"
    if report.second is not None:
        figures["  disputed verdicts"] = report.second.summary
    if report.samples > 1:
        figures[f"avg@{report.samples}"] = share(report.lenient)
    for name, estimates in (("pass", report.pass_at), ("maj", report.maj_at)):
        for at in estimates:
            if at.k == 1:  # both are the accuracy
                continue
            of = f" of {at.estimate.problems:,}" if at.estimate.problems < report.problems else ""
            figures[f"{name}@{at.k}"] = f"{share(at.estimate)}{of}"
    return figures


def _keys(reports: Sequence[RunReport]) -> list[str]:
    return list(dict.fromkeys(group.key for report in reports for group in report.groups))


def _by_tag(key: str) -> Figures:
    def figures(report: RunReport) -> dict[str, str]:
        groups = (group for group in report.groups if group.key == key)
        return {g.value: f"{share(g.lenient)} of {g.lenient.problems:,}" for g in groups}

    return figures


def _causes(report: RunReport) -> dict[str, str]:
    return {
        cause.value: f"{number:,} ({number / report.attempts:.1%})"
        for cause, number in report.causes.items()
        if number
    }


def _disputes(report: RunReport) -> dict[str, str]:
    return report.second.in_words if report.second else {}


def _needed(report: RunReport) -> dict[str, str]:
    figures = {"ran a program": report.with_program, "nudged": report.nudged}
    return {
        label: f"{number:,} ({number / report.attempts:.1%})" for label, number in figures.items() if number
    }


def _cells(report: RunReport) -> dict[str, str]:
    all_cells = sum(report.cells.values())
    figures = {
        _NAMES.get(status, status.value): f"{number:,} ({number / all_cells:.1%})"
        for status, number in report.cells.items()
        if number
    }
    if report.sessions_lost:
        figures["session lost"] = f"{report.sessions_lost:,}"
    if report.sessions_rebuilt:
        figures["session rebuilt"] = f"{report.sessions_rebuilt:,}"
    return figures


_NAMES = {
    ExecutionStatus.OK: "without error",
    ExecutionStatus.ERROR: "exception",
    ExecutionStatus.TIMEOUT: "time-out",
    ExecutionStatus.MEMORY: "out of memory",
    ExecutionStatus.DIED: "kernel died",
    ExecutionStatus.REFUSED: "not run",
}


def _usage(report: RunReport) -> dict[str, str]:
    return {name.replace("_", " "): _spread(spread) for name, spread in report.usage.items()}


def share(estimate: Estimate) -> str:
    """Return an estimate in per cent, with its interval."""
    return f"{100 * estimate.value:.1f} ({100 * estimate.low:.1f}–{100 * estimate.high:.1f})"


def _spread(spread: Spread) -> str:
    mean, median, p95, total = map(_number, (spread.mean, spread.median, spread.p95, spread.total))
    return f"{mean} · {median} · {p95} ({total})"


def _number(value: float) -> str:
    """Show three significant digits, and whole numbers from a hundred on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(_escaped(cell.strip()) for cell in cells)} |"


def _escaped(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())
