"""The order of rows is a function of seed and step, no row is cut, and no batch is larger than it may be."""

from itertools import islice

import pytest

pytest.importorskip("torch")

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from finetune.training.batches import Layout, collate, endless, epoch_batches, width
from finetune.training.encode import UNTRAINED, Encoded

pytestmark = pytest.mark.train

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=80)
LAYOUTS = st.builds(
    Layout,
    batch_tokens=st.sampled_from([512, 640]),
    packed=st.booleans(),
    seed=st.integers(0, 9),
)


@given(lengths=LENGTHS, layout=LAYOUTS, epoch=st.integers(0, 3))
def test_an_epoch_has_every_row_once_in_batches_that_fit(
    lengths: list[int], layout: Layout, epoch: int
) -> None:
    batches = epoch_batches(lengths, layout, epoch=epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        held = [lengths[row] for row in batch]
        places = sum(held) if layout.packed else len(held) * width(max(held))
        assert len(batch) == 1 or places <= layout.batch_tokens


@given(lengths=LENGTHS, layout=LAYOUTS, skip=st.integers(0, 40))
def test_skipping_is_the_same_as_having_seen(lengths: list[int], layout: Layout, skip: int) -> None:
    whole = list(islice(endless(lengths, layout, skip=0), skip + 10))
    assert list(islice(endless(lengths, layout, skip=skip), 10)) == whole[skip:]


@pytest.mark.parametrize("packed", [False, True])
def test_epochs_and_seeds_differ(packed: bool) -> None:
    lengths = list(range(1, 200))
    orders = [
        epoch_batches(lengths, Layout(batch_tokens=512, packed=packed, seed=seed), epoch=epoch)
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
    batch = collate(ROWS, pad_id=0, question_weight=0.25)
    assert batch.ids.shape == (2, 32)
    assert batch.ids[:, :5].tolist() == [[5, 6, 7, 8, 0], [5, 6, 0, 0, 0]]
    assert batch.weights[:, :5].tolist() == [[0, 0.25, 1, 0, 0], [0, 1, 0, 0, 0]]
    assert batch.weights.sum() == 2.25
    assert batch.positions is None
    assert batch.row_lengths is None
    assert batch.tokens == 6


def test_packed_rows_stand_on_one_line_and_their_positions_begin_anew() -> None:
    batch = collate(ROWS, pad_id=0, packed=True, question_weight=0.25)
    assert batch.ids[:, :8].tolist() == [[5, 6, 7, 8, 5, 6, 0, 0]]
    assert batch.weights[:, :8].tolist() == [[0, 0.25, 1, 0, 0, 1, 0, 0]]
    assert batch.positions is not None
    assert batch.positions[:, :8].tolist() == [[0, 1, 2, 3, 0, 1, 0, 1]]
    assert batch.row_lengths == (4, 2, 26)
    assert batch.tokens == 6
