"""Name the reasons for dropping an attempt. Every attempt is kept or has exactly one: the first that applies."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """A reason for dropping; the order is that of the rules."""

    REPEATED = "repeated line"
    """The same sample of the same problem, with the same text: it stands in the files twice."""
    BROKEN = "broken machinery"
    UNFINISHED = "unfinished"
    """A limit ended it, or a block has no end."""
    NO_ANSWER = "no answer"
    INVENTED_OUTPUT = "invented output"
    """Its text, cut as training will cut it, has an output that no execution gave."""
    UNEXECUTED = "unexecuted program"
    ERROR_ONLY = "no program ran through"
    UNCONFIRMED = "target not confirmed"
    """A teacher's wording may have lost the target, and most attempts at the question don't have it."""
    WRONG = "wrong answer"
    UNGRADED = "ungraded"
    """The target is known, but the grader couldn't decide."""
    NO_MAJORITY = "no majority"
    """The target isn't known, and the attempts at the question don't agree on one."""
    OUTVOTED = "outvoted"
    """The target isn't known, and most attempts have another answer."""
    NUDGED = "nudged"
    """The agent told the model how to go on: its text isn't all that the solution took."""
    OTHER_FORMAT = "other format"
    """It has programs where solutions in words are wanted, or the other way round."""
    TOO_LONG = "too long"
    CONTAMINATED = "contaminated"
    """Its question is one of a benchmark, or nearly."""
    DUPLICATE = "duplicate"
    """Question and solution are those of another attempt."""
    NEAR_DUPLICATE = "near-duplicate"
    SURPLUS = "more than wanted per question"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A reason, with the details of this case."""

    reason: Reason
    detail: str = ""


Faults = dict[int, Fault]
"""Faults by the position of their attempt in the sequence that was looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """An attempt that isn't trained on: a line of `OUT.dropped.jsonl`."""

    id: str
    reason: Reason
    detail: str
