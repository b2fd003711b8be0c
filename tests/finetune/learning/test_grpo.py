"""The loss and its gradient are those of a slow reference, and what the model didn't write has none."""

import math
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.learning.advantages import Sample
from finetune.learning.grpo import (
    Objective,
    PolicyBatch,
    policy_batch,
    policy_loss,
    remembering,
    token_losses,
)
from finetune.training.loss import CHUNK_TOKENS, logprobs_of
from tests.finetune.learning.conftest import random_rollout

if TYPE_CHECKING:
    from finetune.training.weights import Model

pytestmark = pytest.mark.train

Make = Callable[[int], "Model"]
RATIOS = (0.3, 0.79, 0.81, 0.95, 1.0, 1.1, 1.27, 1.29, 3.0)
"""None at an edge, where single precision may take the other side."""


def written_logprobs(model: "Model", sample: Sample) -> list[torch.Tensor]:
    """Return the log-probabilities of the tokens that the model wrote, one by one, as transformers has them."""
    prompt, completion = sample.rollout.prompt_ids, sample.rollout.completion_ids
    found = []
    for number, (token, mine) in enumerate(zip(completion, sample.rollout.env_mask, strict=True)):
        if mine:
            seen = torch.tensor([[*prompt, *completion[:number]]])
            found.append(model(input_ids=seen, use_cache=False).logits[0, -1].log_softmax(-1)[token])
    return found


def slow_loss(
    new: torch.Tensor, old: float, behaviour: float, reference: float, advantage: float, by: Objective
) -> torch.Tensor:
    """Return the loss of one token, as the formulas say it."""
    ratio = torch.exp(new - old)
    inside = 1 - by.clip_low <= ratio.item() <= 1 + by.clip_high
    edge = 1 + by.clip_high if ratio.item() > 1 else 1 - by.clip_low
    gain = ratio * advantage
    if not inside and edge * advantage < gain.item():
        gain = torch.tensor(edge * advantage, dtype=torch.float64)
    correction = 1.0 if by.correction_cap is None else min(math.exp(old - behaviour), by.correction_cap)
    apart = reference - new
    return -gain * correction + by.kl * (torch.exp(apart) - apart - 1)


def gradient_of(model: "Model", loss: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat(
        [weight.grad.flatten().double() for weight in model.parameters() if weight.grad is not None]
    )


OBJECTIVES = st.builds(
    Objective,
    clip_low=st.just(0.2),
    clip_high=st.sampled_from([0.2, 0.28]),
    correction_cap=st.sampled_from([None, 1.0, 2.0]),
    kl=st.sampled_from([0.0, 0.1]),
)


@given(seed=st.integers(0, 2**32), objective=OBJECTIVES, packed=st.booleans())
@settings(max_examples=25)
def test_the_gradient_is_that_of_a_slow_reference(
    tiny: Make, seed: int, objective: Objective, packed: bool
) -> None:
    random = Random(seed)
    samples = [
        Sample(rollout=random_rollout(random), advantage=random.uniform(-1, 1))
        for _ in range(random.randint(1, 4))
    ]
    model, exact, reference = tiny(0), tiny(0).double(), tiny(1)
    batch = remembering(policy_batch(samples, packed=packed), model, reference=reference)
    assert batch.old is not None and batch.reference is not None
    tokens = [
        (logprob, behaviour, sample.advantage)
        for sample in samples
        for logprob, behaviour in zip(
            written_logprobs(exact, sample),
            [lp for lp, mine in zip(sample.rollout.logprobs, sample.rollout.env_mask, strict=True) if mine],
            strict=True,
        )
    ]
    other = [one.item() for sample in samples for one in written_logprobs(tiny(1).double(), sample)]
    assert batch.written == len(tokens)
    assert batch.old.tolist() == pytest.approx([new.item() for new, _, _ in tokens], abs=1e-5)
    assert batch.reference.tolist() == pytest.approx(other, abs=1e-5)
    old = [new.item() - math.log(random.choice(RATIOS)) for new, _, _ in tokens]
    fast = policy_loss(model, replace(batch, old=torch.tensor(old)), objective).loss
    slow = sum(
        (
            slow_loss(new, was, behaviour, ref, advantage, objective)
            for (new, behaviour, advantage), was, ref in zip(tokens, old, other, strict=True)
        ),
        torch.zeros((), dtype=torch.float64, requires_grad=True),
    )
    share = max(1, len(tokens))
    assert fast.item() / share == pytest.approx(slow.item() / share, abs=1e-5)
    if tokens:
        difference = gradient_of(model, fast / share) - gradient_of(exact, slow / share)
        assert difference.abs().max() < 1e-5


@pytest.mark.parametrize("packed", [False, True])
def test_what_the_model_did_not_write_has_no_gradient(tiny: Make, packed: bool) -> None:
    random = Random(0)
    samples = [Sample(rollout=random_rollout(random), advantage=0.5) for _ in range(8)]
    model, batch = tiny(0), policy_batch(samples, packed=packed)
    states: list[torch.Tensor] = []

    def keep(_module: object, _inputs: object, output: torch.Tensor) -> None:
        output.retain_grad()
        states.append(output)

    model.get_decoder().norm.register_forward_hook(keep)
    policy_loss(model, batch, Objective(kl=0.1)).loss.backward()
    predicts_written = torch.nn.functional.pad(batch.batch.weights[:, 1:], (0, 1)) > 0
    assert states[0].grad is not None
    assert int(predicts_written.sum()) == batch.written
    assert torch.equal(states[0].grad.abs().sum(-1) > 0, predicts_written)


def test_the_log_probability_and_reward_of_what_others_wrote_make_no_difference(tiny: Make) -> None:
    random, model = Random(1), tiny(0)
    samples = [Sample(rollout=random_rollout(random), advantage=0.5) for _ in range(6)]
    others = [
        replace(
            sample,
            rollout=replace(
                sample.rollout,
                logprobs=tuple(
                    lp if mine else float("nan")
                    for lp, mine in zip(sample.rollout.logprobs, sample.rollout.env_mask, strict=True)
                ),
            ),
        )
        for sample in samples
    ]
    gradients = [
        gradient_of(model, policy_loss(model, policy_batch(s), Objective()).loss) for s in (samples, others)
    ]
    assert torch.equal(*gradients) and gradients[0].abs().sum() > 0


@pytest.mark.parametrize(
    ("new", "old", "advantage", "learns"),
    [
        (0.0, 0.0, 1.0, True),
        (-1.0, -1.2, 1.0, True),
        (-1.0, -1.3, 1.0, False),  # grew enough
        (-1.0, -1.3, -1.0, True),
        (-1.0, -0.7, -1.0, False),  # shrank enough
        (-1.0, -0.7, 1.0, True),
    ],
)
def test_a_clipped_token_is_not_learned(new: float, old: float, advantage: float, learns: bool) -> None:
    logprob = torch.tensor([new], requires_grad=True)
    told = torch.tensor([old])
    batch = policy_batch([Sample(rollout=random_rollout(Random(0)), advantage=1.0)])
    batch = replace(batch, advantages=torch.tensor([advantage]), behaviour=told)
    token_losses(logprob, told, batch, Objective()).sum().backward()
    assert logprob.grad is not None and bool(logprob.grad != 0) is learns


def test_without_an_old_policy_the_gradient_is_that_of_the_advantage(tiny: Make) -> None:
    model = tiny(0)
    samples = [Sample(rollout=random_rollout(Random(1)), advantage=0.5)]
    batch = policy_batch(samples)
    loss = policy_loss(model, batch, Objective(correction_cap=None)).loss
    found = gradient_of(model, loss)
    plain = -0.5 * logprobs_of(model, batch.batch, half=False).sum()
    torch.testing.assert_close(found, gradient_of(model, plain))


def test_more_tokens_than_are_computed_at_a_time(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    random, model = Random(2), tiny(0)
    batch = policy_batch([Sample(rollout=random_rollout(random), advantage=1.0) for _ in range(9)])
    assert 7 < batch.written < CHUNK_TOKENS
    whole = gradient_of(model, policy_loss(model, batch, Objective()).loss)
    monkeypatch.setattr("finetune.training.loss.CHUNK_TOKENS", 7)
    chunked = gradient_of(model, policy_loss(model, batch, Objective()).loss)
    torch.testing.assert_close(chunked, whole, rtol=1e-4, atol=1e-5)  # sums in float32, in another order


def test_an_attempt_of_which_the_model_wrote_nothing_is_no_harm(tiny: Make) -> None:
    silent = replace(random_rollout(Random(0)), env_mask=(False,) * len(random_rollout(Random(0)).env_mask))
    batch: PolicyBatch = policy_batch([Sample(rollout=silent, advantage=1.0)])
    model = tiny(0)
    assert batch.written == 0
    assert not gradient_of(model, policy_loss(model, batch, Objective()).loss).any()
