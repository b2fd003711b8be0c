"""Check who votes, what a vote counts, who wins, and when it is decided."""

import itertools
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent.dialects import get_dialect
from mumath_agent.grading import Grader
from mumath_agent.records import (
    Answer,
    AnswerSource,
    Completion,
    Execution,
    ExecutionStatus,
    FinishReason,
    Limits,
    Problem,
    RunRecord,
    Sampling,
    Settings,
    StopReason,
    Trajectory,
)
from mumath_agent.runs.graded import with_answer
from mumath_agent.runs.voting import Count, agreeing, ballot_of, holds, posterior
from mumath_agent.solutions import Attempts, Ending, Weight
from mumath_agent.transcript import Transcript

pytestmark = [pytest.mark.anyio, pytest.mark.worker]

PROGRAM = "```python\nprint(6 * 7)\n```\n"
PRINTED = Execution(status=ExecutionStatus.OK, stdout="42\n")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def grader() -> AsyncIterator[Grader]:
    async with Grader() as grader:
        yield grader


def attempt(
    *texts: str,
    sample: int = 0,
    execution: Execution = PRINTED,
    logprob: float | None = None,
    tail: float | None = None,
    dialect: str = "fenced",
) -> RunRecord:
    """Return the record of an attempt whose turns are these texts, as the graph would make it."""
    speech, completions, executions = get_dialect(dialect), list[Completion](), list[Execution]()
    transcript = Transcript(question="What is 6 times 7?")
    for text in texts:
        completions.append(
            Completion(
                text=text,
                finish_reason=FinishReason.STOP,
                prompt_tokens=1,
                completion_tokens=2,
                logprob=logprob,
                tail_logprobs=None if tail is None else (tail,),
            )
        )
        transcript = speech.with_completion(transcript, completions[-1])
        if speech.pending_code(transcript) is not None and len(completions) < len(texts):
            executions.append(execution)
            transcript = speech.with_output(transcript, execution, max_chars=400)
    record = RunRecord(
        problem=Problem(id="p", question="What is 6 times 7?"),
        sample=sample,
        settings=Settings(model="m", dialect=dialect, limits=Limits(), sampling=Sampling()),
        isolation="scripted",
        version="0",
        trajectory=Trajectory(
            transcript=transcript,
            completions=tuple(completions),
            executions=tuple(executions),
            answer=None,
            stop_reason=StopReason.ANSWERED,
        ),
    )
    return with_answer(record)


def answering(answers: Sequence[str | None], **more: object) -> list[RunRecord]:
    return [
        attempt(f"It is $\\boxed{{{answer}}}$." if answer else "I can't say.", sample=sample, **more)  # type: ignore[arg-type]
        for sample, answer in enumerate(answers)
    ]


@pytest.mark.parametrize(
    ("record", "answer", "votes", "agrees"),
    [
        (attempt("It is $\\boxed{42}$."), "42", True, None),
        (attempt("The answer is 42."), "42", True, None),
        (attempt("I can't say."), None, False, None),
        (attempt(PROGRAM, "So $\\boxed{42}$."), "42", True, True),
        (attempt(PROGRAM, "So $\\boxed{41}$."), "41", True, False),
        (
            attempt(PROGRAM, "So $\\boxed{42}$.", execution=replace(PRINTED, stdout="x = 42.0\n")),
            "42",
            True,
            True,
        ),
        (
            attempt(PROGRAM, "So $\\boxed{0.5}$.", execution=replace(PRINTED, stdout="", result="1/2")),
            "0.5",
            True,
            True,
        ),
        (
            attempt(PROGRAM, "So $\\boxed{42}$.", execution=replace(PRINTED, status=ExecutionStatus.TIMEOUT)),
            "42",
            True,
            False,
        ),
        (attempt(PROGRAM, "That was it."), "42", False, True),  # printed and never stated
        (attempt("It is $\\boxed{3}$ or $\\boxed{5}$."), "3 or 5", False, None),  # a hedge
        (attempt("So $\\boxed{x = 3 \\text{ or } x = 5}$."), r"x = 3 \text{ or } x = 5", True, None),
        (attempt("So $\\boxed{3 or 5}$."), "3 or 5", True, None),  # one box: a set of solutions
        (attempt(f"{PROGRAM}```output\n41\n```\nSo $\\boxed{{41}}$."), "41", False, None),  # invented
    ],
)
async def test_who_votes_and_whether_the_output_agrees(
    grader: Grader, record: RunRecord, answer: str | None, votes: bool, agrees: bool | None
) -> None:
    ballot = await agreeing(ballot_of(record), record, grader)
    assert (ballot.answer, ballot.votes, ballot.agrees) == (answer, votes, agrees)


async def test_an_attempt_that_machinery_broke_has_no_vote() -> None:
    record = attempt("It is $\\boxed{42}$.")
    answer = Answer(text="42", found_in=AnswerSource.BOXED)
    broken = replace(record.trajectory, error="gone", stop_reason=StopReason.MODEL_ERROR, answer=answer)
    assert ballot_of(replace(record, trajectory=broken)).answer is None


@pytest.mark.parametrize(
    ("answers", "classes"),
    [
        ([], []),
        ([None, None], []),
        (["5", "7", "5.0", r"\frac{10}{2}"], [("5", (0, 2, 3)), ("7", (1,))]),
        ([r"\frac12", "½", "0.5", "2"], [(r"\frac12", (0, 1, 2)), ("2", (3,))]),
        (["(1,2)", r"\{1,2\}", r"\{2,1\}"], [(r"\{1,2\}", (1, 2)), ("(1,2)", (0,))]),
        (["7", "5", "5", "7"], [("7", (0, 3)), ("5", (1, 2))]),  # a tie goes to the earliest
        ([None, "7", "5"], [("7", (1,)), ("5", (2,))]),
    ],
)
async def test_equal_answers_vote_together_in_whatever_order_they_come(
    grader: Grader, answers: list[str | None], classes: list[tuple[str, tuple[int, ...]]]
) -> None:
    for order in list(itertools.permutations(answering(answers)))[:24:7] or [()]:
        count = Count(grader, Attempts(number=8))
        for record in order:
            await count.add(record)
        assert [(each.answer, each.samples) for each in count.classes] == classes


async def test_what_does_not_vote_wins_only_where_nobody_does(grader: Grader) -> None:
    printed = [attempt(PROGRAM, "That was it.", sample=sample) for sample in range(3)]
    count = Count(grader, Attempts(number=4))
    await count.add(*printed)
    assert [(each.answer, each.votes) for each in count.classes] == [("42", 0)]
    assert count.confidence().value == 0 and count.confidence().is_low
    await count.add(attempt("It is $\\boxed{7}$.", sample=3))
    assert [(each.answer, each.votes) for each in count.classes] == [("7", 1), ("42", 0)]


@pytest.mark.parametrize(
    ("weight", "winner", "weights"),
    [
        (Weight.COUNT, "41", (2.0, 1.0)),
        (Weight.CONSISTENT, "42", (1.5, 1.0)),
        (Weight.LOGPROB, "42", (0.9, 0.2)),
        (Weight.TAIL, "41", (1.0, 0.3)),
    ],
)
async def test_what_a_vote_counts(
    grader: Grader, weight: Weight, winner: str, weights: tuple[float, float]
) -> None:

    likely, unlikely = 2 * math.log(0.9), 2 * math.log(0.1)  # two tokens each
    records = [
        attempt(PROGRAM, "So $\\boxed{42}$.", sample=0, logprob=likely, tail=math.log(0.3)),
        attempt(PROGRAM, "So $\\boxed{41}$.", sample=1, logprob=unlikely, tail=math.log(0.5)),
        attempt(PROGRAM, "So $\\boxed{41}$.", sample=2, logprob=unlikely, tail=math.log(0.5)),
    ]
    if weight is Weight.CONSISTENT:
        records.append(attempt("So $\\boxed{42}$.", sample=3))
    count = Count(grader, Attempts(number=8, weight=weight))
    await count.add(*records)
    assert count.classes[0].answer == winner
    assert tuple(each.weight for each in count.classes) == pytest.approx(weights)


async def test_without_log_probabilities_every_vote_counts_the_same(grader: Grader) -> None:
    count = Count(grader, Attempts(number=8, weight=Weight.LOGPROB))
    await count.add(*answering(["5", "7", "7"]))
    assert [(each.answer, each.weight) for each in count.classes] == [("7", 2), ("5", 1)]


@pytest.mark.parametrize(
    ("answers", "settings", "ending"),
    [
        (["5", "5"], {}, None),
        (["5", "5", "5"], {}, Ending.DECIDED),
        (["5", "5", "5"], {"early_stop": False}, None),
        (["5", "5", "7"], {}, None),  # the last one could still make it a tie
        (["5", "7", "5", "5"], {}, Ending.ALL),
        ([None, "5", "5"], {}, Ending.DECIDED),
        ([None, None, None], {}, None),
        (["5", "5"], {"number": 8, "enough": 0.9}, Ending.ENOUGH),
        (["5", "5"], {"number": 8, "enough": 0.91}, None),
        (["5", "7", "5"], {"number": 8, "enough": 0.8}, None),
        ([None, None], {"number": 8, "enough": 0.5}, None),
        (["5"], {"number": 1}, Ending.ALL),
    ],
)
async def test_when_it_is_decided(
    grader: Grader, answers: list[str | None], settings: dict[str, float], ending: Ending | None
) -> None:
    count = Count(grader, Attempts(**{"number": 4, **settings}))  # type: ignore[arg-type]
    await count.add(*answering(answers))
    assert count.decided() is ending


async def test_what_early_stop_leaves_out_would_not_have_changed_the_answer(grader: Grader) -> None:
    for answers in itertools.product(["5", "7", None], repeat=5):
        records = answering(answers)
        all_of_them = Count(grader, Attempts(number=5, early_stop=False))
        await all_of_them.add(*records)
        some = Count(grader, Attempts(number=5))
        for record in records:
            await some.add(record)
            if some.decided():
                break
        assert [each.answer for each in some.classes[:1]] == [each.answer for each in all_of_them.classes[:1]]


@pytest.mark.parametrize(
    ("votes", "rivals", "value"),
    [(0, 0, 0.5), (1, 0, 0.75), (2, 0, 0.875), (2, 1, 0.6875), (3, 1, 0.8125), (2, 2, 0.5), (1, 3, 0.1875)],
)
async def test_the_posterior_is_the_upper_half_of_a_beta_distribution(
    votes: int, rivals: int, value: float
) -> None:
    from scipy.special import betainc

    assert posterior(votes, rivals) == value == pytest.approx(1 - betainc(votes + 1, rivals + 1, 0.5))


few = st.integers(0, 6)


@given(few, few, few, few)
def test_the_answer_holds_as_often_as_a_dirichlet_distribution_predicts(
    leader: int, second: int, others: int, left: int
) -> None:
    from scipy.stats import dirichlet_multinomial

    predicted = dirichlet_multinomial([leader + 1, second + 1, others + 1], left)
    kept = sum(
        predicted.pmf((more, rival, left - more - rival))
        for more in range(left + 1)
        for rival in range(left + 1 - more)
        if leader + more > second + rival
    )
    assert holds(leader, second, others, left) == pytest.approx(kept)


@pytest.mark.parametrize(
    ("answers", "value", "share", "is_low"),
    [
        ([], 0.0, 0.0, True),
        ([None], 0.0, 0.0, True),
        (["5"] * 3, 0.9375, 1.0, False),
        (["5", "5", "7"], 0.6875, 2 / 3, True),
        (["5", "5", "5", "7"], 0.8125, 0.75, False),
        (["5", None, None, None], 0.1875, 0.25, True),  # what gives no answer speaks against one
    ],
)
async def test_confidence(
    grader: Grader, answers: list[str | None], value: float, share: float, is_low: bool
) -> None:
    count = Count(grader, Attempts(number=8))
    await count.add(*answering(answers))
    found = count.confidence()
    assert (found.value, found.share, found.is_low) == (value, share, is_low)
    assert found.agreement is None and found.logprob is None


@pytest.mark.parametrize(("answer", "number", "is_low"), [("5", 1, False), ("5", 2, True), (None, 1, True)])
async def test_a_single_attempt_has_no_vote_to_doubt(
    grader: Grader, answer: str | None, number: int, is_low: bool
) -> None:
    count = Count(grader, Attempts(number=number))
    await count.add(*answering([answer]))
    assert count.confidence().is_low is is_low
