"""Tell which questions a model solves sometimes: from those it always or never solves it learns nothing new."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from mumath_agent.errors import InputError
from mumath_agent.records import Outcome, RunRecord
from mumath_agent.runs.jsonl import read_records, replace_lines


class Difficulty(StrEnum):
    """How often the attempts at a question are right. Attempts that nobody could grade don't count."""

    SOMETIMES = "sometimes solved"
    ALWAYS = "always solved"
    NEVER = "never solved"
    UNKNOWN = "not graded"


def keep_sometimes(attempts: Path, out: Path) -> dict[Difficulty, int]:
    """Write the attempts at questions that are sometimes solved; return the number of questions of each difficulty.

    Raises:
        InputError: the attempts can't be read, or `out` can't be written.
    """
    right: dict[str, int] = {}
    graded: dict[str, int] = {}
    for record in _records(attempts):
        outcome = record.verdict.outcome if record.verdict else Outcome.UNGRADED
        key = record.problem.id
        right[key] = right.get(key, 0) + (outcome is Outcome.CORRECT)
        graded[key] = graded.get(key, 0) + (outcome is not Outcome.UNGRADED)
    found = {key: _difficulty(right[key], graded[key]) for key in right}
    replace_lines(
        out, (record for record in _records(attempts) if found[record.problem.id] is Difficulty.SOMETIMES)
    )
    return {one: sum(each is one for each in found.values()) for one in Difficulty}


def _difficulty(right: int, graded: int) -> Difficulty:
    if not graded:
        return Difficulty.UNKNOWN
    if 0 < right < graded:
        return Difficulty.SOMETIMES
    return Difficulty.ALWAYS if right else Difficulty.NEVER


def _records(path: Path) -> Iterator[RunRecord]:
    for record in read_records(path, RunRecord):
        if isinstance(record, InputError):
            raise record
        yield record
