"""The records of many attempts at one problem: how they are made, their votes, and the one answer that comes of them.

`agent/attempts.py` makes the attempts and `runs/voting.py` counts their votes. Like the records of one attempt
(`records.py`) these are frozen and go through `to_json` and `from_json`.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from mumath_agent.errors import InputError
from mumath_agent.json_form import OMITTED_IF_NONE
from mumath_agent.records import Problem, RunRecord, Verdict

SCHEMA = 1
"""Version of the JSON form of `Solution`."""

TEMPERATURE = 0.7
"""Of the attempts after the first, where that one is greedy."""


class Weight(StrEnum):
    """What the vote of an attempt counts."""

    COUNT = "count"
    """1."""
    CONSISTENT = "consistent"
    """1 if its last program printed the answer, else 1/2."""
    LOGPROB = "logprob"
    """The mean probability of its tokens (geometric), where the model reports it; else 1."""
    TAIL = "tail"
    """The same of its last 32 tokens."""

    @property
    def needs_logprobs(self) -> bool:
        """Whether the model must be asked for log-probabilities."""
        return self in (Weight.LOGPROB, Weight.TAIL)


class Select(StrEnum):
    """What chooses the answer where the votes are of low confidence; see `agent/selection.py`."""

    VOTES = "votes"
    """Nothing else: the heaviest class wins."""
    CHOOSE = "choose"
    """The model, which is shown a solution of each class."""
    VERIFY = "verify"
    """Programs with which the model checks one answer after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """How many attempts a problem gets, what their votes count, and what ends them early."""

    number: int = 1
    weight: Weight = Weight.COUNT
    select: Select = Select.VOTES
    early_stop: bool = True
    """Cancel the attempts that can't change the answer any more."""
    enough: float | None = None
    """No further attempt is made when the answer would stay the same with this probability (`voting.holds`)."""
    problem_wall_s: float | None = None
    """Seconds for all attempts at a problem."""
    run_wall_s: float | None = None
    """Seconds for all problems; what is left of them is shared out again before each problem."""
    min_confidence: float = 0.8
    """Answers below it are marked as of low confidence."""
    seed: int = 0
    """The attempts' own seeds are drawn from it, where the sampling has none."""

    def __post_init__(self) -> None:
        """Refuse what no attempt could be made with."""
        if not isinstance(self.number, int) or isinstance(self.number, bool) or self.number < 1:
            raise InputError(f"attempts is {self.number!r}; it must be 1 or more")
        for name in ("problem_wall_s", "run_wall_s"):
            seconds = getattr(self, name)
            if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
                raise InputError(f"{name} is {seconds!r}; it must be a number of seconds above 0")
        for name in ("enough", "min_confidence"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise InputError(f"{name} is {share!r}; it must be between 0 and 1")

    @property
    def is_one(self) -> bool:
        """Whether this is a single attempt without a budget, which needs no vote."""
        return self.number == 1 and self.problem_wall_s is None and self.run_wall_s is None


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteClass:
    """The attempts that gave equal answers."""

    answer: str
    """As the first of them wrote it."""
    samples: tuple[int, ...]
    """All of them, whether or not they vote."""
    votes: int
    """How many of them vote: not an answer that was only printed, a hedge, or one that rests on an invented output."""
    weight: float
    """What their votes count together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """What speaks for the answer. None of it says that the answer is right: it is about this model's own agreement."""

    value: float
    """The vote's posterior: how probable it is that endless attempts would still give this answer more often than the
    next one, given the votes so far and nothing known before (the upper half of a Beta distribution)."""
    share: float
    """The votes for the answer, of all attempts that ended."""
    agreement: float | None
    """Of these votes, those whose last program printed the answer; None where no program ran."""
    logprob: float | None
    """The mean log-probability of a token in the attempts that gave the answer, where the model reports it."""
    is_low: bool
    """Whether it is below `Attempts.min_confidence`; never of the answer of a single attempt, which has no vote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What the model was asked about the answers that the votes left in doubt."""

    by: Select
    asked: tuple[RunRecord, ...]
    """Attempts at questions made of the problem."""
    answer: str | None
    """The one that they are for; None: they came to nothing, or refuted all, and the votes' answer stayed."""


class Ending(StrEnum):
    """Why no further attempt was made."""

    ALL = "all"
    """All attempts ended."""
    DECIDED = "decided"
    """The others couldn't change the answer."""
    ENOUGH = "enough"
    """The others would have changed the answer with a probability that is low enough."""
    PROBLEM_WALL = "problem_wall"
    RUN_WALL = "run_wall"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What the attempts took, and what was left out."""

    ending: Ending
    finished: int
    """Attempts that ended."""
    earlier: int
    """Those of them that were there already, made by another command."""
    cancelled: int
    """Attempts that were under way when it was enough."""
    unbegun: int
    """Attempts that weren't begun."""
    tokens: int
    """Tokens that the model wrote in finished attempts, and for the selection."""
    saved_tokens: int
    """An estimate of those that the others would still have written, at the mean of the finished ones."""
    duration_s: float
    """Seconds from the first attempt to the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A problem, the attempts at it, and the answer that their votes chose."""

    schema: int = SCHEMA
    problem: Problem
    how: Attempts
    attempts: tuple[RunRecord, ...]
    """Those that ended, by the number of the sample."""
    votes: tuple[VoteClass, ...]
    """The winner first."""
    answer: str | None
    confidence: Confidence
    budget: Budget
    verdict: Verdict | None = None
    """None: not graded, for want of a gold answer or of an attempt."""
    selection: Annotated[Selection | None, OMITTED_IF_NONE] = None
    """None: the votes alone chose the answer."""

    @property
    def ok(self) -> bool:
        """Whether there is an answer."""
        return self.answer is not None

    @property
    def best(self) -> RunRecord | None:
        """The attempt to show: the first that gave the answer, else the first of all."""
        chosen = self.votes[0].samples[0] if self.votes else None
        found = [record for record in self.attempts if chosen in (None, record.sample)]
        return found[0] if found else None

    @property
    def caution(self) -> str:
        """What a reader must know of the model."""
        return self.attempts[0].caution if self.attempts else ""

    def __str__(self) -> str:
        """Return the best attempt and the answer, as the command line prints them."""
        from mumath_agent.runs.display import solution_text

        return solution_text(self)

    def _repr_markdown_(self) -> str:
        """Return the best attempt and the answer for a notebook."""
        from mumath_agent.runs.display import solution_markdown

        return solution_markdown(self)


__all__ = [
    "TEMPERATURE",
    "Attempts",
    "Budget",
    "Confidence",
    "Ending",
    "Select",
    "Selection",
    "Solution",
    "VoteClass",
    "Weight",
]
