"""Define the records between the stages of the data pipeline, one JSON object a line.

seeds, augment      Question    a problem, with a solution in words where one is known
synthesize          RunRecord   an attempt at a problem, as the library writes it (`mumath_agent.records`)
select              Solution    a question and the whole text of a solution: training reads these two
"""

from dataclasses import dataclass
from enum import StrEnum

from mumath_agent.records import Problem

UNCONFIRMED = "target:unconfirmed"
"""The tag of a problem whose target may not be the answer: `select` trusts it only where most attempts have it."""


class SolutionFormat(StrEnum):
    """The format of a solution, and with it the stage of training it is for."""

    COT = "cot"
    """In words only: stage 1."""
    CODE = "code"
    """With programs and their outputs: stage 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A problem and, where one is known, a solution of it in words."""

    problem: Problem
    rationale: str | None = None
    """As the source has it, calculator marks and all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A training row."""

    id: str
    """The problem and sample it comes from."""
    question: str
    solution: str
    """Every byte the model has to write, with the outputs it reads, in the dialect's marks."""
    format: SolutionFormat
    dialect: str
    source: str
    seed_id: str | None = None
    augmentation: str | None = None
    pseudo: bool = False
    """Whether the answer is the majority's, because the target isn't known."""
