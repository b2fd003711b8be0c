"""Count the votes of the attempts at a problem: the one rule of the solver, of reports and of `benchmarks votes`.

Answers are grouped by the grader's equality. The class whose votes weigh most wins; of equally heavy classes the one
that more attempts gave, voting or not; then the one with the earliest attempt, which is the greedy one if there is one.

An attempt doesn't vote if its answer was only printed and never stated (its last turn is void), if it hedges ("3 or
5"), or if the model itself wrote an output somewhere. Such answers are in the classes, and win if nobody votes.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import anyio

from mumath_agent.answers import boxed_answers
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader, vote_classes
from mumath_agent.models.calibration import log_probability, tail_log_probability
from mumath_agent.records import AnswerSource, Execution, ExecutionStatus, Outcome, RunRecord
from mumath_agent.runs.executed import turns_of
from mumath_agent.solutions import Attempts, Confidence, Ending, VoteClass, Weight
from mumath_agent.transcript import Kind

_MOST = 1.0
"""No vote counts more."""
_LONGEST_LINE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """What one attempt brings to the vote."""

    sample: int
    answer: str | None
    votes: bool
    agrees: bool | None
    """Whether its last program printed the answer; None: no program ran."""
    logprob: float | None
    """The mean of its tokens."""
    tail: float | None
    """The mean of its last tokens."""

    def weight(self, by: Weight) -> float:
        """Return what its vote counts."""
        if not self.votes:
            return 0.0
        if by is Weight.CONSISTENT:
            return _MOST if self.agrees else _MOST / 2
        mean = {Weight.LOGPROB: self.logprob, Weight.TAIL: self.tail}.get(by)
        return _MOST if mean is None else min(_MOST, math.exp(mean))


class Count:
    """The votes of the attempts at one problem, as the attempts come in."""

    def __init__(self, grader: Grader, how: Attempts) -> None:
        """Begin without any attempt."""
        self._grader, self._how = grader, how
        self._ballots: dict[int, Ballot] = {}
        self._known: dict[tuple[str, str], bool] = {}
        self._adding = anyio.Lock()
        self.classes: tuple[VoteClass, ...] = ()
        """The winner first, then by weight."""

    async def add(self, *records: RunRecord) -> None:
        """Take attempts that have ended. Whatever the order in which they come, the classes are the same."""
        async with self._adding:  # else an older count could come after a newer one
            new = {each.sample: await agreeing(ballot_of(each), each, self._grader) for each in records}
            ballots = {**self._ballots, **new}
            ordered = [ballots[sample] for sample in sorted(ballots)]
            self.classes = await classes_of(ordered, self._grader, self._how.weight, self._known)
            self._ballots = ballots

    def choose(self, answer: str) -> None:
        """Make the class of this answer the winner, until another attempt is added."""
        self.classes = tuple(sorted(self.classes, key=lambda each: each.answer != answer))

    @property
    def answer(self) -> str | None:
        """The winner's answer, as its first attempt wrote it."""
        return self.classes[0].answer if self.classes else None

    def decided(self) -> Ending | None:
        """Return why no further attempt is needed; None if one is."""
        left = self._how.number - len(self._ballots)
        if left <= 0:
            return Ending.ALL
        heaviest, second = (each.weight for each in (*self.classes, *[_NOBODY] * 2)[:2])
        if self._how.early_stop and heaviest > second + left * _MOST:
            return Ending.DECIDED
        if self._how.enough is not None and self._holds(left) >= self._how.enough:
            return Ending.ENOUGH
        return None

    def _holds(self, left: int) -> float:
        """Return how probable it is that so many further attempts would leave the first class the first."""
        leader, second = (*self.classes, _NOBODY, _NOBODY)[:2]
        others = len(self._ballots) - leader.votes - second.votes
        return holds(leader.votes, second.votes, others, left) if leader.votes else 0.0

    def confidence(self) -> Confidence:
        """Return what speaks for the first class; see `Confidence`."""
        ended = len(self._ballots)
        leader, *others = self.classes or [_NOBODY]
        silent = ended - sum(each.votes for each in self.classes)
        rivals = max([silent, *(each.votes for each in others)])
        value = posterior(leader.votes, rivals) if leader.votes else 0.0
        voters = [ballot for sample in leader.samples if (ballot := self._ballots[sample]).votes]
        return Confidence(
            value=value,
            share=leader.votes / ended if ended else 0.0,
            agreement=_mean(float(ballot.agrees) for ballot in voters if ballot.agrees is not None),
            logprob=_mean(ballot.logprob for ballot in voters if ballot.logprob is not None),
            is_low=value < self._how.min_confidence and not (self._how.number == 1 and leader.votes),
        )


def ballot_of(record: RunRecord) -> Ballot:
    """Return what an attempt brings to the vote, without whether its output agrees."""
    attempt = record.trajectory
    answer = attempt.answer.text if attempt.answer and not attempt.error else None
    return Ballot(
        sample=record.sample,
        answer=answer,
        votes=answer is not None and not (_is_printed(record) or _is_hedge(record) or _invents(record)),
        agrees=None,
        logprob=_logprob(record),
        tail=tail_log_probability(record.trajectory.completions),
    )


async def agreeing(ballot: Ballot, record: RunRecord, grader: Grader) -> Ballot:
    """Return the ballot with whether the last program printed the answer."""
    executions = record.trajectory.executions
    if ballot.answer is None or not executions:
        return ballot
    return replace(ballot, agrees=await _agrees(ballot.answer, executions, grader))


async def classes_of(
    ballots: Sequence[Ballot],
    grader: Grader,
    weight: Weight = Weight.COUNT,
    known: dict[tuple[str, str], bool] | None = None,
) -> tuple[VoteClass, ...]:
    """Return the classes of equal answers, the winner first."""
    grouped = await vote_classes([ballot.answer for ballot in ballots], grader, known)
    classes = [_vote_class([ballots[position] for position in positions], weight) for positions in grouped]
    return tuple(sorted(classes, key=lambda each: (-each.weight, -len(each.samples), each.samples[0])))


def posterior(votes: int, rivals: int) -> float:
    """Return the probability that a share is above one half after so many votes for it and against it.

    It is the upper half of Beta(votes + 1, rivals + 1), as in Aggarwal et al. (2023), "Let's Sample Step by Step".
    """
    tosses = votes + rivals + 1
    return float(sum(math.comb(tosses, heads) for heads in range(votes + 1)) / 2**tosses)


def holds(leader: int, second: int, others: int, left: int) -> float:
    """Return the probability that the leader still has most votes when so many further attempts have voted.

    What they vote for is drawn as a Dirichlet distribution predicts that knew nothing before the votes so far: for the
    leader, for the second, or for neither (an attempt without a vote is one of the others). A tie counts as lost.
    """
    shares = (leader + 1, second + 1, others + 1)
    total = sum(shares)
    whole = math.lgamma(total) - math.lgamma(total + left) + math.lgamma(left + 1)

    def probability(*votes: int) -> float:
        parts = zip(shares, votes, strict=True)
        return math.exp(
            whole + sum(math.lgamma(a + n) - math.lgamma(a) - math.lgamma(n + 1) for a, n in parts)
        )

    return math.fsum(
        probability(more, rival, left - more - rival)
        for more in range(left + 1)
        for rival in range(min(left - more, leader + more - second - 1) + 1)
    )


_NOBODY = VoteClass(answer="", samples=(), votes=0, weight=0.0)


def _vote_class(ballots: Sequence[Ballot], by: Weight) -> VoteClass:
    first = next((ballot for ballot in ballots if ballot.votes), ballots[0])
    return VoteClass(
        answer=first.answer or "",
        samples=tuple(ballot.sample for ballot in ballots),
        votes=sum(ballot.votes for ballot in ballots),
        weight=math.fsum(ballot.weight(by) for ballot in ballots),
    )


def _is_printed(record: RunRecord) -> bool:
    answer = record.trajectory.answer
    return answer is not None and answer.found_in is AnswerSource.OUTPUT


def _is_hedge(record: RunRecord) -> bool:
    """Tell whether the answer is several boxes with "or" between them; one box that says "or" is a set of solutions."""
    answer = record.trajectory.answer
    if answer is None or answer.found_in is not AnswerSource.BOXED or " or " not in answer.text:
        return False
    segments = record.trajectory.transcript.segments
    return not any(answer.text in boxed_answers(s.text) for s in segments if s.kind is Kind.RATIONALE)


def _invents(record: RunRecord) -> bool:
    """Tell whether the model wrote an output that no program printed."""
    try:
        return any(segment.kind is Kind.OUTPUT for turn in turns_of(record) for segment in turn.written)
    except InputError:  # somebody's own dialect
        return False


async def _agrees(answer: str, executions: Sequence[Execution], grader: Grader) -> bool:
    """Tell whether the last program printed the answer: alone, or as its last line's last word."""
    last = executions[-1]
    if last.status is not ExecutionStatus.OK:
        return False
    lines = [printed.strip().rpartition("\n")[2].strip() for printed in (last.stdout, last.result or "")]
    for line in filter(None, lines):
        for text in dict.fromkeys((line[-_LONGEST_LINE:], line.rsplit(maxsplit=1)[-1])):
            if (await grader.grade(answer, text)).outcome is Outcome.CORRECT:
                return True
    return False


def _logprob(record: RunRecord) -> float | None:
    completions = record.trajectory.completions
    total, tokens = log_probability(completions), sum(each.completion_tokens for each in completions)
    return total / tokens if tokens and total is not None else None


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return math.fsum(known) / len(known) if known else None


__all__ = ["Ballot", "Count", "agreeing", "ballot_of", "classes_of", "holds", "posterior"]
