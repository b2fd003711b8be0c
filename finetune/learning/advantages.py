"""Turn groups of rollouts into samples to learn from: what was better than the others of its group, and by how much.

A group is what the model wrote for one prompt. Its mean reward is the baseline. Everything left out is counted:

    no reward    nobody knows how good it was: it isn't in the mean either
    no spread    all of its group were equally good: no advantage (DAPO's dynamic sampling, arXiv 2503.14476)
    void turn    a turn that neither runs a program nor answers (SimpleTIR, arXiv 2509.02479)
    truncated    a limit cut it off (DAPO's overlong filtering)
    too long     it has more tokens than the recipe trains with

As in SimpleTIR, the last three are in the group's mean, because the model did fail, but no token of theirs is learned:
what stands before the break isn't what made it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, stdev

from mumath_agent.answers import boxed_answers
from mumath_agent.prose import prose
from mumath_agent.protocols import TextDialect
from mumath_agent.rollouts import Rollout
from mumath_agent.transcript import Kind, Segment, Transcript


class LeftOut(StrEnum):
    """Why nothing is learned from a rollout."""

    NO_REWARD = "no reward"
    NO_SPREAD = "no spread"
    VOID = "void turn"
    TRUNCATED = "truncated"
    TOO_LONG = "too long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A rollout to learn from."""

    rollout: Rollout
    advantage: float
    """How much better it was than its group: all of its tokens share it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What is learned from some groups, and what isn't."""

    kept: tuple[Sample, ...]
    left_out: dict[LeftOut, int]


FindFault = Callable[[Rollout], LeftOut | None]


def samples_of(groups: Sequence[Sequence[Rollout]], fault: FindFault, *, scaled: bool = False) -> Samples:
    """Return the rollouts of `groups` that something can be learned from, with their advantages.

    Args:
        groups: the rollouts of each prompt.
        fault: tells why a rollout must not be learned from, or None; see `fault_in`.
        scaled: see `advantages`.
    """
    kept: list[Sample] = []
    left_out: Counter[LeftOut] = Counter()
    for group in groups:
        rewarded = [(one, one.reward) for one in group if one.reward is not None]
        left_out[LeftOut.NO_REWARD] += len(group) - len(rewarded)
        rewards = [reward for _, reward in rewarded]
        if len(set(rewards)) < 2:
            left_out[LeftOut.NO_SPREAD] += len(rewarded)
            continue
        for (rollout, _), advantage in zip(rewarded, advantages(rewards, scaled=scaled), strict=True):
            if found := fault(rollout):
                left_out[found] += 1
            else:
                kept.append(Sample(rollout=rollout, advantage=advantage))
    return Samples(kept=tuple(kept), left_out={why: count for why, count in left_out.items() if count})


def advantages(rewards: Sequence[float], *, scaled: bool = False) -> list[float]:
    """Return by how much each reward of a group is above the group's mean.

    `scaled` divides by the group's standard deviation, as GRPO was published (DeepSeekMath, arXiv 2402.03300). It isn't
    the default: it makes questions that are almost always or almost never solved count more than others (Dr. GRPO,
    arXiv 2503.20783, section 3.1).
    """
    mean = fmean(rewards)
    spread = stdev(rewards) if scaled else 1.0
    return [(reward - mean) / spread for reward in rewards]


def fault_in(dialect: TextDialect, *, end_id: int | None, max_tokens: int) -> FindFault:
    """Return a function that finds void turns and truncation, by a dialect's marks and a tokenizer's end token."""

    def find(rollout: Rollout) -> LeftOut | None:
        if len(rollout.prompt_ids) + len(rollout.completion_ids) > max_tokens:
            return LeftOut.TOO_LONG
        transcript = Transcript(question="", segments=dialect.parse(rollout.text))
        asks = (
            dialect.pending_code(transcript) is not None
        )  # the turns were used up: its output was never read
        if not asks and rollout.completion_ids[-1:] != (end_id,):
            return LeftOut.TRUNCATED
        turns = transcript.turns
        silent = not turns or not turns[-1][-1].kind.written  # it ended at once where it had the word
        return LeftOut.VOID if silent or any(map(_is_void, turns)) else None

    return find


def _is_void(turn: Sequence[Segment]) -> bool:
    """Return whether a turn neither has a whole program nor an answer in a box."""
    return not any(
        segment.closed if segment.kind is Kind.CODE else bool(boxed_answers(prose(segment.text)))
        for segment in turn
        if segment.kind.written
    )
