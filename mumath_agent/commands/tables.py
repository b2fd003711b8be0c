"""`--csv` of `solve`: the answers to a file of problems as a table, one row a problem."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mumath_agent.commands.notebooks import Keep, keep_nothing
from mumath_agent.errors import InputError
from mumath_agent.records import Problem, RunRecord, Trajectory
from mumath_agent.runs.jsonl import replace_file
from mumath_agent.solutions import Solution

COLUMNS = (
    *("id", "question", "answer", "target", "verdict", "stop_reason", "turns", "programs"),
    *("prompt_tokens", "completion_tokens", "seconds", "error"),
)

OF_SOLUTIONS = (*COLUMNS, "attempts", "votes", "confidence", "low_confidence")
"""Where a problem gets several attempts; what is counted is counted over all of them."""


@contextmanager
def answers_table(
    path: Path | None, problems: Sequence[Problem], columns: Sequence[str] = COLUMNS
) -> Iterator[Keep]:
    """Yield what takes records; when the block ends, however it does, those it got are a table in `path`.

    Raises:
        InputError: the table can't be written, or there is a file already that isn't such a table.
    """
    if path is None:
        yield keep_nothing
        return
    _check(path, columns)
    rows: dict[str, str] = {}

    def keep(record: RunRecord | Solution) -> None:
        cells = _of_solution(record) if isinstance(record, Solution) else _cells(record)
        rows[record.problem.id] = _line(cells)

    try:
        yield keep
    finally:
        order = [problem.id for problem in problems]
        if rows:
            replace_file(path, [_line(columns), *(rows[name] for name in order if name in rows)])


def _check(path: Path, columns: Sequence[str]) -> None:
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
    if begins not in ("", _line(columns)):
        raise InputError(f"{path} is there already and isn't a table of solve --csv; name another file")


def _cells(record: RunRecord) -> tuple[object, ...]:
    attempt = record.trajectory
    return (
        *_answered(record),
        attempt.stop_reason.value,
        *_counted([attempt]),
        f"{attempt.duration_s:.2f}",
        attempt.error,
    )


def _of_solution(solution: Solution) -> tuple[object, ...]:
    attempts = [record.trajectory for record in solution.attempts]
    return (
        *_answered(solution),
        solution.budget.ending.value,
        *_counted(attempts),
        f"{solution.budget.duration_s:.2f}",
        next((attempt.error for attempt in attempts if attempt.error), None),
        solution.budget.finished,
        solution.votes[0].votes if solution.votes else 0,
        f"{solution.confidence.value:.3f}",
        solution.confidence.is_low,
    )


def _answered(record: RunRecord | Solution) -> tuple[object, ...]:
    problem, verdict = record.problem, record.verdict
    return (
        problem.id,
        problem.question,
        record.answer,
        problem.target,
        verdict.outcome.value if verdict else None,
    )


def _counted(attempts: Sequence[Trajectory]) -> tuple[int, ...]:
    """Return the turns, programs, and tokens read and written of all the attempts."""
    completions = [completion for attempt in attempts for completion in attempt.completions]
    return (
        len(completions),
        sum(len(attempt.executions) for attempt in attempts),
        sum(completion.prompt_tokens for completion in completions),
        sum(completion.completion_tokens for completion in completions),
    )


def _line(cells: Sequence[object]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
