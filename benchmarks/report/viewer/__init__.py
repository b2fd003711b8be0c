"""Write a page to read runs in: one HTML file with every attempt in it, which loads nothing.

    runs ─ entries ──▶ JSON island ┐
    reports ─ layout ──────────────┴─ page.html ─▶ one file with its style and script

Whatever a model wrote is data: it reaches the page inside a JSON island whose angle brackets are escaped, and the
script shows it as text nodes only. A content security policy names the one style and the one script by hash and allows
no address at all, so even text that slipped through could neither load nor run anything.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmarks.report.attempts import tag_order
from benchmarks.report.figures import RunReport
from benchmarks.report.layout import named_remarks, sections
from benchmarks.report.viewer.entries import Entry, entries
from benchmarks.runs import Run
from mumath_agent.errors import InputError
from mumath_agent.records import to_json
from mumath_agent.runs.page import asset, island, policy

_HERE = Path(__file__).parent
_LABELS = {"run": "Run", "outcome": "Outcome", "cause": "What became of it"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A choice of attempts; `options` are values with how many attempts have them."""

    name: str
    label: str
    options: tuple[tuple[str, int], ...]


def write_page(path: Path, runs: Sequence[Run], reports: Sequence[RunReport]) -> None:
    """Write the page of some runs.

    Raises:
        InputError: it can't be written.
    """
    try:
        path.write_text(page(runs, reports), encoding="utf-8")
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror}") from None


def page(runs: Sequence[Run], reports: Sequence[RunReport]) -> str:
    """Return the page as text; `reports` are those of `runs`, in the same order."""
    listed = entries(runs)
    style = (_HERE / "page.css").read_text(encoding="utf-8") + asset("transcript.css")
    script = asset("transcript.js") + (_HERE / "page.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html").render(
        title=_title(reports),
        reports=reports,
        sections=sections(reports),
        remarks=named_remarks(reports),
        filters=tuple(_filters(listed)),
        policy=policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=Markup(island([to_json(entry) for entry in listed])),
    )


def _title(reports: Sequence[RunReport]) -> str:
    """Name what was run, in each run."""
    names = [f"{r.manifest.task} · {r.settings.model}" if r.manifest else r.name for r in reports]
    return " | ".join(dict.fromkeys(names))


def _filters(listed: Sequence[Entry]) -> Iterator[Filter]:
    """Yield a filter for each facet in which attempts differ."""
    for name in dict.fromkeys(name for entry in listed for name in entry.facets):
        counts = Counter(entry.facets[name] for entry in listed if name in entry.facets)
        options = sorted(counts.items(), key=lambda option: tag_order(option[0]))
        if len(options) > 1 or name == "outcome":
            label = _LABELS.get(name, name.removeprefix("tag-").capitalize())
            yield Filter(name=name, label=label, options=tuple(options))


__all__ = ["Filter", "page", "write_page"]
