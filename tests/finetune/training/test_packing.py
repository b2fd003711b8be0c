"""Packed rows are learned as if each were alone: same losses, same gradients, no word of a neighbour seen."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.models.gemma2 import Gemma2Config

from finetune.training.batches import collate, pack
from finetune.training.encode import UNTRAINED, Encoded
from finetune.training.loss import require_plain_logits
from finetune.training.packing_speed import measure, plain_loss
from finetune.training.recipe import read_recipe
from finetune.training.train import TrainingRun, losses, prepare
from mumath_agent.errors import InputError

pytestmark = pytest.mark.train

RECIPE = read_recipe(
    Path(__file__).parents[3] / "finetune" / "training" / "recipes" / "tiny-stage1.toml"
).model_copy(update={"packing": True, "precision": "fp32"})
QUESTION_WEIGHT = 0.3


@pytest.fixture(scope="module")
def stage(corpus: Path, tokenizer: PreTrainedTokenizerFast) -> TrainingRun:
    tokenizer.save_pretrained(corpus)
    torch.manual_seed(0)
    return prepare(RECIPE, data=corpus / "stage2.jsonl", start=corpus)


@given(lengths=st.lists(st.integers(1, 300), max_size=200))
def test_every_row_is_in_one_batch_that_has_room_for_it(lengths: list[int]) -> None:
    batches = list(pack(range(len(lengths)), lengths, 256))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or sum(lengths[row] for row in batch) <= 256 for batch in batches)


def test_batches_are_almost_full() -> None:
    random = Random(0)
    lengths = [int(min(2048, max(60, random.lognormvariate(5.8, 0.5)))) for _ in range(4000)]
    batches = list(pack(range(4000), lengths, 2048))
    assert sum(lengths) / (2048 * len(batches)) > 0.98


def alone(stage: TrainingRun, row: Encoded) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses of all tokens of a row but the first, and their weights: slowly, from the logits transformers gives."""
    ids = torch.tensor(row.ids, dtype=torch.long)
    each = functional.cross_entropy(
        stage.model(input_ids=ids[None]).logits[0, :-1], ids[1:], reduction="none"
    )
    weights = torch.tensor(row.labels[1:] != UNTRAINED).float()
    weights[: row.prompt_tokens - 1] = QUESTION_WEIGHT
    return each, weights


def gradient_of(stage: TrainingRun, loss: torch.Tensor) -> torch.Tensor:
    stage.model.zero_grad()
    loss.backward()
    return torch.cat([weight.grad.flatten() for weight in stage.model.parameters()])  # type: ignore[union-attr]


@pytest.mark.parametrize("packed", [False, True])
def test_losses_and_gradients_are_those_of_the_rows_alone(stage: TrainingRun, packed: bool) -> None:
    for start in (0, 30):
        rows = stage.rows.trained[start : start + 30]
        batch = collate(rows, pad_id=0, packed=packed, question_weight=QUESTION_WEIGHT)
        found = losses(stage, batch)
        each, weights = (torch.cat(parts) for parts in zip(*(alone(stage, row) for row in rows), strict=True))
        assert (weights > 0).sum() > 512  # more than one chunk of the loss
        torch.testing.assert_close(found.trained, each[weights == 1].detach(), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.weighted, (each * weights).sum(), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            gradient_of(stage, found.weighted / weights.sum()),
            gradient_of(stage, (each * weights).sum() / weights.sum()),
            atol=1e-5,
            rtol=1e-4,
        )


def test_the_loss_that_packing_is_measured_against_is_the_same(stage: TrainingRun) -> None:
    batch = collate(stage.rows.trained[:16], pad_id=0)
    mean = losses(stage, batch).weighted / batch.weights[:, 1:].sum()
    torch.testing.assert_close(plain_loss(stage, batch), mean, atol=1e-5, rtol=1e-5)


def test_a_row_sees_nothing_of_its_neighbours(stage: TrainingRun) -> None:
    first, middle, last, other = stage.rows.trained[:4]
    with torch.no_grad():
        one = losses(stage, collate([first, middle, last], pad_id=0, packed=True)).trained
        two = losses(stage, collate([other, middle, last], pad_id=0, packed=True)).trained
    length = sum(int((row.labels[1:] != UNTRAINED).sum()) for row in (middle, last))
    torch.testing.assert_close(one[-length:], two[-length:], atol=1e-5, rtol=1e-5)


def test_row_lengths_are_what_keeps_rows_apart(stage: TrainingRun) -> None:
    """Without them the losses differ: the test above can fail."""
    batch = collate(stage.rows.trained[:3], pad_id=0, packed=True)
    with torch.no_grad():
        apart = losses(stage, batch).trained
        together = losses(stage, replace(batch, row_lengths=None)).trained
    first = int((stage.rows.trained[0].labels[1:] != UNTRAINED).sum())
    assert (apart - together)[first:].abs().max() > 1e-3
    torch.testing.assert_close(apart[:first], together[:first], atol=1e-5, rtol=1e-5)


class Largest(TorchDispatchMode):
    """The most rows of any tensor as wide as the vocabulary that is made inside."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary, self.rows = vocabulary, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.ndim > 1 and made.shape[-1] == self.vocabulary:
            self.rows = max(self.rows, made.numel() // self.vocabulary)
        return made


def test_the_logits_of_a_batch_are_never_held(stage: TrainingRun) -> None:
    """The plain loss holds them, so the test can see them."""
    batch = collate(stage.rows.trained[:30], pad_id=0)
    with Largest(len(stage.tokenizer)) as ours:
        losses(stage, batch).weighted.backward()
    with Largest(len(stage.tokenizer)) as plain:
        plain_loss(stage, batch).backward()
    assert ours.rows <= 512 < batch.ids.numel() <= plain.rows + len(batch.ids)


def test_a_model_whose_logits_are_made_otherwise_is_refused() -> None:
    config = Gemma2Config(
        vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, head_dim=8,
    )  # fmt: skip
    with pytest.raises(InputError, match="gemma2 model's logits have final_logit_softcapping"):
        require_plain_logits(AutoModelForCausalLM.from_config(config))


def test_the_three_ways_are_measured(stage: TrainingRun) -> None:
    speeds = measure(stage, rounds=2, processes=2)
    assert list(speeds) == ["reference", "grouped", "packed"]
    assert all(speed.tokens_per_s > 0 for speed in speeds.values())
    assert all(0 <= speed.padding < 1 for speed in speeds.values())
