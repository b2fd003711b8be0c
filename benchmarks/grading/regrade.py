"""A run graded again, without generating: the answer is read from each transcript afresh and compared afresh.

What a new rule of extraction or a better grader changes is seen without a model. Records of broken machinery and of
problems without a gold answer stay as they are. Works on files of any age that `runs.load_run` reads.
"""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from benchmarks.runs import line_of
from mumath_agent.answers import extract_answer
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.records import BROKEN, Answer, Outcome, RunRecord, StopReason, Verdict
from mumath_agent.transcript import Transcript

AnswerOf = Callable[[Transcript], Answer | None]
"""A task's rule: which words of a transcript are its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regraded:
    """A record before and after."""

    before: RunRecord
    after: RunRecord

    @property
    def is_flipped(self) -> bool:
        return outcome_of(self.before) is not outcome_of(self.after)


async def regrade_all(
    records: Sequence[RunRecord],
    *,
    workers: int,
    timeout_s: float,
    answer_of: AnswerOf = extract_answer,
    on_graded: Callable[[], None] = lambda: None,
) -> tuple[Regraded, ...]:
    """Grade all records again, several at a time; the order stays."""
    graded: dict[int, Regraded] = {}

    async def regrade_some() -> None:
        for position, record in todo:
            graded[position] = Regraded(before=record, after=await _regraded(record, answer_of, grader))
            on_graded()

    todo = iter(enumerate(records))  # shared: who is free takes the next one
    async with Grader(workers=workers, timeout_s=timeout_s) as grader, anyio.create_task_group() as tasks:
        for _ in range(2 * workers):
            tasks.start_soon(regrade_some)
    return tuple(graded[position] for position in range(len(records)))


def outcome_of(record: RunRecord) -> Outcome | None:
    """None: not graded."""
    return None if record.verdict is None else record.verdict.outcome


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep `run` from writing to the folder of `path` meanwhile: its attempts would be lost.

    Raises:
        InputError: there is no such folder, or a command is writing to it.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InputError(f"{path.parent} is in use by another command; try again when it has ended") from None
    finally:
        os.close(folder)


def write_records(path: Path, records: Sequence[RunRecord]) -> None:
    """Write a results file; whatever happens, the old file or the new one is there, whole.

    Raises:
        InputError: it can't be written.
    """
    fresh: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        fresh = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(f"{line_of(record)}\n" for record in records)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        fresh.replace(path)
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror}") from None
    finally:
        if fresh is not None:
            fresh.unlink(missing_ok=True)


async def _regraded(record: RunRecord, answer_of: AnswerOf, grader: Grader) -> RunRecord:
    attempt, target = record.trajectory, record.problem.target
    if attempt.stop_reason in BROKEN or target is None:
        return record
    answer = answer_of(attempt.transcript) if attempt.stop_reason is StopReason.ANSWERED else None
    verdict: Verdict = await grader.grade(None if answer is None else answer.text, target)
    return replace(record, trajectory=replace(attempt, answer=answer), verdict=verdict)
