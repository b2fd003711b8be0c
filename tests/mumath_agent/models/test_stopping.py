"""Where a text ends must not depend on how it arrives."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent.models.stopping import TextUntilStop

_letters = st.text("ab`", max_size=12)
_stops = st.lists(st.text("ab`", min_size=1, max_size=4), max_size=3).map(tuple)


@given(pieces=st.lists(_letters, max_size=6), stop=_stops)
def test_ends_where_character_by_character_would(pieces: list[str], stop: tuple[str, ...]) -> None:
    whole = "".join(pieces)
    ends = [end for end in range(len(whole) + 1) if whole[:end].endswith(stop)] if stop else []
    longest = max((len(s) for s in stop if ends and whole[: ends[0]].endswith(s)), default=0)
    text = TextUntilStop(stop)
    for piece in pieces:
        text.add(piece)
    assert text.stopped == bool(ends)
    assert text.text == (whole[: ends[0] - longest] if ends else whole)


@given(pieces=st.lists(_letters, max_size=6), stop=_stops)
def test_what_is_settled_is_never_taken_back(pieces: list[str], stop: tuple[str, ...]) -> None:
    text, settled = TextUntilStop(stop), [""]
    for piece in pieces:
        text.add(piece)
        settled.append(text.settled)
    assert all(later.startswith(earlier) for earlier, later in pairwise(settled))
    assert text.text.startswith(settled[-1])


@pytest.mark.parametrize(
    ("pieces", "stop", "settled", "ends"),
    [
        (["4\n```", "output\n"], ("```output",), ["4\n", "4\n"], "4\n"),
        (["4\n```", "python"], ("```output",), ["4\n", "4\n```python"], "4\n```python"),
        (["``", "```output"], ("```output",), ["", "``"], "``"),
        (["é", "</s>", "x"], ("</s>",), ["é", "é", "é"], "é"),
        (["no stop"], (), ["no stop"], "no stop"),
        (["an empty one"], ("",), ["an empty one"], "an empty one"),
    ],
)
def test_pieces(pieces: list[str], stop: tuple[str, ...], settled: list[str], ends: str) -> None:
    text = TextUntilStop(stop)
    seen = []
    for piece in pieces:
        text.add(piece)
        seen.append(text.settled)
    assert (seen, text.text) == (settled, ends)
