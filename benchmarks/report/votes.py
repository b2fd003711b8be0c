"""What voting and early stop would have been worth on recorded attempts: several samples of each problem.

Every way to choose an answer gets the same attempts: the first sample alone, a vote by spelling, and the solver's vote
with each weight. Early stop is replayed twice, with the attempts one after the other and all at once at one speed (a
token each in turn); the solver is between the two. Confidence is held against what was right.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from benchmarks.report.attempts import Attempts as AtProblem
from benchmarks.report.attempts import by_problem, is_scored
from benchmarks.report.metrics import Estimate, accuracy
from benchmarks.runs import Run
from mumath_agent.concurrency import map_each
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome, RunRecord
from mumath_agent.runs.paired import AccuracyDifference, difference
from mumath_agent.runs.voting import Count
from mumath_agent.solutions import Attempts, Confidence, Weight

FIRST, SPELLING = "first sample", "vote by spelling"
_AT_ONCE = 8
_ENOUGH = 0.95
"""The confidence at which `Attempts.enough` is replayed."""
_EDGES = (0.0, 0.5, 0.8, 0.9, 0.95, 1.0)
"""Confidences are gathered between these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to choose an answer, and how often that is right."""

    name: str
    accuracy: Estimate
    against_first: AccuracyDifference
    against_spelling: AccuracyDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStop:
    """What stopping early would have saved."""

    name: str
    tokens: int
    """Those that all attempts wrote."""
    saved: float
    """The share of them that wouldn't have been written."""
    same_answers: int
    """Problems with the answer that all attempts give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Answers of about one confidence."""

    low: float
    high: float
    answers: int
    confidence: float
    right: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """A problem where the votes chose differently."""

    id: str
    target: str | None
    by_spelling: str | None
    by_equality: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteReport:
    """All of it."""

    name: str
    problems: int
    samples: int
    ways: tuple[Way, ...]
    early_stops: tuple[EarlyStop, ...]
    reliability: tuple[Bin, ...]
    differing: tuple[Differing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    """What each way chooses for a problem, and whether that is right."""

    attempts: AtProblem
    chosen: dict[str, str | None]
    right: dict[str, bool]
    confidence: Confidence
    stops: dict[str, tuple[float, bool]]
    """Of each way to stop early: the tokens it writes, and whether the answer is the same."""


async def vote_report(run: Run, grader: Grader, samples: int | None = None) -> VoteReport:
    """Return what votes over the first `samples` samples of each problem are worth.

    Raises:
        InputError: no problem has two scored samples.
    """
    found = [tuple(filter(is_scored, attempts)) for attempts in by_problem(run.records).values()]
    most = min(samples or 10**9, max(map(len, found), default=0))
    usable = [attempts[:most] for attempts in found if len(attempts) >= most]
    if most < 2:
        raise InputError(f"{run.path} has no problem with several graded samples; make them with --samples")
    weights = _weights(usable)
    problems = await map_each(usable, lambda each: _voted(each, weights, grader), concurrency=_AT_ONCE)
    return VoteReport(
        name=run.name,
        problems=len(problems),
        samples=most,
        ways=tuple(_way(name, problems) for name in problems[0].right),
        early_stops=tuple(_early_stop(name, problems) for name in problems[0].stops),
        reliability=_reliability(problems),
        differing=tuple(_differing(problems)),
    )


async def _voted(attempts: AtProblem, weights: Sequence[Weight], grader: Grader) -> _Problem:
    target = str(attempts[0].problem.target)
    how = Attempts(number=len(attempts))
    chosen: dict[str, str | None] = {FIRST: attempts[0].answer, SPELLING: _most_frequent(attempts)}
    counts = {weight: Count(grader, replace(how, weight=weight)) for weight in weights}
    for weight, count in counts.items():
        await count.add(*attempts)
        chosen[f"vote, weight {weight.value}"] = count.classes[0].answer if count.classes else None
    right = {
        name: (await grader.grade(answer, target)).outcome is Outcome.CORRECT
        for name, answer in chosen.items()
    }
    whole = counts[Weight.COUNT]
    answer = whole.classes[0].answer if whole.classes else None
    orders = {"one after the other": _in_order(attempts), "all at once": _by_length(attempts)}
    rules = {"decided": how, f"confidence {_ENOUGH:g}": replace(how, enough=_ENOUGH)}
    return _Problem(
        attempts=attempts,
        chosen=chosen,
        right=right,
        confidence=whole.confidence(),
        stops={
            f"{rule}, {name}": await _stopped(order, answer, stopping, grader)
            for rule, stopping in rules.items()
            for name, order in orders.items()
        },
    )


def _weights(problems: Sequence[AtProblem]) -> list[Weight]:
    """Return the weights that all records have what it takes for."""
    completions = (
        each for attempts in problems for record in attempts for each in record.trajectory.completions
    )
    known = all(completion.logprob is not None for completion in completions)
    return [weight for weight in Weight if known or weight is not Weight.LOGPROB]


def _most_frequent(attempts: AtProblem) -> str | None:
    """Return the answer that is spelled alike most often, of several the first."""
    spelled = Counter(record.answer for record in attempts if record.answer)
    return spelled.most_common(1)[0][0] if spelled else None


Ends = list[tuple[RunRecord, int]]
"""Attempts in the order in which they end, each with the tokens that all have written by then."""


def _in_order(attempts: AtProblem) -> Ends:
    ends = np.cumsum([_tokens(record) for record in attempts])
    return [(record, int(end)) for record, end in zip(attempts, ends, strict=True)]


def _by_length(attempts: AtProblem) -> Ends:
    lengths = [_tokens(record) for record in attempts]
    order = sorted(attempts, key=lambda record: (_tokens(record), record.sample))
    return [(record, sum(min(length, _tokens(record)) for length in lengths)) for record in order]


async def _stopped(ends: Ends, answer: str | None, how: Attempts, grader: Grader) -> tuple[float, bool]:
    count, tokens = Count(grader, how), 0
    for record, tokens in ends:  # noqa: B007 the last one counts
        await count.add(record)
        if count.decided():
            break
    found = count.classes[0].answer if count.classes else None
    same = found == answer or (
        found is not None
        and answer is not None
        and (await grader.grade(found, answer)).outcome is Outcome.CORRECT
    )
    return tokens, same


def _way(name: str, problems: Sequence[_Problem]) -> Way:
    def against(other: str) -> AccuracyDifference:
        return difference(np.array([float(p.right[name]) - float(p.right[other]) for p in problems]))

    return Way(
        name=name,
        accuracy=accuracy([[float(problem.right[name])] for problem in problems]),
        against_first=against(FIRST),
        against_spelling=against(SPELLING),
    )


def _early_stop(name: str, problems: Sequence[_Problem]) -> EarlyStop:
    tokens = sum(_tokens(record) for problem in problems for record in problem.attempts)
    written = sum(problem.stops[name][0] for problem in problems)
    return EarlyStop(
        name=name,
        tokens=tokens,
        saved=1 - written / tokens if tokens else 0.0,
        same_answers=sum(problem.stops[name][1] for problem in problems),
    )


def _reliability(problems: Sequence[_Problem]) -> tuple[Bin, ...]:
    name, bins = f"vote, weight {Weight.COUNT.value}", list[Bin]()
    for low, high in pairwise(_EDGES):
        last = high == _EDGES[-1]
        inside = [p for p in problems if low <= p.confidence.value and (last or p.confidence.value < high)]
        if inside:
            bins.append(
                Bin(
                    low=low,
                    high=high,
                    answers=len(inside),
                    confidence=float(np.mean([p.confidence.value for p in inside])),
                    right=float(np.mean([p.right[name] for p in inside])),
                )
            )
    return tuple(bins)


def _differing(problems: Sequence[_Problem]) -> list[Differing]:
    """Return the problems where a vote by equality and one by spelling differ in what is right."""
    name = f"vote, weight {Weight.COUNT.value}"
    return [
        Differing(
            id=problem.attempts[0].problem.id,
            target=problem.attempts[0].problem.target,
            by_spelling=problem.chosen[SPELLING],
            by_equality=problem.chosen[name],
        )
        for problem in problems
        if problem.right[name] is not problem.right[SPELLING]
    ]


def _tokens(record: RunRecord) -> int:
    return sum(completion.completion_tokens for completion in record.trajectory.completions)
