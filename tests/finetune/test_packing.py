"""Packed rows are learned as if each were alone: same losses, same gradients, no word of a neighbour seen."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from finetune.batches import Batch, collate, epoch_batches
from finetune.encode import Encoded
from finetune.packing import pack
from finetune.recipe import read_recipe
from finetune.throughput import measure
from finetune.train import Stage, layout, prepare, token_losses

pytestmark = pytest.mark.train

RECIPE = read_recipe(Path(__file__).parents[2] / "finetune" / "recipes" / "tiny-stage1.toml").model_copy(
    update={"packing": True, "precision": "fp32"}
)


@pytest.fixture(scope="module")
def stage(corpus: Path, tokenizer: PreTrainedTokenizerFast) -> Stage:
    tokenizer.save_pretrained(corpus)
    torch.manual_seed(0)
    return prepare(RECIPE, data=corpus / "stage2.jsonl", start=corpus)


@given(lengths=st.lists(st.integers(1, 300), max_size=200))
def test_every_row_is_on_one_line_that_has_room_for_it(lengths: list[int]) -> None:
    lines = list(pack(range(len(lengths)), lengths, line_tokens=256))
    assert sorted(row for line in lines for row in line) == list(range(len(lengths)))
    assert all(len(line) == 1 or sum(lengths[row] for row in line) <= 256 for line in lines)


def test_lines_are_almost_full() -> None:
    random = Random(0)
    lengths = [int(min(2048, max(60, random.lognormvariate(5.8, 0.5)))) for _ in range(4000)]
    lines = list(pack(range(4000), lengths, line_tokens=2048))
    assert sum(lengths) / (2048 * len(lines)) > 0.98


def sums(stage: Stage, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted losses of all tokens but the first of each line, and the gradient of their mean."""
    stage.model.zero_grad()
    losses = token_losses(stage, batch) * batch.weights[:, 1:]
    (losses.sum() / batch.weights[:, 1:].sum()).backward()  # type: ignore[no-untyped-call]
    gradient = torch.cat([weight.grad.flatten() for weight in stage.model.parameters()])  # type: ignore[union-attr]
    return losses.detach(), gradient


def test_packed_losses_and_gradients_are_those_of_the_rows_alone(stage: Stage) -> None:
    rows = stage.rows.trained
    for lines in epoch_batches(stage.rows.lengths, layout(RECIPE, seed=3), epoch=0)[:5]:
        chosen = [[rows[number] for number in line] for line in lines]
        flat = [row for line in chosen for row in line]
        packed, packed_gradient = sums(stage, collate(chosen, pad_id=0, question_weight=0.3))
        padded, padded_gradient = sums(stage, collate([[row] for row in flat], pad_id=0, question_weight=0.3))
        found = [part for line, losses in zip(chosen, packed, strict=True) for part in _rows(line, losses)]
        expected = [losses[: len(row.ids) - 1].sum() for row, losses in zip(flat, padded, strict=True)]
        torch.testing.assert_close(torch.stack(found), torch.stack(expected), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(packed_gradient, padded_gradient, atol=1e-5, rtol=1e-4)


def _rows(line: list[Encoded], losses: torch.Tensor) -> list[torch.Tensor]:
    """The loss of each row of a line; column n is the prediction of token n + 1."""
    sums, start = [], 0
    for row in line:
        sums.append(losses[start : start + len(row.ids) - 1].sum())
        start += len(row.ids)
    return sums


def test_a_row_sees_nothing_of_its_neighbours(stage: Stage) -> None:
    first, middle, last, other = stage.rows.trained[:4]
    with torch.no_grad():
        one = token_losses(stage, collate([[first, middle, last]], pad_id=0))
        two = token_losses(stage, collate([[other, middle, last]], pad_id=0))
    length = len(middle.ids) + len(last.ids) - 1
    torch.testing.assert_close(
        one[0, len(first.ids) :][:length], two[0, len(other.ids) :][:length], atol=1e-5, rtol=1e-5
    )


def test_positions_are_what_keeps_rows_apart(stage: Stage) -> None:
    """Without them the losses differ: the test above can fail."""
    batch = collate([stage.rows.trained[:3]], pad_id=0)
    with torch.no_grad():
        apart, together = token_losses(stage, batch), token_losses(stage, replace(batch, positions=None))
    start = len(stage.rows.trained[0].ids)
    assert (apart - together)[0, start:].abs().max() > 1e-3
    torch.testing.assert_close(apart[0, : start - 1], together[0, : start - 1], atol=1e-5, rtol=1e-5)


def test_the_three_ways_are_measured(stage: Stage) -> None:
    speeds = measure(stage, rounds=2, processes=2)
    assert list(speeds) == ["random", "grouped", "packed"]
    assert all(speed.tokens_per_s > 0 for speed in speeds.values())
    assert all(0 <= speed.padding < 1 for speed in speeds.values())
