"""What the page is told of an answer: plain records, while it is made and when it is there.

`answer_view` reads a finished `Solution`; `following.py` builds the same of what happens in one that is under way.
"""

from dataclasses import dataclass, replace

from mumath_agent.records import RunRecord
from mumath_agent.runs.page.formulas import formulas
from mumath_agent.runs.page.turns import TurnView, turn_views
from mumath_agent.runs.wording import answer_line, cautions, solution_line, votes_line
from mumath_agent.solutions import Solution


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """One attempt."""

    sample: int
    state: str
    """ "begun", "writing", "running", "asking", "ended" or "cancelled"."""
    line: str = ""
    """How it ended."""
    answer: str | None = None
    turns: tuple[TurnView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A program that waits for a person."""

    token: str
    sample: int
    program: str
    visible: str
    """The program with what can't be seen written out."""
    colours: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """An answer and how many attempts gave it."""

    answer: str
    votes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of the attempts."""

    answer: str | None
    line: str
    votes_line: str
    confidence: float
    is_low: bool
    agreement: float | None
    best: int | None
    """The sample to show first."""
    tokens: int
    seconds: float
    isolation: str
    caution: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerView:
    """A question and all that is known of its answer."""

    id: str
    question: str
    question_runs: str
    model: str
    number: int
    """How many attempts were asked for."""
    asked_at: str
    state: str
    """ "running", "done", "stopped", "failed" or "interrupted"."""
    note: str = ""
    """What a reader must know: the error, or how the Python session came to be."""
    attempts: tuple[AttemptView, ...] = ()
    votes: tuple[Vote, ...] = ()
    asked: tuple[Asked, ...] = ()
    result: Result | None = None


def attempt_view(record: RunRecord) -> AttemptView:
    """Return an attempt that has ended."""
    return AttemptView(
        sample=record.sample,
        state="ended",
        line=answer_line(record.trajectory),
        answer=record.answer,
        turns=turn_views(record),
    )


def with_solution(view: AnswerView, solution: Solution) -> AnswerView:
    """Return the view with the result, and each finished attempt as its record has it."""
    ended = {record.sample: attempt_view(record) for record in solution.attempts}
    others = {each.sample: each for each in view.attempts if each.sample not in ended}
    return replace(
        view,
        attempts=tuple(each for _, each in sorted((ended | others).items())),
        votes=tuple(Vote(answer=each.answer, votes=each.votes) for each in solution.votes),
        asked=(),
        result=_result(solution),
    )


def new_view(id: str, question: str, model: str, number: int, asked_at: str) -> AnswerView:
    """Return the view of a question that has just been asked."""
    return AnswerView(
        id=id,
        question=question,
        question_runs=formulas(question),
        model=model,
        number=number,
        asked_at=asked_at,
        state="running",
    )


def _result(solution: Solution) -> Result:
    confidence, best = solution.confidence, solution.best
    return Result(
        answer=solution.answer,
        line=solution_line(solution),
        votes_line=votes_line(solution),
        confidence=confidence.value,
        is_low=confidence.is_low,
        agreement=confidence.agreement,
        best=best.sample if best else None,
        tokens=solution.budget.tokens,
        seconds=solution.budget.duration_s,
        isolation=best.isolation if best else "",
        caution=cautions(solution),
    )
