"""Grade pairs of answers whose verdict is known, and count how often the grader agrees.

A line of the file is `{"gold": …, "pred": …, "equal": true|false|null}`; null expects no verdict at all. The grader is
`mumath_agent.grading`; `benchmarks.commands.grading` prints what comes of it.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mumath_agent.concurrency import map_each
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome, Verdict
from mumath_agent.runs.jsonl import Line, read_lines

_EQUAL = {Outcome.CORRECT: True, Outcome.INCORRECT: False}
"""What an outcome means for equality; the outcomes that are missing leave it open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedPair:
    """One line of the file."""

    line: int
    gold: str
    pred: str | None
    equal: bool | None
    """None: no verdict is expected."""
    kind: str = ""
    """What kind of answer it is, where the file or the generator says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedPair:
    """A pair and the grader's verdict on it."""

    pair: ExpectedPair
    verdict: Verdict

    @property
    def agrees(self) -> bool:
        """Whether the verdict is the expected one."""
        return _EQUAL.get(self.verdict.outcome) is self.pair.equal


class KindCounts(NamedTuple):
    """How the grader does on one kind of pairs."""

    n: int
    false_equal: int
    """Answers that aren't the gold answer and count as correct: they inflate a score, and train on wrong rows."""
    false_unequal: int
    ungraded: int

    @classmethod
    def of(cls, graded: Sequence[GradedPair]) -> "KindCounts":
        """Count."""
        wrong = Counter(row.verdict.outcome for row in graded if not row.agrees)
        return cls(len(graded), wrong[Outcome.CORRECT], wrong[Outcome.INCORRECT], wrong[Outcome.UNGRADED])


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The grader's verdicts on the pairs of a file."""

    graded: tuple[GradedPair, ...]
    seconds: float

    @property
    def agreed(self) -> int:
        """How many pairs have the expected verdict."""
        return sum(row.agrees for row in self.graded)

    @property
    def differing(self) -> tuple[GradedPair, ...]:
        """The pairs with another verdict than the expected one."""
        return tuple(row for row in self.graded if not row.agrees)

    @property
    def kinds(self) -> dict[str, "KindCounts"]:
        """The counts of each kind of pairs, in the order of the kinds."""
        rows: dict[str, list[GradedPair]] = {}
        for row in self.graded:
            rows.setdefault(row.pair.kind, []).append(row)
        return {kind: KindCounts.of(graded) for kind, graded in rows.items()}

    @property
    def confusion(self) -> Counter[tuple[bool | None, Outcome]]:
        """How often each outcome came where each verdict was expected."""
        return Counter((row.pair.equal, row.verdict.outcome) for row in self.graded)


def load_pairs(path: Path) -> Iterator[ExpectedPair | InputError]:
    """Yield the pairs of a JSONL file, with an error in the place of each line that isn't one.

    Raises:
        InputError: the file can't be read.
    """
    for line in read_lines(path):
        try:
            yield _pair(line)
        except (ValueError, RecursionError, InputError) as error:
            yield InputError(f"{path} line {line.number} is left out: {error}")


async def grade_all(
    pairs: Sequence[ExpectedPair], *, workers: int, timeout_s: float, on_graded: Callable[[], None]
) -> Agreement:
    """Grade all pairs, several at a time; the seconds include the start of the workers."""

    async def grade(pair: ExpectedPair) -> GradedPair:
        graded = GradedPair(pair=pair, verdict=await grader.grade(pair.pred, pair.gold))
        on_graded()
        return graded

    started = time.perf_counter()
    async with Grader(workers=workers, timeout_s=timeout_s) as grader:
        # Twice as many as workers: a worker that is done finds the next pair waiting.
        graded = await map_each(pairs, grade, concurrency=2 * workers)
        seconds = time.perf_counter() - started
    return Agreement(graded=tuple(graded), seconds=seconds)


def _pair(line: Line) -> ExpectedPair:
    # Numbers stay as they are spelled: 0.10 and 1e5 are what the grader has to read.
    row = json.loads(line.text, parse_float=str, parse_int=str, parse_constant=str)
    if not isinstance(row, dict):
        raise InputError("it isn't a JSON object")
    gold, pred, equal = (row.get(key, ...) for key in ("gold", "pred", "equal"))
    if not isinstance(gold, str):
        raise InputError(f'"gold" is {_shown(gold)}; it must be a text or a number')
    if not isinstance(pred, str | None):
        raise InputError(f'"pred" is {_shown(pred)}; it must be a text, a number or null')
    if equal not in (True, False, None):
        raise InputError(f'"equal" is {_shown(equal)}; it must be true, false or null')
    return ExpectedPair(line=line.number, gold=gold, pred=pred, equal=equal)


def _shown(value: object) -> str:
    return "missing" if value is ... else json.dumps(value)[:60]
