"""Report a selection in numbers and as tables."""

from collections import Counter
from dataclasses import dataclass

from rich.table import Table

from finetune.data.select.reasons import Reason
from finetune.data.select.selection import Group, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Counts of attempts, unless another thing is named."""

    attempts: int
    kept: int
    pseudo: int
    """Of those kept, the ones that have the majority's answer instead of a known one."""
    reasons: dict[str, int]
    """Dropped attempts by reason, in the order of the rules."""
    groups: tuple[Group, ...]
    questions: int
    """Different ones among those kept."""
    clusters: int
    contaminated_questions: int

    @property
    def rows(self) -> int:
        """The rows that were written."""
        return self.kept

    @property
    def counts(self) -> dict[str, int]:
        """The counts of the manifest."""
        return {"attempts": self.attempts, "kept": self.kept, **self.reasons}


def make_report(selection: Selection) -> Report:
    """Count what became of the attempts."""
    reasons = Counter(dropped.reason for dropped in selection.dropped)
    return Report(
        attempts=len(selection.kept) + len(selection.dropped),
        kept=len(selection.kept),
        pseudo=sum(attempt.target is None for attempt in selection.kept),
        reasons={reason.value: reasons[reason] for reason in Reason if reasons[reason]},
        groups=selection.groups,
        questions=len({attempt.question for attempt in selection.kept}),
        clusters=selection.clusters,
        contaminated_questions=selection.contaminated_questions,
    )


def reasons_table(report: Report) -> Table:
    """Return a table of what became of the attempts."""
    table = Table("what became of it", box=None, pad_edge=False)
    table.add_column("attempts", justify="right")
    table.add_column("share", justify="right")
    for name, count in {"kept": report.kept, **report.reasons, "all": report.attempts}.items():
        table.add_row(name, f"{count:,}", _share(count, report.attempts))
    return table


def groups_table(report: Report) -> Table:
    """Return a table of what was kept, by origin."""
    table = Table("source", "augmentation", box=None, pad_edge=False)
    for heading in ("attempts", "kept", "share"):
        table.add_column(heading, justify="right")
    for group in report.groups:
        share = _share(group.kept, group.attempts)
        table.add_row(group.source, group.augmentation or "", f"{group.attempts:,}", f"{group.kept:,}", share)
    return table


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"
