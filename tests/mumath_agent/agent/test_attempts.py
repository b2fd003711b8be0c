"""Several attempts at a problem: votes while they run, early stop, budgets, and what is kept of them."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from mumath_agent import InputError, asolve_many, astream, solve, solve_many, stream
from mumath_agent.agent.attempts import SolvingEvent, batch_of, solve_problem, solve_problems
from mumath_agent.agent.solver import Solver
from mumath_agent.errors import ModelError, ModelUnreachable
from mumath_agent.grading import Grader
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import (
    Completion,
    FinishReason,
    Limits,
    Outcome,
    Problem,
    Sampling,
    StopReason,
    from_json,
    to_json,
)
from mumath_agent.runs.results import ResultsFile
from mumath_agent.solutions import Attempts, Ending, Solution, Weight
from mumath_agent.testing import ScriptedModel
from tests.waiting import HANG_S, comes_true

pytestmark = [pytest.mark.anyio, pytest.mark.kernel, pytest.mark.worker]

PROBLEM = Problem(id="p", question="What is 2 + 3?")
PROGRAM = "```python\nprint(2 + 3)\n```\n"
LOOP = "```python\nprint('begun', flush=True)\nwhile True: pass\n```\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(kw_only=True)
class Answering:
    """A model whose n-th request is answered with the n-th of `answers`; None never comes, until it is cancelled."""

    answers: Iterable[str | Exception | None]
    name: str = "answering"
    asked: list[CompletionRequest] = field(default_factory=list)
    cancelled: int = 0

    def __post_init__(self) -> None:
        self._answers = iter(self.answers)

    async def warm_up(self) -> None: ...

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        self.asked.append(request)
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        if on_text:
            on_text("It is ")
        if answer is None:
            try:
                await anyio.sleep_forever()
            finally:
                self.cancelled += 1
        text = answer if answer and "`" in answer else f"It is $\\boxed{{{answer}}}$." if answer else "Hm."
        return Completion(text=text, finish_reason=FinishReason.STOP, prompt_tokens=5, completion_tokens=10)

    async def aclose(self) -> None: ...


def solver(answers: Iterable[str | Exception | None], **settings: Any) -> Solver:
    return Solver(model=Answering(answers=answers), **settings)


async def solved(
    answers: Iterable[str | Exception | None],
    how: Attempts,
    *,
    concurrency: int = 1,
    on_event: Callable[[SolvingEvent], None] = lambda _: None,
) -> Solution:
    with anyio.fail_after(HANG_S):
        return await solve_problem(PROBLEM, solver(answers), how, concurrency=concurrency, on_event=on_event)


@pytest.mark.parametrize(
    ("answers", "how", "answer", "ending", "numbers"),
    [
        (["5", "5", "5"], Attempts(number=4), "5", Ending.DECIDED, (3, 0, 1)),
        (["5", "7", "5.0", r"\frac{10}{2}"], Attempts(number=4), "5", Ending.ALL, (4, 0, 0)),
        (["7", "5"], Attempts(number=2), "7", Ending.ALL, (2, 0, 0)),
        (["", "", ""], Attempts(number=3), None, Ending.ALL, (3, 0, 0)),
        (["5"] * 4, Attempts(number=4, early_stop=False), "5", Ending.ALL, (4, 0, 0)),
        (["5", "5"], Attempts(number=9, enough=0.8), "5", Ending.ENOUGH, (2, 0, 7)),
        (["5", None], Attempts(number=2, problem_wall_s=0.3), "5", Ending.PROBLEM_WALL, (1, 1, 0)),
        ([None], Attempts(number=2, run_wall_s=0.3), None, Ending.RUN_WALL, (0, 1, 1)),
        ([None], Attempts(problem_wall_s=0.3, run_wall_s=60), None, Ending.PROBLEM_WALL, (0, 1, 0)),
    ],
)
async def test_attempts_end_when_it_is_enough_and_the_best_answer_so_far_is_there(
    answers: list[str | None],
    how: Attempts,
    answer: str | None,
    ending: Ending,
    numbers: tuple[int, int, int],
) -> None:
    solution = await solved(answers, how)
    while answer and how.problem_wall_s and solution.answer is None:  # a busy machine takes longer
        how = replace(how, problem_wall_s=10 * how.problem_wall_s)
        solution = await solved(answers, how)
    budget = solution.budget
    assert (solution.answer, budget.ending) == (answer, ending)
    assert (budget.finished, budget.cancelled, budget.unbegun) == numbers
    assert budget.tokens == 10 * budget.finished
    assert from_json(Solution, to_json(solution)) == solution


async def test_the_others_are_cancelled_the_moment_it_is_decided() -> None:
    model = Answering(answers=["5", None, "5", None, "5"])
    events: list[SolvingEvent] = []
    with anyio.fail_after(HANG_S):
        solution = await solve_problem(
            PROBLEM, Solver(model=model), Attempts(number=5), concurrency=5, on_event=events.append
        )
    assert model.cancelled == 2 and len(model.asked) == 5
    assert (solution.answer, solution.votes[0].votes, solution.budget.cancelled) == ("5", 3, 2)
    assert solution.budget.saved_tokens == 13  # two of ten tokens each, less what they had written
    told = [event["event"] for event in events]
    assert told.count("attempt") == 5 and told.count("ended") == 3 and told.count("cancelled") == 2
    assert [event["votes"] for event in events if event["event"] == "votes"] == [{"5": n} for n in (1, 2, 3)]
    assert {event["sample"] for event in events if event["event"] == "cancelled"} == {
        n for n in range(5) if n not in {record.sample for record in solution.attempts}
    }


async def test_the_programs_of_cancelled_attempts_end_with_their_kernels() -> None:
    begun = anyio.Event()

    def heard(event: SolvingEvent) -> None:
        if event["event"] == "stdout" and "begun" in event["text"]:
            begun.set()

    class Waits(Answering):
        """Gives the other answers when the first attempt's program runs."""

        async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
            if self.asked:
                await begun.wait()
            return await super().complete(request, on_text)

    before = set(psutil.Process().children(recursive=True))
    how, limits = Attempts(number=4), Limits(cell_timeout_s=HANG_S)
    with anyio.fail_after(HANG_S):
        solution = await solve_problem(
            PROBLEM,
            Solver(model=Waits(answers=[LOOP, "5", "5", "5"]), limits=limits),
            how,
            on_event=heard,
        )
    assert (solution.answer, solution.budget.cancelled) == ("5", 1)

    def busy() -> list[psutil.Process]:
        new = set(psutil.Process().children(recursive=True)) - before
        found = []
        for process in new:
            with suppress(psutil.NoSuchProcess):
                if process.cpu_percent(0.05) > 50:
                    found.append(process)
        return found

    assert comes_true(lambda: not busy())


async def test_a_run_shares_its_time_and_every_problem_has_an_answer_or_a_marked_miss() -> None:
    problems = [replace(PROBLEM, id=str(number), target="5") for number in range(6)]
    answers: list[str | None] = ["5", None, *[None] * 20]
    for run_wall_s in (1.0, 10.0, 100.0):  # a busy machine takes longer to the first answer
        how, found = Attempts(number=2, run_wall_s=run_wall_s), list[Solution]()
        with anyio.fail_after(HANG_S):
            async with Grader() as grader:
                batch = batch_of(problems, solver(answers), how)
                await solve_problems(batch, how, grader=grader, concurrency=1, on_solution=found.append)
        if found[0].answer:
            break
    assert [solution.problem.id for solution in found] == [problem.id for problem in problems]
    assert {solution.budget.ending for solution in found} == {Ending.RUN_WALL}
    assert [solution.answer for solution in found] == ["5", *[None] * 5]
    outcomes = [solution.verdict.outcome if solution.verdict else None for solution in found]
    assert outcomes == [Outcome.CORRECT, *[None] * 5]


async def test_a_model_that_writes_one_completion_at_a_time_is_not_asked_for_many() -> None:
    model, under_way = Answering(answers=["5"] * 8), set[int]()
    most = 0

    def heard(event: SolvingEvent) -> None:
        nonlocal most
        if event["event"] == "attempt":
            under_way.add(event["sample"])
        if event["event"] in ("ended", "cancelled"):
            under_way.discard(event["sample"])
        most = max(most, len(under_way))

    model.at_once = 1  # type: ignore[attr-defined]
    await solve_problem(PROBLEM, Solver(model=model), Attempts(number=6), on_event=heard)
    assert most == 2


async def test_what_breaks_is_in_the_record_and_a_server_that_is_away_raises() -> None:
    solution = await solved([ModelError("no"), "5", "5"], Attempts(number=3))
    assert [record.trajectory.stop_reason for record in solution.attempts] == [
        StopReason.MODEL_ERROR,
        StopReason.ANSWERED,
        StopReason.ANSWERED,
    ]
    assert solution.answer == "5"
    with pytest.raises(ModelUnreachable, match="gone"):
        await solved([ModelUnreachable("gone")], Attempts(number=3))
    marked = await solved([ModelUnreachable("gone")] * 9, Attempts(number=1, run_wall_s=1e-9))
    assert (marked.answer, marked.budget.ending) == (None, Ending.RUN_WALL)


async def test_attempts_that_were_kept_are_counted_and_not_made_again(tmp_path: Path) -> None:
    how = Attempts(number=4)
    store = ResultsFile(tmp_path / "r.jsonl")

    async def run(answers: list[str], how: Attempts) -> tuple[Solution, int]:
        model, found = Answering(answers=answers), list[Solution]()
        async with Grader() as grader:
            batch = batch_of([PROBLEM], Solver(model=model), how)
            store = ResultsFile(tmp_path / "r.jsonl")
            await solve_problems(batch, how, store, grader=grader, concurrency=1, on_solution=found.append)
        return found[0], len(model.asked)

    first, asked = await run(["5"], replace(how, number=1))
    assert (asked, len((tmp_path / "r.jsonl").read_text().splitlines())) == (1, 1)
    second, asked = await run(["7", "7", "7"], how)
    assert (asked, second.answer, second.budget.ending) == (3, "7", Ending.ALL)
    assert (second.budget.finished, second.budget.earlier) == (4, 1)
    assert second.attempts[:1] == first.attempts
    third, asked = await run([], how)
    assert (asked, third.votes, third.confidence) == (0, second.votes, second.confidence)
    assert store.path.exists()


@pytest.mark.parametrize(
    ("sampling", "samplings"),
    [
        (Sampling(), [(0.0, None), (0.7, 3), (0.7, 3)]),
        (Sampling(temperature=0.5), [(0.5, 3)] * 3),
        (Sampling(temperature=0.5, seed=1), [(0.5, 1)] * 3),
        (Sampling(seed=1), [(0.0, None), (0.7, 1), (0.7, 1)]),
    ],
)
def test_the_first_attempt_is_greedy_and_the_others_are_sampled_each_with_its_own_seed(
    sampling: Sampling, samplings: list[tuple[float, int | None]]
) -> None:
    batch = batch_of([PROBLEM], solver([], sampling=sampling), Attempts(number=3, seed=3))
    given = [batch.solver_for(sample).sampling for sample in batch.all_samples()]
    assert [each.temperature for each in given] == [temperature for temperature, _ in samplings]
    drawn = [
        None if seed is None else sample.seed(seed)
        for sample, (_, seed) in zip(batch.all_samples(), samplings, strict=True)
    ]
    assert [each.seed for each in given] == drawn and len(set(drawn)) == 3
    one = batch_of([PROBLEM], solver([], sampling=sampling), Attempts())
    assert one.solver.sampling == sampling and one.later is None


async def test_log_probabilities_are_asked_for_only_where_they_count() -> None:
    for weight in Weight:
        asking = solver(["5", "5"])
        await solve_problem(PROBLEM, asking, Attempts(number=2, weight=weight), concurrency=1)
        assert isinstance(asking.model, Answering)
        assert {request.logprobs for request in asking.model.asked} == {
            weight in (Weight.LOGPROB, Weight.TAIL)
        }


# From Python


def test_one_attempt_is_the_record_it_always_was() -> None:
    def record(**more: Any) -> Any:
        value = to_json(solve("q", model=ScriptedModel(texts=["It is $\\boxed{5}$."]), **more))
        value["trajectory"]["duration_s"] = 0
        return value

    assert record() == record(attempts=1) == record(attempts=Attempts())


def test_several_attempts_are_a_solution() -> None:
    solution = solve("q", attempts=3, model=Answering(answers=["5"] * 3))
    assert (solution.answer, solution.ok, solution.budget.finished) in [("5", True, 2), ("5", True, 3)]
    assert str(solution).endswith("Answer: 5") and "**Answer: 5**" in solution._repr_markdown_()
    many = solve_many(
        [{"question": "q", "answer": 5}, "r"],
        attempts=2,
        concurrency=1,
        model=Answering(answers=["5", "5.0", "1", "2"]),
    )
    first, second = many
    assert first.verdict is not None and first.verdict.outcome is Outcome.CORRECT
    assert second.verdict is None and second.confidence.is_low
    assert "Answer: 1 (low confidence: 1 of 2 attempts voted for it)" in str(second)


async def test_a_stream_ends_with_the_solution_and_closing_it_cancels() -> None:
    items = [item async for item in astream("q", attempts=2, model=Answering(answers=["5", "5"]))]
    assert isinstance(items[-1], Solution) and items[-1].answer == "5"
    events = [item["event"] for item in items[:-1] if isinstance(item, dict)]
    assert set(events) == {"attempt", "text", "ended", "votes"}
    model = Answering(answers=[None, None])
    stopped = astream("q", attempts=2, model=model)
    assert (await anext(stopped))["event"] == "attempt"  # type: ignore[index]
    await anext(stopped)
    with anyio.fail_after(HANG_S):
        await stopped.aclose()
    assert model.cancelled == len(model.asked)


def test_a_synchronous_stream_yields_the_same() -> None:
    *_, solution = stream("q", attempts=1, model=Answering(answers=["5"]))
    assert isinstance(solution, Solution) and solution.answer == "5"


async def test_a_server_that_is_not_there_can_be_a_solution() -> None:
    given: dict[str, Any] = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "dialect": "chat"}
    solution = await anyio.to_thread.run_sync(lambda: solve("q", attempts=2, errors="record", **given))
    assert "127.0.0.1:9" in str(solution) and solution.budget.finished == 0
    with pytest.raises(ModelUnreachable):
        await anyio.to_thread.run_sync(lambda: solve("q", attempts=2, **given))


@pytest.mark.parametrize(
    ("attempts", "message"),
    [
        (0, "attempts is 0; it must be 1 or more"),
        (True, "attempts is True; it must be a number, 1 or more, or an Attempts"),
        ("many", "attempts is 'many'"),
        ({"numbr": 3}, "attempts: not a valid Attempts: unknown key numbr; known are number, "),
        ({"number": 3, "enough": 2}, "enough is 2.0; it must be between 0 and 1"),
        ({"run_wall_s": -1}, "run_wall_s is -1.0; it must be a number of seconds above 0"),
        ({"weight": "heavy"}, "attempts: not a valid Attempts: weight"),
    ],
)
def test_attempts_that_can_not_be_made_are_named(attempts: Any, message: str) -> None:
    with pytest.raises(InputError) as raised:
        solve("q", attempts=attempts)
    assert message in str(raised.value)


async def test_samples_and_attempts_are_two_things() -> None:
    with pytest.raises(InputError, match="leave out one"):
        await anext(asolve_many(["q"], attempts=2, samples=2))
