"""Pairs of answers with the verdict that somebody expects of them, and how far the grader agrees.

A line of the file is `{"gold": …, "pred": …, "equal": true|false|null}`; null expects no verdict at all. The grader is
`mumath_agent.grading`; what is printed of this is for `commands.grading`.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome, Verdict

_EQUAL = {Outcome.CORRECT: True, Outcome.INCORRECT: False}
"""What an outcome says; those that are missing say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedPair:
    """One line of the file."""

    line: int
    gold: str
    pred: str | None
    equal: bool | None
    """None: no verdict is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedPair:
    """A pair and what the grader says of it."""

    pair: ExpectedPair
    verdict: Verdict

    @property
    def agrees(self) -> bool:
        return _EQUAL.get(self.verdict.outcome) is self.pair.equal


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the grader agrees with a file."""

    graded: tuple[GradedPair, ...]
    seconds: float

    @property
    def agreed(self) -> int:
        return sum(row.agrees for row in self.graded)

    @property
    def differing(self) -> tuple[GradedPair, ...]:
        return tuple(row for row in self.graded if not row.agrees)

    @property
    def confusion(self) -> Counter[tuple[bool | None, Outcome]]:
        """How often which outcome came where which was expected."""
        return Counter((row.pair.equal, row.verdict.outcome) for row in self.graded)


def load_pairs(path: Path) -> Iterator[ExpectedPair | InputError]:
    """The pairs of a JSONL file; a line that is none comes back as the error that says so.

    Raises:
        InputError: the file can't be read.
    """
    try:
        lines = path.read_bytes().decode("utf-8", "replace").split("\n")
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield _pair(line, number)
            except (ValueError, RecursionError, InputError) as error:
                yield InputError(f"{path} line {number} is left out: {error}")


async def grade_all(
    pairs: Sequence[ExpectedPair], *, workers: int, timeout_s: float, on_graded: Callable[[], None]
) -> Agreement:
    """Grade all pairs, several at a time; the seconds include the start of the workers."""
    graded: dict[int, GradedPair] = {}

    async def grade_some(todo: Iterator[tuple[int, ExpectedPair]]) -> None:
        for position, pair in todo:
            verdict = await grader.grade(pair.pred, pair.gold)
            graded[position] = GradedPair(pair=pair, verdict=verdict)
            on_graded()

    started = time.perf_counter()
    async with Grader(workers=workers, timeout_s=timeout_s) as grader:
        todo = iter(enumerate(pairs))  # shared: who is free takes the next one
        async with anyio.create_task_group() as tasks:
            for _ in range(2 * workers):
                tasks.start_soon(grade_some, todo)
        seconds = time.perf_counter() - started
    return Agreement(graded=tuple(graded[i] for i in range(len(pairs))), seconds=seconds)


def _pair(line: str, number: int) -> ExpectedPair:
    row = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
    if not isinstance(row, dict):
        raise InputError("it is no object")
    gold, pred, equal = (row.get(key, ...) for key in ("gold", "pred", "equal"))
    if not isinstance(gold, str):
        raise InputError(f'"gold" is {_shown(gold)}; it must be a text or a number')
    if not isinstance(pred, str | None):
        raise InputError(f'"pred" is {_shown(pred)}; it must be a text, a number or null')
    if equal not in (True, False, None):
        raise InputError(f'"equal" is {_shown(equal)}; it must be true, false or null')
    return ExpectedPair(line=number, gold=gold, pred=pred, equal=equal)


def _shown(value: object) -> str:
    return "missing" if value is ... else json.dumps(value)[:60]
