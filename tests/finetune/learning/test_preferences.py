"""Right and wrong attempts come in pairs; the loss is that of a slow reference and leaves outputs out."""

import math
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from finetune.data.records import SolutionFormat
from finetune.data.select.attempts import Attempt
from finetune.data.select.reasons import Fault, Reason
from finetune.learning.grpo import encoded
from finetune.learning.preferences import (
    EncodedPair,
    Preference,
    encoded_pairs,
    margins,
    pair_batch,
    preference_loss,
    preferences,
)
from finetune.training.encode import UNTRAINED, Encoded
from finetune.training.recipe import RECIPES, read_recipe
from mumath_agent.records import Outcome
from tests.finetune.learning.conftest import random_rollout

if TYPE_CHECKING:
    from finetune.training.weights import Model

pytestmark = pytest.mark.train

BETA = 0.1


def attempt(
    text: str, outcome: Outcome | None, *, question: str = "q", fault: Fault | None = None
) -> Attempt:
    return Attempt(
        id=f"{question}/{text}",
        question=question,
        text=text,
        format=SolutionFormat.CODE,
        dialect="fenced",
        source="test",
        target="5",
        outcome=outcome,
        fault=fault,
    )


RIGHT, WRONG, UNGRADED = Outcome.CORRECT, Outcome.INCORRECT, Outcome.UNGRADED
ATTEMPTS = (
    attempt("right, long", RIGHT),
    attempt("right", RIGHT),
    attempt("right", RIGHT),  # again
    attempt("wrong", WRONG),
    attempt("wrong, longer", WRONG),
    attempt("wrong, and longest", WRONG),
    attempt("cut", WRONG, fault=Fault(reason=Reason.UNFINISHED)),
    attempt("lucky", RIGHT, fault=Fault(reason=Reason.INVENTED_OUTPUT)),
    attempt("nobody knows", UNGRADED),
    attempt("not graded", None),
    attempt("easy", RIGHT, question="easy"),
    attempt("hard", WRONG, question="hard"),
    attempt("dark", UNGRADED, question="dark"),
)


@pytest.mark.parametrize(
    ("at_most", "expected"),
    [
        (1, [("right", "wrong")]),
        (2, [("right", "wrong"), ("right, long", "wrong, longer")]),
        (9, [("right", "wrong"), ("right, long", "wrong, longer")]),
    ],
)
def test_pairs_are_of_one_question_and_both_are_whole(at_most: int, expected: list[tuple[str, str]]) -> None:
    for order in (ATTEMPTS, ATTEMPTS[::-1]):
        found = preferences(order, per_question=at_most)
        assert [(pair.chosen, pair.rejected) for pair in found.pairs] == expected
        assert (found.always_right, found.never_right, found.unused) == (1, 1, 5)


def row_logprob(model: "Model", row: Encoded) -> torch.Tensor:
    """Return the sum of the log-probabilities of a row's trained tokens, one by one."""
    total = torch.zeros((), dtype=torch.float64)
    for number in range(1, len(row.ids)):
        if row.labels[number] != UNTRAINED:
            seen = torch.tensor(row.ids[None, :number], dtype=torch.long)
            total = (
                total + model(input_ids=seen, use_cache=False).logits[0, -1].log_softmax(-1)[row.ids[number]]
            )
    return total


def gradient_of(model: "Model", loss: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat(
        [weight.grad.flatten().double() for weight in model.parameters() if weight.grad is not None]
    )


def random_pairs(seed: int) -> list[EncodedPair]:
    random = Random(seed)
    return [
        EncodedPair(chosen=encoded(random_rollout(random)), rejected=encoded(random_rollout(random)))
        for _ in range(random.randint(1, 3))
    ]


@given(seed=st.integers(0, 2**32), packed=st.booleans())
@settings(max_examples=20)
def test_the_gradient_is_that_of_a_slow_reference(
    tiny: Callable[[int], "Model"], seed: int, packed: bool
) -> None:
    pairs = random_pairs(seed)
    model, exact, reference, exact_reference = tiny(0), tiny(0).double(), tiny(1), tiny(1).double()
    batch = pair_batch(pairs, packed=packed)
    with torch.no_grad():
        before = margins(reference, batch)
    fast = preference_loss(margins(model, batch), before, beta=BETA)
    slow = torch.zeros((), dtype=torch.float64, requires_grad=True)
    for pair in pairs:
        now = row_logprob(exact, pair.chosen) - row_logprob(exact, pair.rejected)
        was = row_logprob(exact_reference, pair.chosen) - row_logprob(exact_reference, pair.rejected)
        slow = slow + torch.log1p(torch.exp(-BETA * (now - was.item())))
    assert fast.item() == pytest.approx(slow.item(), abs=1e-5)
    if sum(batch.written):
        assert (gradient_of(model, fast) - gradient_of(exact, slow)).abs().max() < 1e-5


def test_a_model_that_is_its_reference_has_the_loss_of_a_coin(tiny: Callable[[int], "Model"]) -> None:
    batch = pair_batch(random_pairs(0))
    same = margins(tiny(0), batch)
    assert preference_loss(same, same.detach(), beta=BETA).item() == pytest.approx(len(same) * math.log(2))


def test_steps_along_the_gradient_make_the_chosen_more_probable(tiny: Callable[[int], "Model"]) -> None:
    model, batch = tiny(0), pair_batch(random_pairs(3))
    optimizer, before = torch.optim.SGD(model.parameters(), lr=0.1), margins(tiny(0), batch).detach()
    for _ in range(5):
        optimizer.zero_grad()
        preference_loss(margins(model, batch), before, beta=BETA).backward()
        optimizer.step()
    assert (margins(model, batch) > before).all()


def test_outputs_are_no_preference(tokenizer: PreTrainedTokenizerFast) -> None:
    """Which tokens are trained is what training says: all of a solution but what the kernel printed."""
    recipe = read_recipe(RECIPES / "tiny-stage2.toml")
    program = "```python\nprint(5)\n```\n"
    written, printed = "Add.\n" + program, "```output\n5 apples\n```\n"
    pair = Preference(
        question="How many apples?",
        dialect="fenced",
        chosen=f"{written}{printed}It is $\\boxed{{5}}$.",
        rejected=f"{written}{printed}It is $\\boxed{{6}}$.",
    )
    (one,), dropped = encoded_pairs([pair], tokenizer, recipe)
    for row, answer in ((one.chosen, 5), (one.rejected, 6)):
        trained = tokenizer.decode(row.ids[row.labels != UNTRAINED])
        assert "apples" not in trained and f"boxed{{{answer}}}" in trained and "print(5)" in trained
    assert dropped == 0 and one.tokens == 2 * max(len(one.chosen.ids), len(one.rejected.ids))
    long = Preference(question="q", dialect="fenced", chosen="5 " * 400, rejected="6")
    kept, dropped = encoded_pairs([long, pair], tokenizer, recipe)
    assert dropped == 1 and np.array_equal(kept[0].chosen.ids, one.chosen.ids)
