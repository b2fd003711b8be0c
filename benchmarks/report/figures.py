"""Work out the figures of a run: accuracy and how sure it is, failures by cause, and what it took.

A `Run` as read back becomes a `RunReport`. Its JSON form is what `report --json` prints, so its fields are the keys of
that document. `layout` and the viewer show it, the arithmetic is in `metrics`, and `attempts` says which attempts are
scored.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.report.attempts import (
    Attempts,
    Cause,
    by_problem,
    cause_of,
    is_correct,
    is_scored,
    is_strictly_correct,
    may_be_correct,
    tag_order,
    tags_of,
    without_seed,
)
from benchmarks.report.metrics import Ballot, Estimate, Scores, accuracy, ks, maj_at, pass_at
from benchmarks.report.second_opinion import SecondOpinion, second_opinion
from benchmarks.runs import Run, RunManifest
from mumath_agent.agent.nudges import nudges_of
from mumath_agent.concurrency import map_each
from mumath_agent.grading import Grader
from mumath_agent.records import Execution, ExecutionStatus, RunRecord, Settings
from mumath_agent.runs.voting import ballot_of, classes_of

FEW = 100
"""With fewer problems than this, a remark says how wide the interval is."""
MOST_GROUPS = 40
"""A tag with more values than this doesn't group anything."""
_COUNTED_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class AtK:
    """An estimate for k samples."""

    k: int
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The scored problems with the tag "key:value"."""

    key: str
    value: str
    lenient: Estimate
    strict: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A quantity over attempts."""

    mean: float
    median: float
    p95: float
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """All figures of a run. Shares are from 0 to 1, intervals are 95 %."""

    name: str
    manifest: RunManifest | None
    settings: Settings
    """The run's, else the first attempt's; so are `isolation` and `version`. A remark says if others differ."""
    isolation: str
    version: str
    problems: int
    samples: int
    """Most attempts at one problem."""
    attempts: int
    scored: int
    """Attempts with a verdict. The others count in `causes` and nowhere else."""
    lenient: Estimate | None
    """Correct, wherever the answer was found; an ungraded answer is not. None: nothing is scored."""
    strict: Estimate | None
    """Correct, and in a box."""
    if_ungraded_right: float | None
    """What `lenient.value` would be if all ungraded answers were right; it is the value if all were wrong."""
    second: SecondOpinion | None
    """What another grader says of the same answers; None if it wasn't asked."""
    pass_at: tuple[AtK, ...]
    """Lenient, and only over problems with k scored samples; the estimate has their number."""
    maj_at: tuple[AtK, ...]
    """The same for the most frequent answer of k."""
    groups: tuple[Group, ...]
    causes: dict[Cause, int]
    """Attempts by what became of them; the numbers add up to `attempts`."""
    with_program: int
    """Attempts that ran a program."""
    nudged: int
    """Attempts that the agent told how to go on."""
    cells: dict[ExecutionStatus, int]
    """Executed programs by how they ended."""
    sessions_lost: int
    """Kernels replaced, with all they held gone."""
    sessions_rebuilt: int
    """Kernels replaced, and what they held brought back."""
    usage: dict[str, Spread]
    """An attempt's turns, cells, prompt_tokens, completion_tokens and seconds; without broken attempts."""
    remarks: tuple[str, ...]
    """What a reader has to know before quoting a number."""


async def make_report(run: Run, grader: Grader, *, ask_second: bool = False) -> RunReport:
    """Return the figures of a run; `grader` decides which answers to a problem are one vote.

    Args:
        run: the run.
        grader: has the worker processes.
        ask_second: ask another grader, too (`second_opinion`).
    """
    problems = by_problem(run.records)
    scored = [kept for attempts in problems.values() if (kept := tuple(filter(is_scored, attempts)))]
    causes = Counter(map(cause_of, run.records))
    executions = [e for record in run.records for e in record.trajectory.executions]
    statuses = Counter(execution.status for execution in executions)
    report = RunReport(
        name=run.name,
        manifest=run.manifest,
        settings=run.manifest.settings if run.manifest else run.records[0].settings,
        isolation=run.records[0].isolation,
        version=run.records[0].version,
        problems=len(problems),
        samples=max(map(len, problems.values())),
        attempts=len(run.records),
        scored=sum(map(len, scored)),
        lenient=accuracy(_scores(scored, is_correct)) if scored else None,
        strict=accuracy(_scores(scored, is_strictly_correct)) if scored else None,
        if_ungraded_right=accuracy(_scores(scored, may_be_correct)).value if scored else None,
        second=await second_opinion(run.records, grader) if ask_second else None,
        pass_at=_passes(scored),
        maj_at=await _majorities(scored, grader),
        groups=tuple(_groups(scored)),
        causes={cause: causes[cause] for cause in Cause},
        with_program=sum(any(map(_ran, record.trajectory.executions)) for record in run.records),
        nudged=sum(nudges_of(record.trajectory.transcript) > 0 for record in run.records),
        cells={status: statuses[status] for status in ExecutionStatus},
        sessions_lost=sum(execution.state_lost for execution in executions),
        sessions_rebuilt=sum(execution.state_replayed for execution in executions),
        usage=_usage([record for record in run.records if cause_of(record) is not Cause.BROKEN]),
        remarks=(),
    )
    return replace(report, remarks=tuple(_remarks(report, run.records, scored)))


def _scores(scored: Sequence[Attempts], score: Callable[[RunRecord], bool]) -> Scores:
    return [[float(score(record)) for record in attempts] for attempts in scored]


def _ks(scored: Sequence[Attempts]) -> tuple[int, ...]:
    """Return the k of which pass@k and maj@k are reported; none where there is only one sample."""
    most = max(map(len, scored), default=0)
    return ks(most) if most > 1 else ()


def _passes(scored: Sequence[Attempts]) -> tuple[AtK, ...]:
    scores = _scores(scored, is_correct)
    return tuple(AtK(k=k, estimate=pass_at(scores, k)) for k in _ks(scored))


async def _majorities(scored: Sequence[Attempts], grader: Grader) -> tuple[AtK, ...]:
    if not (wanted := _ks(scored)):
        return ()

    async def count_votes(attempts: Attempts) -> Ballot:
        return await _ballot(attempts, grader)

    ballots = await map_each(scored, count_votes, concurrency=_COUNTED_AT_ONCE)
    return tuple(AtK(k=k, estimate=maj_at(ballots, k)) for k in wanted)


async def _ballot(attempts: Attempts, grader: Grader) -> Ballot:
    """Count the votes for each answer to a problem, as the solver does."""
    ballots = {record.sample: ballot_of(record) for record in attempts}
    right = {record.sample: is_correct(record) for record in attempts}
    classes = await classes_of(list(ballots.values()), grader)
    voters = [[sample for sample in each.samples if ballots[sample].votes] for each in classes if each.votes]
    return Ballot(
        votes=tuple(map(len, voters)),
        # Equal answers should score the same; where grading against the gold says otherwise, their mean is neutral.
        scores=tuple(sum(right[sample] for sample in samples) / len(samples) for samples in voters),
        silent=len(attempts) - sum(map(len, voters)),
    )


def _groups(scored: Sequence[Attempts]) -> Iterator[Group]:
    """Yield the groups of each tag, sorted; numbers by their size."""
    by_tag: dict[str, dict[str, list[Attempts]]] = {}
    for attempts in scored:
        for key, value in tags_of(attempts[0]).items():
            by_tag.setdefault(key, {}).setdefault(value, []).append(attempts)
    for key, groups in sorted(by_tag.items()):
        if len(groups) <= MOST_GROUPS:
            for value in sorted(groups, key=tag_order):
                lenient, strict = (_scores(groups[value], s) for s in (is_correct, is_strictly_correct))
                yield Group(key=key, value=value, lenient=accuracy(lenient), strict=accuracy(strict))


def _usage(records: Sequence[RunRecord]) -> dict[str, Spread]:
    attempts = [record.trajectory for record in records]
    quantities: dict[str, list[float]] = {
        "turns": [len(a.completions) for a in attempts],
        "cells": [len(a.executions) for a in attempts],
        "prompt_tokens": [sum(c.prompt_tokens for c in a.completions) for a in attempts],
        "completion_tokens": [sum(c.completion_tokens for c in a.completions) for a in attempts],
        "seconds": [a.duration_s for a in attempts],
    }
    return {name: _spread(values) for name, values in quantities.items() if values}


def _ran(execution: Execution) -> bool:
    return execution.status is not ExecutionStatus.REFUSED


def _spread(values: Sequence[float]) -> Spread:
    return Spread(
        mean=float(np.mean(values)),
        median=float(np.median(values)),
        p95=float(np.percentile(values, 95)),
        total=float(np.sum(values)),
    )


def _remarks(report: RunReport, records: Sequence[RunRecord], scored: Sequence[Attempts]) -> Iterator[str]:
    """Yield what weakens the numbers, each with what can be done about it."""
    ways = {(without_seed(record.settings), record.isolation, record.version) for record in records}
    if len(ways) > 1:
        yield f"attempts were made in {len(ways)} different ways: settings, isolation or version differ"
    owed = report.manifest.problems * report.manifest.samples - report.attempts if report.manifest else 0
    if owed > 0:
        yield f"the run is not finished: {owed:,} attempts are missing; the same `run` command makes them"
    if number := report.causes[Cause.BROKEN]:
        yield f"broken machinery ended {_attempts(number)}; not scored, and made again by the same `run` command"
    if number := report.causes[Cause.NO_VERDICT]:
        yield f"{_attempts(number)} without a verdict, not scored; `regrade` grades where there is a gold answer"
    if report.lenient is None or report.if_ungraded_right is None:
        return
    if number := report.causes[Cause.UNGRADED]:
        bounds = (
            f"{report.lenient.value:.1%} if all are wrong and {report.if_ungraded_right:.1%} if all are right"
        )
        yield f"the grader couldn't decide on {number:,} of the answers: accuracy is {bounds}"
    fewest = min(map(len, scored))
    if fewest < report.samples:
        yield f"between {fewest} and {report.samples} attempts a problem are scored"
    if len(scored) < FEW:
        width = f"±{100 * report.lenient.half_width:.0f} points"
        yield f"{len(scored)} problem{'s' * (len(scored) > 1)}: the interval is {width}"


def _attempts(number: int) -> str:
    return "1 attempt" if number == 1 else f"{number:,} attempts"
