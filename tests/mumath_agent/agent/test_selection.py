"""What chooses the answer where the votes leave a doubt: the model, shown the solutions, or programs that check."""

from typing import Any

import anyio
import pytest

from mumath_agent.agent.attempts import solve_problem
from mumath_agent.agent.solver import Solver
from mumath_agent.problems import MAX_QUESTION_CHARS
from mumath_agent.records import Problem, from_json, to_json
from mumath_agent.solutions import Attempts, Select, Solution
from tests.mumath_agent.agent.test_attempts import PROGRAM, Answering
from tests.waiting import HANG_S

pytestmark = [pytest.mark.anyio, pytest.mark.kernel, pytest.mark.worker]

YES, NO = (PROGRAM, "1"), (PROGRAM, "0")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def solved(
    answers: list[str | Exception | None], question: str = "What is 2 + 3?", **how: Any
) -> tuple[Solution, Answering]:
    model = Answering(answers=answers)
    with anyio.fail_after(HANG_S):
        solution = await solve_problem(
            Problem(id="p", question=question), Solver(model=model), Attempts(**how), concurrency=1
        )
    return solution, model


@pytest.mark.parametrize(
    ("by", "said", "answer", "selected", "asked"),
    [
        ("votes", [], "5", None, 0),
        ("choose", ["2"], "7", "7", 1),
        ("choose", ["1"], "5", "5", 1),
        ("choose", ["3"], "5", None, 1),  # there is no third
        ("choose", ["both"], "5", None, 1),
        ("choose", [""], "5", None, 1),
        ("verify", [*NO, *YES], "7", "7", 2),
        ("verify", [*YES], "5", "5", 1),
        ("verify", ["0"], "5", "5", 1),  # said without a program, which refutes nothing
        ("verify", [PROGRAM.replace("2 + 3", "1 / 0"), "0"], "5", "5", 1),
        ("verify", [*NO, *NO], "5", None, 2),
    ],
)
async def test_the_model_is_asked_about_answers_in_doubt(
    by: str, said: list[str], answer: str, selected: str | None, asked: int
) -> None:
    solution, model = await solved(["5", "7", *said], number=2, select=Select(by))
    found = solution.selection
    assert (solution.answer, found.answer if found else None) == (answer, selected)
    assert (len(found.asked) if found else 0) == asked
    assert solution.votes[0].answer == answer and {each.answer for each in solution.votes} == {"5", "7"}
    assert solution.confidence.is_low and solution.confidence.value == 0.5
    assert len(model.asked) == 2 + len(said) and solution.budget.tokens == 10 * len(model.asked)
    assert {request.sampling.temperature for request in model.asked[2:]} <= {0.0}
    assert from_json(Solution, to_json(solution)) == solution
    told = str(solution)
    assert ("the model" in told) is bool(found) and ("decided nothing" in told) is (
        bool(found) and not selected
    )


async def test_what_the_model_reads_has_the_problem_and_a_solution_of_each_answer() -> None:
    _, model = await solved(["5", "7", "7", "1"], number=3, select=Select.CHOOSE)
    asked = str(model.asked[-1].prompt)
    assert "What is 2 + 3?" in asked
    assert "Solution 1 (its answer: 5):\nIt is $\\boxed{5}$." in asked  # as made, not as voted
    assert "Solution 2 (its answer: 7):" in asked and "Solution 3" not in asked


@pytest.mark.parametrize("by", [Select.CHOOSE, Select.VERIFY])
async def test_votes_that_leave_no_doubt_are_not_asked_about(by: Select) -> None:
    sure, _ = await solved(["5"] * 3, number=3, select=by)
    silent, _ = await solved(["", "", ""], number=3, select=by)
    alone, _ = await solved(["5", "", ""], number=3, select=by)
    assert [each.selection for each in (sure, silent, alone)] == [None] * 3


async def test_time_that_ends_leaves_the_votes_answer() -> None:
    for wall_s in (0.5, 5.0, 50.0):  # on a busy machine the two attempts need some time
        solution, model = await solved(
            ["5", "7", None], number=2, select=Select.CHOOSE, problem_wall_s=wall_s
        )
        if len(model.asked) == 3:
            break
    assert (solution.answer, solution.selection, model.cancelled) == ("5", None, 1)


async def test_a_model_that_breaks_and_a_question_without_room_leave_the_votes_answer() -> None:
    broken, _ = await solved(["5", "7", RuntimeError("no")], number=2, select=Select.CHOOSE)
    assert broken.answer == "5" and broken.selection is not None and broken.selection.answer is None
    long = "?" * MAX_QUESTION_CHARS
    for by in (Select.CHOOSE, Select.VERIFY):
        solution, model = await solved(["5", "7"], long, number=2, select=by)
        assert solution.answer == "5" and len(model.asked) == 2
