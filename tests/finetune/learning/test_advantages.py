"""What is learned from a group of attempts, and what is left out and counted."""

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.learning.advantages import LeftOut, advantages, fault_in, samples_of
from mumath_agent.dialects import get_text_dialect
from mumath_agent.rollouts import Rollout

END = 2
REWARDS = st.lists(st.sampled_from([None, 0.0, 0.5, 1.0]), max_size=8)
PROGRAM = "```python\nprint(5)\n```\n```output\n"
ANSWER = "So it is $\\boxed{5}$."


def rollout(text: str = "", *, reward: float | None = 1.0, last: int = END) -> Rollout:
    return Rollout(
        prompt_ids=(1,),
        completion_ids=(7, last),
        logprobs=(-0.5, -0.1),
        env_mask=(True, True),
        text=text,
        reward=reward,
    )


@given(groups=st.lists(REWARDS, max_size=6), scaled=st.booleans())
def test_every_rollout_is_learned_from_or_counted(groups: list[list[float | None]], scaled: bool) -> None:
    found = samples_of(
        [[rollout(reward=reward) for reward in group] for group in groups], lambda _: None, scaled=scaled
    )
    assert len(found.kept) + sum(found.left_out.values()) == sum(map(len, groups))
    assert found.left_out.get(LeftOut.NO_REWARD, 0) == sum(group.count(None) for group in groups)
    spread = [rewards for group in groups if len(rewards := {*group} - {None}) > 1]
    assert bool(spread) == bool(found.kept)
    assert sum(sample.advantage for sample in found.kept) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("rewards", "scaled", "expected"),
    [
        ([1.0, 0.0, 0.0, 0.0], False, [0.75, -0.25, -0.25, -0.25]),
        ([1.0, 0.0, 0.0, 0.0], True, [1.5, -0.5, -0.5, -0.5]),
        ([1.0, 1.0, 0.0, 0.0], False, [0.5, 0.5, -0.5, -0.5]),
        ([1.0, 0.0], True, [0.5**0.5, -(0.5**0.5)]),
    ],
)
def test_an_advantage_is_the_distance_from_the_mean(
    rewards: list[float], scaled: bool, expected: list[float]
) -> None:
    assert advantages(rewards, scaled=scaled) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "last", "expected"),
    [
        (ANSWER, END, None),
        (f"Add.\n{PROGRAM}5\n```\n{ANSWER}", END, None),
        (f"{PROGRAM}5\n```\nAgain.\n{PROGRAM}", 9, None),  # the turns were used up
        (f"{PROGRAM}NameError: name 'x' is not defined\n```\n{ANSWER}", END, None),
        (f"{PROGRAM}5\n```\nSo it is 5.", END, LeftOut.VOID),
        ("I don't know.", END, LeftOut.VOID),
        ("```python\nprint(5)", END, LeftOut.VOID),  # a program without an end
        (f"```python\nprint(5)\n# {ANSWER}", END, LeftOut.VOID),
        ("", END, LeftOut.VOID),
        (f"{PROGRAM}5\n```\n", END, LeftOut.VOID),
        (f"{PROGRAM}5\n```\n", 9, LeftOut.TRUNCATED),
        (ANSWER, 9, LeftOut.TRUNCATED),
        ("```python\nprint(5)", 9, LeftOut.TRUNCATED),
        ("So it", 9, LeftOut.TRUNCATED),
    ],
)
def test_void_turns_and_truncation_are_found(text: str, last: int, expected: LeftOut | None) -> None:
    assert (
        fault_in(get_text_dialect("fenced"), end_id=END, max_tokens=99)(rollout(text, last=last)) is expected
    )


def test_what_failed_formally_is_in_the_mean_and_not_learned() -> None:
    group = [
        rollout(ANSWER),
        rollout(ANSWER, reward=0.0),
        rollout("Hm.", reward=0.0),
        rollout("", reward=None),
    ]
    found = samples_of(
        [group, [rollout(ANSWER)] * 3], fault_in(get_text_dialect("fenced"), end_id=END, max_tokens=99)
    )
    assert [sample.advantage for sample in found.kept] == pytest.approx([1 - 1 / 3, -1 / 3])
    assert fmean(sample.rollout.reward or 0.0 for sample in found.kept) == 0.5
    assert found.left_out == {LeftOut.VOID: 1, LeftOut.NO_REWARD: 1, LeftOut.NO_SPREAD: 3}
