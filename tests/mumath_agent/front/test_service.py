"""How a question is put that goes on with a conversation, and what is ticked while it is answered."""

import asyncio

import pytest

from mumath_agent.agent.solver import SolverOptions
from mumath_agent.errors import InputError, ModelUnreachable
from mumath_agent.front.service import Asked, Earlier, Service, in_conversation, with_ticks
from mumath_agent.problems import MAX_QUESTION_CHARS
from mumath_agent.records import Limits

pytestmark = pytest.mark.anyio


def turn(number: int, size: int = 1) -> Earlier:
    return Earlier(question=f"q{number}" * size, answer=f"a{number}")


@pytest.mark.parametrize(
    ("question", "earlier", "instructions", "asked"),
    [
        ("q", [], "", "q"),
        ("q", [], "Be brief.", "Be brief.\n\nq"),
        ("q", [], " ", "q"),
        (
            "q",
            [turn(1), turn(2)],
            "Be brief.",
            "Be brief.\n\nEarlier in this conversation:\n\nQuestion: q1\nAnswer: a1\n\nQuestion: q2\nAnswer: a2\n\n"
            "Now answer this question: q",
        ),
        (
            "q",
            [turn(1, MAX_QUESTION_CHARS), turn(2)],
            "",
            "Earlier in this conversation:\n\nQuestion: q2\nAnswer: a2\n\nNow answer this question: q",
        ),
        ("q", [turn(1, MAX_QUESTION_CHARS)], "", "q"),
        ("q" * MAX_QUESTION_CHARS, [turn(1)], "Be brief.", "q" * MAX_QUESTION_CHARS),
        ("q" * (MAX_QUESTION_CHARS - 5), [turn(1)], "", "q" * (MAX_QUESTION_CHARS - 5)),
    ],
)
def test_a_question_of_a_conversation_can_be_asked(
    question: str, earlier: list[Earlier], instructions: str, asked: str
) -> None:
    made = in_conversation(question, earlier, instructions)
    assert made == asked
    Asked(question=made, owner="")


@pytest.mark.parametrize("size", range(MAX_QUESTION_CHARS - 300, MAX_QUESTION_CHARS + 1, 50))
def test_no_conversation_makes_a_question_too_long(size: int) -> None:
    Asked(question=in_conversation("q" * size, [turn(n, 20) for n in range(9)], "Be brief."), owner="")


@pytest.mark.parametrize("attempts", [0, -1, 17])
def test_attempts_are_few(attempts: int) -> None:
    with pytest.raises(InputError, match="attempts were asked for"):
        Asked(question="q", owner="", attempts=attempts)


def test_a_question_says_what_its_python_session_holds() -> None:
    long = f"x = {'1' * MAX_QUESTION_CHARS}"
    asked = in_conversation("And y?", [turn(1)], programs=["a = 1", long, "x = 41\nprint(x)\n", "\x1by = 2"])
    assert asked == (
        "Earlier in this conversation:\n\nQuestion: q1\nAnswer: a1\n\n"
        "The Python session still holds what these programs defined:\n\n"
        "    x = 41\n    print(x)\n\n    y = 2\n\nNow answer this question: And y?"
    )


async def test_ticks_come_until_it_is_done_and_no_longer() -> None:
    ticks: list[int] = []
    enough = asyncio.Event()

    def tick() -> None:
        ticks.append(1)
        if len(ticks) > 2:
            enough.set()

    assert await with_ticks(enough.wait, tick, every_s=0.0)
    after = len(ticks)
    await asyncio.sleep(0.01)
    assert len(ticks) == after


@pytest.mark.kernel
async def test_a_model_that_could_not_be_opened_is_tried_again() -> None:
    options = SolverOptions(base_urls=("http://127.0.0.1:1/v1",), limits=Limits(wall_s=0.1))
    async with Service(options).running() as service:
        for _ in range(2):
            with pytest.raises(ModelUnreachable):
                await service.solver()
            assert not service.is_ready
