"""Compare two runs, paired by problem: which is better, if that can be told, with an interval and a verdict in words.

Both runs answered the same problems, so only where they differ counts, and that says far more than two intervals side
by side: the problems' own difficulty cancels out. Attempts without a verdict and UNGRADED ones say nothing for either
side; they are left out and counted. The arithmetic is in `paired`, the tables are in `compare_layout`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.report.attempts import Attempts, Cause, by_problem, cause_of, is_correct, without_seed
from benchmarks.runs import Run
from mumath_agent.errors import InputError
from mumath_agent.records import to_json
from mumath_agent.runs.paired import LEVEL, AccuracyDifference, difference, more_problems

MANY_FLIPS = 0.5
"""A problem is listed as flipped if the scores differ by this share of its samples."""


class Better(StrEnum):
    """The result of a comparison."""

    A = "a"
    B = "b"
    NEITHER = "neither"
    """Equal within the margin."""
    OPEN = "open"
    """It can't be told from these runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlippedProblem:
    """A problem that one run solves and the other doesn't."""

    id: str
    target: str | None
    score_a: float
    score_b: float
    answer_a: str
    """The most frequent answer, or why there is none."""
    answer_b: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """B against A. Its JSON form is what `compare --json` prints."""

    a: str
    b: str
    better: Better
    verdict: str
    """The same in words."""
    problems: int
    """Pairs that were compared."""
    accuracy_a: float | None
    """Over these pairs. None: there is none."""
    accuracy_b: float | None
    difference: AccuracyDifference | None
    more_problems: int | None
    """How many more it takes to tell; None if it can be told already, or if no number can be given."""
    margin: float
    flips: tuple[FlippedProblem, ...]
    differing: tuple[str, ...]
    """What differs besides the model, such as "limits.max_turns: 4 and 6"."""
    left_out: int
    """Pairs left out because a side has no graded attempt."""
    attempts_left_out: dict[Cause, int]
    """Attempts at shared problems that say nothing, by cause, on both sides."""
    only_in_a: tuple[str, ...]
    """Ids of problems that B lacks."""
    only_in_b: tuple[str, ...]


def compare(a: Run, b: Run, *, margin: float = 0.01) -> Comparison:
    """Compare two runs; scores are lenient, and runs within ± `margin` are called equal.

    Raises:
        InputError: they have no problem in common.
    """
    problems_a, problems_b = by_problem(a.records), by_problem(b.records)
    shared = [problem for problem in problems_a if problem in problems_b]
    if not shared:
        raise InputError(
            f"{a.name} and {b.name} have no problem in common (same id and question); compare runs of one task"
        )
    pairs = [(problems_a[problem], problems_b[problem]) for problem in shared]
    told = [(x, y) for left, right in pairs if (x := _telling(left)) and (y := _telling(right))]
    scores = [(_score(x), _score(y)) for x, y in told]
    change = np.array([y - x for x, y in scores])
    found = difference(change) if told else None
    better = _better(found, margin)
    more = more_problems(change, margin) if better is Better.OPEN else None
    return Comparison(
        a=a.name,
        b=b.name,
        better=better,
        verdict=_verdict(better, found, margin, more),
        problems=len(told),
        accuracy_a=fmean(x for x, _ in scores) if scores else None,
        accuracy_b=fmean(y for _, y in scores) if scores else None,
        difference=found,
        more_problems=more,
        margin=margin,
        flips=tuple(_flip(*pair) for pair, by in zip(told, change, strict=True) if abs(by) >= MANY_FLIPS),
        differing=tuple(_differing(a, b, pairs)),
        left_out=len(pairs) - len(told),
        attempts_left_out=_silent(pairs),
        only_in_a=tuple(id for id, question in problems_a if (id, question) not in problems_b),
        only_in_b=tuple(id for id, question in problems_b if (id, question) not in problems_a),
    )


PairedAttempts = tuple[Attempts, Attempts]

_SILENT = (Cause.BROKEN, Cause.NO_VERDICT, Cause.UNGRADED)


def _telling(attempts: Attempts) -> Attempts:
    return tuple(record for record in attempts if cause_of(record) not in _SILENT)


def _silent(pairs: Sequence[PairedAttempts]) -> dict[Cause, int]:
    causes = Counter(cause_of(record) for pair in pairs for attempts in pair for record in attempts)
    return {cause: causes[cause] for cause in _SILENT}


def _score(attempts: Attempts) -> float:
    return fmean(map(is_correct, attempts))


def _better(found: AccuracyDifference | None, margin: float) -> Better:
    if found is None:
        return Better.OPEN
    if found.p < LEVEL and not found.low <= 0 <= found.high:
        return Better.B if found.value > 0 else Better.A
    return Better.NEITHER if -margin <= found.low and found.high <= margin else Better.OPEN


def _verdict(better: Better, found: AccuracyDifference | None, margin: float, more: int | None) -> str:
    if found is None:
        return "can't tell: no problem has a graded attempt in both runs"
    if better is Better.A:
        return f"A is better by {_points(-found.value)} ({_interval(-found.high, -found.low, found.p)})"
    if better is Better.B:
        return f"B is better by {_points(found.value)} ({_interval(found.low, found.high, found.p)})"
    measured = f"B − A is {_points(found.value)} ({_interval(found.low, found.high, found.p)})"
    if better is Better.NEITHER:
        return f"A and B are equal within ±{_points(margin)}: {measured}"
    if more is None:
        return f"can't tell: {measured}"
    size = "this size" if abs(found.value) > margin else _points(margin)
    return f"can't tell: {measured}; about {more:,} more problems are needed to see a difference of {size}"


def _points(share: float) -> str:
    number = f"{100 * share:.3g}" if abs(share) < 0.01 else f"{100 * share:.1f}".removesuffix(".0")
    return f"{number} point{'s' * (number not in ('1', '-1'))}".replace("-", "−")


def _interval(low: float, high: float, p: float) -> str:
    shown = f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"
    return f"95 % interval {100 * low:.1f} to {100 * high:.1f}, {shown}".replace("-", "−")


def _flip(a: Attempts, b: Attempts) -> FlippedProblem:
    return FlippedProblem(
        id=a[0].problem.id,
        target=a[0].problem.target,
        score_a=_score(a),
        score_b=_score(b),
        answer_a=_answer(a),
        answer_b=_answer(b),
    )


def _answer(attempts: Attempts) -> str:
    given = (a.trajectory.answer.text if a.trajectory.answer else f"({cause_of(a)})" for a in attempts)
    return Counter(given).most_common(1)[0][0]


def _differing(a: Run, b: Run, pairs: Sequence[PairedAttempts]) -> Iterator[str]:
    left, right = _circumstances(a), _circumstances(b)
    for name in dict.fromkeys((*left, *right)):
        if (x := left.get(name)) != (y := right.get(name)):
            yield f"{name}: {x} and {y}"
    if odd := [x[0].problem.id for x, y in pairs if x[0].problem.target != y[0].problem.target]:
        yield f"gold answer of {len(odd)} problem(s), such as {odd[0]}"


def _circumstances(run: Run) -> dict[str, Any]:
    """Return what should be equal in two runs that are compared; the model is what they are compared for."""
    first = run.records[0]
    settings = to_json(without_seed(first.settings))
    del settings["model"]
    found = {"isolation": first.isolation, "version": first.version, **_flat(settings)}
    found["samples"] = max(map(len, by_problem(run.records).values()))
    return found | ({"task": run.manifest.task, "source": run.manifest.source} if run.manifest else {})


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        nested = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return flat
