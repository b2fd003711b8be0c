"""What voting and early stop would have been worth on recorded attempts: several samples of each problem.

Every way to choose an answer gets the same attempts: the first sample alone, a vote by spelling, and the solver's vote
with each weight. What more attempts bring is told for 1, 2, 4, … of them. Early stop is replayed (`early_stop.py`),
and confidence held against what was right (`reliability.py`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.report.attempts import Attempts as AtProblem
from benchmarks.report.attempts import by_problem, is_scored
from benchmarks.report.early_stop import EarlyStop, Stop, early_stop, stops_of, tokens_of
from benchmarks.report.metrics import Estimate, accuracy, ks
from benchmarks.report.prefixes import SharedPrograms, shared_programs
from benchmarks.report.reliability import Bin, reliability
from benchmarks.runs import Run
from mumath_agent.concurrency import map_each
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome
from mumath_agent.runs.paired import AccuracyDifference, difference
from mumath_agent.runs.voting import Count, ballot_of
from mumath_agent.solutions import Attempts, Confidence, Weight

FIRST, SPELLING = "first sample", "vote by spelling"
_AT_ONCE = 8
_WHOLE = f"vote, weight {Weight.COUNT.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to choose an answer, and how often that is right."""

    name: str
    accuracy: Estimate
    against_first: AccuracyDifference
    against_spelling: AccuracyDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class More:
    """What the first so many attempts at each problem bring, by the solver's vote."""

    attempts: int
    tokens: int
    """That they all wrote together."""
    accuracy: Estimate
    against_first: AccuracyDifference


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
    more: tuple[More, ...]
    early_stops: tuple[EarlyStop, ...]
    reliability: tuple[Bin, ...]
    shared: SharedPrograms
    differing: tuple[Differing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    """What each way chooses for a problem, and whether that is right."""

    attempts: AtProblem
    chosen: dict[str, str | None]
    right: dict[str, bool]
    confidence: Confidence
    more: dict[int, bool]
    """Whether the vote of the first so many attempts is right."""
    stops: dict[str, Stop]
    """Of each way to stop early."""


async def vote_report(run: Run, grader: Grader, samples: int | None = None) -> VoteReport:
    """Return what votes over the first `samples` samples of each problem are worth.

    Raises:
        InputError: no problem has two scored samples.
    """
    # A file that is being written has attempts in the order in which they ended.
    records = sorted(run.records, key=lambda record: record.sample)
    found = [tuple(filter(is_scored, attempts)) for attempts in by_problem(records).values()]
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
        more=tuple(_more(number, problems) for number in problems[0].more),
        early_stops=tuple(
            early_stop(name, _tokens(problems, most), [problem.stops[name] for problem in problems])
            for name in problems[0].stops
        ),
        reliability=reliability([(p.confidence.value, p.right[_WHOLE]) for p in problems]),
        shared=shared_programs(usable),
        differing=tuple(_differing(problems)),
    )


async def _voted(attempts: AtProblem, weights: Sequence[Weight], grader: Grader) -> _Problem:
    target = str(attempts[0].problem.target)
    how = Attempts(number=len(attempts))
    chosen: dict[str, str | None] = {FIRST: attempts[0].answer, SPELLING: _most_frequent(attempts)}
    counts = {weight: Count(grader, replace(how, weight=weight)) for weight in weights}
    for weight, count in counts.items():
        await count.add(*attempts)
        chosen[f"vote, weight {weight.value}"] = count.answer
    return _Problem(
        attempts=attempts,
        chosen=chosen,
        right={name: await _is_right(answer, target, grader) for name, answer in chosen.items()},
        confidence=counts[Weight.COUNT].confidence(),
        more=await _right_by_number(attempts, target, grader),
        stops=await stops_of(attempts, counts[Weight.COUNT].answer, grader),
    )


async def _right_by_number(attempts: AtProblem, target: str, grader: Grader) -> dict[int, bool]:
    count, right, counted = Count(grader, Attempts(number=len(attempts))), dict[int, bool](), 0
    for number in ks(len(attempts)):
        await count.add(*attempts[counted:number])
        right[number], counted = await _is_right(count.answer, target, grader), number
    return right


async def _is_right(answer: str | None, target: str, grader: Grader) -> bool:
    return (await grader.grade(answer, target)).outcome is Outcome.CORRECT


def _weights(problems: Sequence[AtProblem]) -> list[Weight]:
    """Return the weights that all records have what it takes for."""
    ballots = [ballot_of(record) for attempts in problems for record in attempts]
    known = {
        Weight.LOGPROB: all(ballot.logprob is not None for ballot in ballots),
        Weight.TAIL: all(ballot.tail is not None for ballot in ballots),
    }
    return [weight for weight in Weight if known.get(weight, True)]


def _most_frequent(attempts: AtProblem) -> str | None:
    """Return the answer that is spelled alike most often, of several the first."""
    spelled = Counter(record.answer for record in attempts if record.answer)
    return spelled.most_common(1)[0][0] if spelled else None


def _way(name: str, problems: Sequence[_Problem]) -> Way:
    def against(other: str) -> AccuracyDifference:
        return difference(np.array([float(p.right[name]) - float(p.right[other]) for p in problems]))

    return Way(
        name=name,
        accuracy=accuracy([[float(problem.right[name])] for problem in problems]),
        against_first=against(FIRST),
        against_spelling=against(SPELLING),
    )


def _more(number: int, problems: Sequence[_Problem]) -> More:
    first, right = min(problems[0].more), [float(problem.more[number]) for problem in problems]
    gained = np.array([now - float(p.more[first]) for now, p in zip(right, problems, strict=True)])
    return More(
        attempts=number,
        tokens=_tokens(problems, number),
        accuracy=accuracy([[one] for one in right]),
        against_first=difference(gained),
    )


def _tokens(problems: Sequence[_Problem], number: int) -> int:
    """Return the tokens of the first so many attempts at each problem."""
    return sum(tokens_of(record) for problem in problems for record in problem.attempts[:number])


def _differing(problems: Sequence[_Problem]) -> list[Differing]:
    """Return the problems where a vote by equality and one by spelling differ in what is right."""
    return [
        Differing(
            id=problem.attempts[0].problem.id,
            target=problem.attempts[0].problem.target,
            by_spelling=problem.chosen[SPELLING],
            by_equality=problem.chosen[_WHOLE],
        )
        for problem in problems
        if problem.right[_WHOLE] is not problem.right[SPELLING]
    ]
