"""Check vote classes: equal answers together, the largest class first."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mumath_agent.grading import Grader, vote_classes
from mumath_agent.records import Outcome

pytestmark = [pytest.mark.anyio, pytest.mark.worker]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def grader() -> AsyncIterator[Grader]:
    async with Grader() as grader:
        yield grader


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([], ()),
        ([None, "", "  "], ()),
        (["5"], ((0,),)),
        (["7", "5", "5.0", None, r"\frac{10}{2}"], ((1, 2, 4), (0,))),
        (["7", "5", "7", "5"], ((0, 2), (1, 3))),
        (["1", "5", "x=5"], ((1, 2), (0,))),
        (["x+1", "1+x", "x-1"], ((0, 1), (2,))),
        (["2, 3", "[2, 3]", "3, 2"], ((0, 1, 2),)),
        (["[2, 3]", "2, 3", "5"], ((0, 1), (2,))),
        (["5 cm", "5 m", "5"], ((0, 2), (1,))),
    ],
)
async def test_classes(
    grader: Grader, answers: list[str | None], expected: tuple[tuple[int, ...], ...]
) -> None:
    assert await vote_classes(answers, grader) == expected


async def test_an_answer_that_can_not_be_graded_votes_only_with_its_own_spelling() -> None:
    stalls = "10^{10^{8}}"
    async with Grader(timeout_s=0.3) as grader:
        assert await vote_classes([stalls, "5", "5.0", stalls], grader) == ((0, 3), (1, 2))


class CountingGrader(Grader):
    """A grader that knows how often it was asked."""

    asked = 0

    async def grade(self, answer: str | None, target: str) -> object:  # type: ignore[override]
        self.asked += 1
        return await super().grade(answer, target)


async def test_the_grader_is_not_asked_about_the_same_spelling_twice() -> None:
    async with CountingGrader() as grader:
        assert await vote_classes(["$5$", "5.", "5", "5"] * 100, grader) == (tuple(range(400)),)
        assert grader.asked == 0


@given(st.lists(st.one_of(st.none(), st.sampled_from(["1", "1.0", "2", "4/2", "3,4", "4, 3", "(3,4)", ""]))))
@settings(deadline=None, max_examples=50)
async def test_every_answer_is_in_one_class_of_equals(grader: Grader, answers: list[str | None]) -> None:
    classes = await vote_classes(answers, grader)
    assert sorted(sum(classes, ())) == [i for i, answer in enumerate(answers) if answer]
    assert [len(found) for found in classes] == sorted(map(len, classes), reverse=True)
    assert all(a[0] < b[0] for a, b in pairwise(classes) if len(a) == len(b))
    firsts = [answers[found[0]] for found in classes]
    for one in firsts:
        for other in firsts:
            same = (await grader.grade(one, other or "")).outcome is Outcome.CORRECT
            assert same is (one is other)
