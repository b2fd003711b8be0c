"""Show how far a stage is, on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from finetune.data.jobs import OnProgress
from mumath_agent.commands.console import progress_bar


@contextmanager
def shown(what: str) -> Iterator[OnProgress]:
    """Show a bar while a stage runs; it moves when the stage reports."""
    with progress_bar(what) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
