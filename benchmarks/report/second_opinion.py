"""Ask another grader about the answers of a run, and find the verdicts that it disputes.

The other one is math-verify by itself, with its own settings and none of our rules (`Grader.second_opinion`), in worker
processes like ours, under the same limits. A verdict is disputed if that grader decides, and would count the attempt
otherwise. Where the two disagree a person has to look: neither is always right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.report.attempts import by_problem, is_correct, is_scored
from mumath_agent.concurrency import map_each
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome, RunRecord, Verdict

_ASKED_AT_ONCE = 16
_MOST_SHOWN, _SHOWN_CHARS = 40, 60
Texts = tuple[str, str]
"""An answer, and its target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """An attempt that the two graders count differently."""

    problem: str
    sample: int
    target: str
    answer: str
    verdict: Verdict
    second: Verdict

    @property
    def attempt(self) -> str:
        """The attempt's address, as in the page of a run."""
        return f"{self.problem}~{self.sample}" if self.sample else self.problem

    def __str__(self) -> str:
        """Return both texts and both verdicts, with their reasons, in one line that a terminal may be given."""
        texts = f"{_shortened(self.answer)} for {_shortened(self.target)}"
        told = f"{texts}: {_told(self.verdict)}; {_told(self.second)}"
        return "".join(character if character.isprintable() else " " for character in told)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondOpinion:
    """What the other grader says of a run."""

    asked: int
    """Attempts with an answer that were graded."""
    undecided: int
    """Those of them on which it has no opinion."""
    disputes: tuple[Dispute, ...]
    accuracy: float | None
    """The lenient accuracy if it were right wherever it decides; None: nothing is scored."""

    @property
    def summary(self) -> str:
        """How many verdicts are disputed, and what that could change."""
        told = f"{len(self.disputes):,} of {self.asked:,}"
        if self.disputes and self.accuracy is not None:
            told += f" (its own would make {100 * self.accuracy:.1f})"
        return f"{told}; {self.undecided:,} it can't decide" if self.undecided else told

    @property
    def in_words(self) -> dict[str, str]:
        """The first disputes by their attempt; the JSON form has them all."""
        shown = {one.attempt: str(one) for one in self.disputes[:_MOST_SHOWN]}
        more = len(self.disputes) - _MOST_SHOWN
        return shown | ({"and more": f"{more:,}; --json has them all"} if more > 0 else {})


async def second_opinion(records: Sequence[RunRecord], grader: Grader) -> SecondOpinion:
    """Return the other grader's opinion; it is asked once about the same texts."""
    asked = [(record, texts) for record in records if (texts := _texts(record)) is not None]

    async def ask(texts: Texts) -> tuple[Texts, Verdict]:
        return texts, await grader.second_opinion(*texts)

    distinct = list(dict.fromkeys(texts for _, texts in asked))
    seconds = dict(await map_each(distinct, ask, concurrency=_ASKED_AT_ONCE))
    found = [seconds[texts] for _, texts in asked]
    disputes = [
        _dispute(*each, seconds[each[1]]) for each in asked if _is_disputed(each[0], seconds[each[1]])
    ]

    def is_right(record: RunRecord) -> bool:
        texts = _texts(record)
        return is_correct(record) is not (texts is not None and _is_disputed(record, seconds[texts]))

    return SecondOpinion(
        asked=len(found),
        undecided=sum(second.outcome is Outcome.UNGRADED for second in found),
        disputes=tuple(disputes),
        accuracy=_accuracy(records, is_right),
    )


def _accuracy(records: Sequence[RunRecord], is_right: Callable[[RunRecord], bool]) -> float | None:
    problems = by_problem(filter(is_scored, records)).values()
    return fmean(fmean(map(is_right, attempts)) for attempts in problems) if problems else None


def _texts(record: RunRecord) -> Texts | None:
    """Return what was compared; None if nothing was."""
    answer, target = record.trajectory.answer, record.problem.target
    return (answer.text, target) if is_scored(record) and answer and target is not None else None


def _is_disputed(record: RunRecord, second: Verdict) -> bool:
    return second.outcome is not Outcome.UNGRADED and is_correct(record) is not (
        second.outcome is Outcome.CORRECT
    )


def _dispute(record: RunRecord, texts: Texts, second: Verdict) -> Dispute:
    assert record.verdict is not None
    return Dispute(
        problem=record.problem.id,
        sample=record.sample,
        answer=texts[0],
        target=texts[1],
        verdict=record.verdict,
        second=second,
    )


def _told(verdict: Verdict) -> str:
    return f"{verdict.outcome.value} ({verdict.method}{f', {verdict.detail}' if verdict.detail else ''})"


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"
