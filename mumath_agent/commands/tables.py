"""`--csv` of `solve`: the answers to a file of problems as a table, one row a problem."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mumath_agent.commands.notebooks import Keep, keep_nothing
from mumath_agent.errors import InputError
from mumath_agent.records import Problem, RunRecord
from mumath_agent.runs.jsonl import replace_file

COLUMNS = (
    *("id", "question", "answer", "target", "verdict", "stop_reason", "turns", "programs"),
    *("prompt_tokens", "completion_tokens", "seconds", "error"),
)


@contextmanager
def answers_table(path: Path | None, problems: Sequence[Problem]) -> Iterator[Keep]:
    """Yield what takes records; when the block ends, however it does, those it got are a table in `path`.

    Raises:
        InputError: the table can't be written, or there is a file already that isn't such a table.
    """
    if path is None:
        yield keep_nothing
        return
    _check(path)
    rows: dict[str, str] = {}

    def keep(record: RunRecord) -> None:
        rows[record.problem.id] = _line(_cells(record))

    try:
        yield keep
    finally:
        order = [problem.id for problem in problems]
        if rows:
            replace_file(path, [_line(COLUMNS), *(rows[name] for name in order if name in rows)])


def _check(path: Path) -> None:
    """Refuse, before anything is solved, what couldn't be written after it."""
    if not path.parent.is_dir():
        raise InputError(f"can't write the table {path}: there is no folder {path.parent}")
    if not path.exists():
        return
    try:
        with path.open("r+", encoding="utf-8", newline="", errors="replace") as file:
            begins = file.readline(10_000)
    except OSError as error:
        raise InputError(f"can't write the table {path}: {error.strerror}") from None
    if begins not in ("", _line(COLUMNS)):
        raise InputError(f"{path} is there already and isn't a table of solve --csv; name another file")


def _cells(record: RunRecord) -> tuple[object, ...]:
    attempt = record.trajectory
    return (
        record.problem.id,
        record.problem.question,
        record.answer,
        record.problem.target,
        record.verdict.outcome.value if record.verdict else None,
        attempt.stop_reason.value,
        len(attempt.completions),
        len(attempt.executions),
        sum(completion.prompt_tokens for completion in attempt.completions),
        sum(completion.completion_tokens for completion in attempt.completions),
        f"{attempt.duration_s:.2f}",
        attempt.error,
    )


def _line(cells: Sequence[object]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
