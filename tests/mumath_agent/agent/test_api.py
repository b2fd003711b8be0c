"""Solving from Python: plain values for every setting, clear errors for wrong ones, records as they end."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import mumath_agent
from mumath_agent import InputError, Limits, ModelError, Problem, Sampling, asolve, grade, solve, solve_many
from mumath_agent.errors import KernelError, ModelUnreachable
from mumath_agent.records import Outcome, StopReason
from mumath_agent.testing import ScriptedModel
from tests.programs import mumath_agent as mumath_agent_here
from tests.waiting import HANG_S

ASK = "```python\nprint(17 * 23)\n```\n"
BOXED = "It is $\\boxed{391}$."
NOWHERE = "http://127.0.0.1:9/v1"


def test_the_public_names_are_sorted_and_all_there() -> None:
    assert mumath_agent.__all__ == sorted(mumath_agent.__all__)
    assert set(mumath_agent.__all__) == set(mumath_agent._MODULES) <= set(dir(mumath_agent))
    assert all(
        getattr(mumath_agent, name).__module__.startswith("mumath_agent") for name in mumath_agent.__all__
    )
    with pytest.raises(AttributeError, match="no attribute 'sovle'"):
        _ = mumath_agent.sovle


def test_importing_the_package_imports_nothing_else() -> None:
    program = "import sys, mumath_agent; print([m for m in sys.modules if m.startswith('mumath_agent.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.kernel
def test_settings_are_plain_values() -> None:
    model = ScriptedModel(texts=[ASK, BOXED])
    record = solve("What is 17 times 23?", model=model, limits={"max_turns": "3"}, sampling={"seed": 4})
    assert (record.answer, record.ok) == ("391", True)
    assert record.settings.limits == Limits(max_turns=3) and record.settings.sampling == Sampling(seed=4)


@pytest.mark.parametrize(
    ("question", "settings", "message"),
    [
        (None, {}, "the question is None; it must be text"),
        ("", {}, "the question is empty"),
        (
            "q",
            {"max_turns": 3},
            "unknown setting 'max_turns'; it is one of the limits: limits={'max_turns': …}",
        ),
        ("q", {"temperature": 1}, "unknown setting 'temperature'; it is one of the sampling"),
        ("q", {"basurl": "x"}, "unknown setting 'basurl'; did you mean 'base_url'?"),
        (
            "q",
            {"limits": {"max_turn": 3}},
            "limits: not a valid Limits: unknown key max_turn; known are max_turns, ",
        ),
        ("q", {"limits": {"max_turns": "many"}}, "limits: not a valid Limits: max_turns"),
        ("q", {"limits": {"max_turns": 0}}, "limits: limit max_turns is 0; it must be positive"),
        ("q", {"limits": 3}, "limits is 3; it must be a Limits or a dict such as {'max_turns': 4}"),
        ("q", {"model": "gpt-4"}, "--model gpt-4 needs --base-url"),
        ("q", {"model": 5}, "model is 5; it must be a name or have the methods of a CompletionModel"),
        ("q", {"dialect": "klingon"}, "unknown dialect 'klingon'; known: fenced"),
        ("q", {"base_url": "ftp://host"}, "ftp://host"),
        ("q", {"fresh_cells": "yes"}, "fresh_cells is 'yes'; it must be True or False"),
        ("q", {"errors": "ignore"}, "errors is 'ignore'"),
    ],
)
def test_a_wrong_setting_is_an_input_error_that_names_it(
    question: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as raised:
        solve(question, **settings)
    assert message in str(raised.value)


def test_limits_of_the_wrong_type_are_input_errors() -> None:
    with pytest.raises(InputError, match="limit max_turns is '3'; it must be a number"):
        Limits(max_turns="3")  # type: ignore[arg-type]


@pytest.mark.kernel
def test_a_server_that_does_not_answer_raises() -> None:
    with pytest.raises(ModelUnreachable, match=r"127\.0\.0\.1:9"):
        solve("q", base_url=NOWHERE, model="m", dialect="chat", errors="raise")


def test_the_environment_counts_as_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUMATH_BASE_URL", NOWHERE)
    with pytest.raises(ModelUnreachable, match=r"127\.0\.0\.1:9"):
        solve("q")
    with pytest.raises(ModelUnreachable, match=r"127\.0\.0\.1:9"):
        list(solve_many(["q"]))


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("broken", "error"),
    [(ModelError("no such model"), ModelError), (ModelUnreachable("gone"), ModelUnreachable)],
)
def test_what_breaks_raises_unless_a_record_is_asked_for(broken: Exception, error: type[Exception]) -> None:
    with pytest.raises(error, match=str(broken)):
        solve("q", model=ScriptedModel(texts=[broken]))
    record = solve("q", model=ScriptedModel(texts=[broken]), errors="record")
    assert (record.answer, record.ok, record.trajectory.error) == (None, False, str(broken))


def test_every_way_machinery_breaks_has_an_error() -> None:
    from mumath_agent.agent.failures import RAISED
    from mumath_agent.records import BROKEN

    assert set(RAISED) == BROKEN - {StopReason.INTERNAL_ERROR}
    assert RAISED[StopReason.KERNEL_ERROR] is KernelError


@pytest.mark.kernel
@pytest.mark.parametrize(
    "problem",
    [
        "What is 17 times 23?",
        {"question": "What is 17 times 23?", "answer": 391},
        Problem(id="a", question="What is 17 times 23?", target="391"),
    ],
)
def test_many_problems_of_any_form_are_yielded_as_they_end(problem: Any) -> None:
    two = [problem, replace(problem, id="b") if isinstance(problem, Problem) else problem]
    records = list(solve_many(two, samples=2, concurrency=1, model=ScriptedModel(texts=[BOXED] * 4)))
    assert [record.answer for record in records] == ["391"] * 4
    graded = not isinstance(problem, str)
    assert all((record.verdict is not None) is graded for record in records)


def test_a_bad_problem_is_refused_before_anything_is_attempted() -> None:
    model = ScriptedModel(texts=[])
    for bad, message in (
        (3, "problem 2 is 3"),
        ({"answer": 1}, "no question"),
        ("", "the question is empty"),
    ):
        with pytest.raises(InputError, match=message):
            list(solve_many(["q", bad], model=model))  # type: ignore[list-item]
    assert model.prompts == []


@pytest.mark.kernel
def test_who_stops_reading_early_leaves_nothing_behind() -> None:
    records = solve_many([str(n) for n in range(50)], concurrency=2, model=ScriptedModel(texts=[BOXED] * 50))
    assert next(records).answer == "391"
    records.close()
    with pytest.raises(StopIteration):
        next(records)


@pytest.mark.kernel
@pytest.mark.parametrize(
    "call", [asolve, lambda question, **settings: asyncio.to_thread(lambda: solve(question, **settings))]
)
def test_it_works_in_a_running_loop(call: Callable[..., Any]) -> None:
    async def both() -> list[str | None]:
        records = await asyncio.gather(*(call("q", model=ScriptedModel(texts=[BOXED])) for _ in range(2)))
        return [record.answer for record in records]

    assert asyncio.run(both()) == ["391", "391"]


@pytest.mark.parametrize(
    ("answer", "target", "outcome"),
    [
        ("0.5", r"\frac{1}{2}", Outcome.CORRECT),
        ("3", "4", Outcome.INCORRECT),
        (None, "4", Outcome.NO_ANSWER),
    ],
)
def test_grade_is_a_reward_that_never_raises(answer: str | None, target: str, outcome: Outcome) -> None:
    assert grade(answer, target) is outcome


_FORKED = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from mumath_agent import grade
pairs = [("1+x", "x+1"), ("x-1", "x+1"), ("2", "3")] * 4
with ThreadPoolExecutor(4) as threads:
    found = [str(outcome) for outcome in threads.map(lambda pair: grade(*pair), pairs)]
    assert found == ["correct", "incorrect", "incorrect"] * 4
children = []
for _ in range(2):
    if not (child := os.fork()):
        os._exit([str(grade(*pair)) for pair in pairs[:2]] != ["correct", "incorrect"])
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
sys.exit(codes != [0, 0] or str(grade("1+x", "x+1")) != "correct")
"""


@pytest.mark.worker
def test_threads_and_forked_processes_grade_side_by_side() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", _FORKED], check=False, timeout=HANG_S)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"sampling": {"temperature": -1}}, "sampling: temperature is -1.0; it must be a number, 0 to 1e"),
        ({"sampling": {"temperature": float("nan")}}, "temperature is nan"),
        ({"sampling": {"top_p": 2}}, "top_p is 2"),
        ({"sampling": {"top_p": 0}}, "top_p is 0"),
        ({"concurrency": 0}, "concurrency is 0; it must be 1 or more"),
        ({"samples": 0}, "samples is 0"),
    ],
)
def test_a_setting_nothing_can_be_done_with_is_named(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        list(solve_many(["q"], **settings))


@pytest.mark.parametrize(
    ("problems", "told"),
    [
        ("What is 3 times 4?", "must be a list of problems, even if there is one"),
        ({"question": "q"}, "must be a list of problems"),
        ([{"id": "z", "question": "a"}, {"id": "z", "question": "b"}], "2 problems have the id 'z'"),
        ([{"question": "a", "answer": {"a": 1}}], "the answer is {'a': 1}; write it as one text"),
    ],
)
def test_problems_that_can_not_be_attempted_are_said(problems: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        list(solve_many(problems))


@pytest.mark.kernel
def test_an_option_goes_before_the_environment() -> None:
    ended = mumath_agent_here("solve", "--local", "nowhere.gguf", "q", MUMATH_BASE_URL=NOWHERE)
    assert (ended.code, ended.errors[0][:36]) == (2, "error: there is no file nowhere.gguf"[:36])
    both = mumath_agent_here("solve", "--local", "x.gguf", "--base-url", NOWHERE, "q")
    assert both.code == 2 and "name different models; leave out all but one" in both.stderr


@pytest.mark.kernel
def test_a_server_that_is_not_there_can_be_a_record() -> None:
    record = solve("q", base_url=NOWHERE, model="m", dialect="chat", errors="record")
    assert (record.answer, record.ok, record.settings.model) == (None, False, "m")
    assert record.trajectory.stop_reason is StopReason.MODEL_UNREACHABLE
    assert "127.0.0.1:9" in (record.trajectory.error or "")
    assert solve("q", base_url=NOWHERE, errors="record").trajectory.error
