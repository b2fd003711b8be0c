"""The order of rows is a function of seed and step, and no batch is larger than it may be."""

from itertools import islice

import pytest

pytest.importorskip("torch")

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from finetune.batches import collate, endless, epoch_batches, width
from finetune.encode import UNTRAINED, Encoded

pytestmark = pytest.mark.train

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=80)


@given(lengths=LENGTHS, seed=st.integers(0, 9), epoch=st.integers(0, 3))
def test_an_epoch_has_every_row_once_in_batches_that_fit(lengths: list[int], seed: int, epoch: int) -> None:
    batches = epoch_batches(lengths, batch_tokens=512, seed=seed, epoch=epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * width(max(lengths[row] for row in batch)) <= 512


@given(lengths=LENGTHS, skip=st.integers(0, 40))
def test_skipping_is_the_same_as_having_seen(lengths: list[int], skip: int) -> None:
    whole = list(islice(endless(lengths, batch_tokens=512, seed=1, skip=0), skip + 10))
    assert list(islice(endless(lengths, batch_tokens=512, seed=1, skip=skip), 10)) == whole[skip:]


def test_epochs_and_seeds_differ() -> None:
    lengths = list(range(1, 200))
    orders = [epoch_batches(lengths, batch_tokens=512, seed=s, epoch=e) for s, e in ((0, 0), (0, 1), (1, 0))]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_collate_pads_on_the_right_and_weighs() -> None:
    rows = [
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
    ]
    batch = collate(rows, pad_id=0, question_weight=0.25)
    assert batch.ids.shape == (2, 32)
    assert batch.ids[:, :5].tolist() == [[5, 6, 7, 8, 0], [5, 6, 0, 0, 0]]
    assert batch.weights[:, :5].tolist() == [[0, 0.25, 1, 0, 0], [0, 1, 0, 0, 0]]
    assert batch.weights.sum() == 2.25
    assert batch.tokens == 6
