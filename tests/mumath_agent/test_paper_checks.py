"""Check what the published code of the papers gets wrong, on the whole agent with real kernels.

Each test is one of the checks a better implementation should pass; the model is a script, everything else is real.
(That finished results survive a crash is in `commands/test_solve.py`, with real processes.)
"""

import anyio
import pytest

from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.answers import extract_answer
from mumath_agent.grading import Grader
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import Completion, ExecutionStatus, Limits, Outcome, Problem, RunRecord, StopReason
from mumath_agent.testing import ScriptedModel
from mumath_agent.transcript import Kind
from tests.waiting import HANG_S

pytestmark = [pytest.mark.anyio, pytest.mark.kernel]


def program(text: str) -> str:
    return f"```python\n{text}\n```\n"


def solver_of(scripts: dict[str, list[str]], *, fresh_cells: bool = False, **limits: float) -> Solver:
    """Return a solver whose model follows one script per question."""
    return Solver(
        model=Scripts(scripts=scripts),
        limits=Limits(**{"cell_timeout_s": HANG_S, **limits}),  # type: ignore[arg-type]
        fresh_cells=fresh_cells,
    )


async def solved(scripts: dict[str, list[str]], **settings: float) -> dict[str, RunRecord]:
    records: dict[str, RunRecord] = {}
    batch = Batch(
        problems=tuple(Problem(id=question, question=question) for question in scripts),
        solver=solver_of(scripts, **settings),  # type: ignore[arg-type]
    )
    await run_batch(
        batch,
        concurrency=len(scripts),
        on_record=lambda record: records.update({record.problem.id: record}),
    )
    return records


async def outputs(*programs: str, fresh_cells: bool = False, **limits: float) -> list[str]:
    """Return what the model reads after each program of one attempt."""
    scripts = {"q": [*map(program, programs), "Done."]}
    solver = solver_of(scripts, fresh_cells=fresh_cells, max_turns=9, **limits)
    record = await solver.solve(Problem(id="q", question="q"))
    return [
        s.text.removesuffix("\n```\n") for s in record.trajectory.transcript.segments if s.kind is Kind.OUTPUT
    ]


class Scripts(ScriptedModel):
    """Answers by question and turn, so that attempts may go on side by side in any order."""

    def __init__(self, *, scripts: dict[str, list[str]]) -> None:
        super().__init__(texts=())
        self._scripts = {question: iter(texts) for question, texts in scripts.items()}

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        question = str(request.prompt).split("\n")[1]
        return await ScriptedModel(texts=[next(self._scripts[question])]).complete(request, on_text)


async def test_1_a_dead_a_hanging_and_a_greedy_attempt_are_recorded_and_touch_no_other() -> None:
    then = [program("print(40 + 2)"), "\\boxed{42}"]
    records = await solved(
        {
            "dies": [program("import os; os._exit(3)"), *then],
            "hangs": [program("while True: pass"), *then],
            "can't be interrupted": [program("sum(range(10**13))"), *then],
            "eats memory": [program("x = bytearray(4 * 2**30)"), *then],
            "fine": [program("print(1)"), *then],
        },
        cell_timeout_s=4.0,
    )
    first = {question: record.trajectory.executions[0] for question, record in records.items()}
    assert {question: execution.status for question, execution in first.items()} == {
        "dies": ExecutionStatus.DIED,
        "hangs": ExecutionStatus.TIMEOUT,
        "can't be interrupted": ExecutionStatus.TIMEOUT,
        "eats memory": ExecutionStatus.MEMORY,
        "fine": ExecutionStatus.OK,
    }
    assert {q for q, execution in first.items() if execution.state_lost} == {"dies", "can't be interrupted"}
    assert all(
        record.trajectory.answer and record.trajectory.answer.text == "42" for record in records.values()
    )


async def test_2_nothing_leaks_between_attempts() -> None:
    records = await solved(
        {
            "first": [
                program("import sympy, builtins; sympy.sqrt = lambda x: 42; builtins.abs = None; x = 1"),
                ".",
            ],
            "second": [program("import sympy; print(sympy.sqrt(16), abs(-1), 'x' in globals())"), "."],
        }
    )
    assert records["second"].trajectory.executions[0].stdout == "4 1 False\n"


async def test_2_state_between_the_programs_of_one_attempt_is_persistent_or_fresh_as_asked() -> None:
    assert await outputs("x = 5", "print(x)") == ["Done", "5"]
    assert (await outputs("x = 5", "print(x)", fresh_cells=True))[1].endswith(
        "NameError: name 'x' is not defined"
    )


@pytest.mark.parametrize(
    "hang",
    [
        "import time; time.sleep(600)",
        "while True:\n    try: sum(range(10**6))\n    except BaseException: pass",
    ],
)
async def test_3_after_a_timeout_the_next_program_gets_its_own_output(hang: str) -> None:
    programs = f"print('late')\n{hang}", "print('first')", "print('second')"
    late, first, second = await outputs(*programs, cell_timeout_s=2.0)
    assert late.startswith("late\n") and "longer than 2 s" in late
    assert [first, second] == ["first", "second"]


async def test_4_what_the_model_reads_of_errors_values_and_silence() -> None:
    error, value, silence = await outputs("print('partial 7')\ny = 0\nprint(1 / y)", "3 * 7", "z = 1")
    assert error == "partial 7\nline 3: print(1 / y)\nZeroDivisionError: division by zero"
    assert value == "21"
    assert silence == "Done"


async def test_4_programs_and_outputs_keep_every_digit() -> None:
    """MathCoder's runtime cuts decimals to six places, in programs too: a tolerance of 1e-8 became 0."""
    assert await outputs("tol = 0.00000001\nprint(tol, 1.23456789e-10)") == ["1e-08 1.23456789e-10"]


async def test_4_what_goes_to_stderr_reaches_the_model() -> None:
    assert await outputs("import sys; print('careful', file=sys.stderr)") == ["careful"]


async def test_6_no_attempt_waits_for_the_turn_of_another() -> None:
    """With a barrier between rounds the slow model would wait for ever: it starts when the fast one has ended."""
    fast_has_ended = anyio.Event()

    class Gated(Scripts):
        async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
            if "slow" in str(request.prompt):
                await fast_has_ended.wait()
            completion = await super().complete(request, on_text)
            if "fast" in str(request.prompt) and "boxed" in completion.text:
                fast_has_ended.set()
            return completion

    turns = [program("print(1)"), program("print(2)"), "\\boxed{2}"]
    solver = Solver(model=Gated(scripts={"slow": list(turns), "fast": list(turns)}))
    ended: list[str] = []
    with anyio.fail_after(HANG_S):
        await run_batch(
            Batch(
                problems=tuple(Problem(id=name, question=name) for name in ("slow", "fast")), solver=solver
            ),
            concurrency=2,
            on_record=lambda record: ended.append(record.problem.id),
        )
    assert ended == ["fast", "slow"]


async def test_7_only_the_new_turn_is_parsed_and_a_box_in_code_ends_nothing() -> None:
    solver = solver_of(
        {"q": ["\\boxed{1}?\n" + program("print('\\\\boxed{7}')  # \\boxed{8}"), "```text\nprint(3)\n```\n"]}
    )
    attempt = (await solver.solve(Problem(id="q", question="q"))).trajectory
    assert [execution.stdout for execution in attempt.executions] == ["\\boxed{7}\n"]
    assert attempt.stop_reason is StopReason.ANSWERED  # by the box in the first turn's prose
    assert attempt.answer is not None and attempt.answer.text == "1"


async def test_7_marks_in_question_and_solution_cut_nothing() -> None:
    """The reference splits the whole text at "<|assistant|>" and "Question:"."""
    question = "What does <|assistant|> mean? Question: 6 * 7?"
    answer = "Question: what is <|assistant|>? A mark. \\boxed{42}"
    attempt = (await solver_of({question: [answer]}).solve(Problem(id="q", question=question))).trajectory
    assert attempt.transcript.question == question and attempt.transcript.text == answer
    assert attempt.answer is not None and attempt.answer.text == "42"


async def test_9_answers_are_graded_without_the_published_graders_false_positives() -> None:
    solver = solver_of({"q": [program("print(2**3)"), "So $\\boxed{\\frac{1}{23}}$."]})
    answer = extract_answer((await solver.solve(Problem(id="q", question="q"))).trajectory.transcript)
    assert answer is not None
    async with Grader() as grader:
        assert (await grader.grade(answer.text, "\\frac{12}{3}")).outcome is Outcome.INCORRECT
        assert (await grader.grade(answer.text, "1/23")).outcome is Outcome.CORRECT
