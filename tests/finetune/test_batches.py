"""The order of rows is a function of seed and step, no row is cut, and no batch is larger than it may be."""

from itertools import islice

import pytest

pytest.importorskip("torch")

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from finetune.batches import Layout, collate, endless, epoch_batches, width
from finetune.encode import UNTRAINED, Encoded

pytestmark = pytest.mark.train

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=80)
LAYOUTS = st.builds(
    Layout,
    batch_tokens=st.sampled_from([512, 640]),
    line_tokens=st.sampled_from([None, 300, 512]),
    seed=st.integers(0, 9),
)
PADDED = Layout(batch_tokens=512, seed=0)


@given(lengths=LENGTHS, layout=LAYOUTS, epoch=st.integers(0, 3))
def test_an_epoch_has_every_row_once_in_batches_that_fit(
    lengths: list[int], layout: Layout, epoch: int
) -> None:
    batches = epoch_batches(lengths, layout, epoch=epoch)
    assert sorted(row for batch in batches for line in batch for row in line) == list(range(len(lengths)))
    for batch in batches:
        filled = [sum(lengths[row] for row in line) for line in batch]
        if layout.line_tokens is None:
            assert all(len(line) == 1 for line in batch)
            assert len(batch) == 1 or len(batch) * width(max(filled)) <= layout.batch_tokens
        else:
            assert max(filled) <= layout.line_tokens
            assert len(batch) == 1 or len(batch) * layout.line_tokens <= layout.batch_tokens


@given(lengths=LENGTHS, layout=LAYOUTS, skip=st.integers(0, 40))
def test_skipping_is_the_same_as_having_seen(lengths: list[int], layout: Layout, skip: int) -> None:
    whole = list(islice(endless(lengths, layout, skip=0), skip + 10))
    assert list(islice(endless(lengths, layout, skip=skip), 10)) == whole[skip:]


@pytest.mark.parametrize("line_tokens", [None, 256])
def test_epochs_and_seeds_differ(line_tokens: int | None) -> None:
    lengths = list(range(1, 200))
    orders = [
        epoch_batches(lengths, Layout(batch_tokens=512, line_tokens=line_tokens, seed=seed), epoch=epoch)
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    assert orders[0] != orders[1] != orders[2] != orders[0]


ROWS = (
    Encoded(
        ids=np.array([5, 6, 7, 8], dtype=np.int32),
        labels=np.array([UNTRAINED, UNTRAINED, 7, UNTRAINED], dtype=np.int32),
        prompt_tokens=2,
    ),
    Encoded(
        ids=np.array([5, 6], dtype=np.int32),
        labels=np.array([UNTRAINED, 6], dtype=np.int32),
        prompt_tokens=1,
    ),
)


def test_collate_pads_on_the_right_and_weighs() -> None:
    batch = collate([[row] for row in ROWS], pad_id=0, question_weight=0.25)
    assert batch.ids.shape == (2, 32)
    assert batch.ids[:, :5].tolist() == [[5, 6, 7, 8, 0], [5, 6, 0, 0, 0]]
    assert batch.weights[:, :5].tolist() == [[0, 0.25, 1, 0, 0], [0, 1, 0, 0, 0]]
    assert batch.weights.sum() == 2.25
    assert batch.positions is None
    assert batch.tokens == 6


def test_collate_begins_positions_anew_with_each_row_of_a_line() -> None:
    batch = collate([ROWS], pad_id=0, question_weight=0.25)
    assert batch.ids[:, :8].tolist() == [[5, 6, 7, 8, 5, 6, 0, 0]]
    assert batch.weights[:, :8].tolist() == [[0, 0.25, 1, 0, 0, 1, 0, 0]]
    assert batch.positions is not None
    assert batch.positions[:, :8].tolist() == [[0, 1, 2, 3, 0, 1, 0, 1]]
    assert batch.tokens == 6
