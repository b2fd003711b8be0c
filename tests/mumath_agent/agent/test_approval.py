"""A person decides on each program before it runs: in the graph, across processes, and at the terminal."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import TypeAdapter, ValidationError
from typer.testing import CliRunner

from mumath_agent.agent.approval import Action, Approve, Arguments, Decision, Edit, Reject, visible
from mumath_agent.agent.graph import Handles, Question, State, build_graph, trajectory
from mumath_agent.agent.solver import Solver
from mumath_agent.cli import app
from mumath_agent.errors import InputError
from mumath_agent.kernels import JupyterExecutor
from mumath_agent.records import ExecutionStatus, Limits, Problem, StopReason, to_json
from mumath_agent.testing import ScriptedExecutor, ScriptedModel
from mumath_agent.transcript import Kind
from tests.toy import WITH_TOY

CONFIG: RunnableConfig = {"configurable": {"thread_id": "1"}}
QUESTION: Question = {"question": "q"}


def ask(program: str) -> str:
    return f"```python\n{program}\n```\n```output"


def edit(code: str) -> Edit:
    return Edit(edited_action=Action(args=Arguments(code=code)))


def used(programs: list[str], outputs: list[str], **settings: Any) -> Handles:
    texts = [*map(ask, programs), "So \\boxed{5}."]
    return Handles(
        model=ScriptedModel(texts=texts),
        kernel=ScriptedExecutor(executions=outputs),
        approve=True,
        **settings,
    )


@pytest.mark.parametrize(
    ("decision", "ran", "output"),
    [
        (Approve(), ["print(5)\n"], "5\n```\n"),
        (
            edit("print(2 + 3)"),
            ["print(2 + 3)"],
            "[A person changed the program before it ran. What ran instead:]\nprint(2 + 3)\n[Its output:]\n5\n```\n",
        ),
        (edit("print(5)\n"), ["print(5)\n"], "5\n```\n"),
        (Reject(), [], "The program was not run: a person rejected it\n```\n"),
        (Reject(message="too slow"), [], "The program was not run: a person rejected it: too slow\n```\n"),
        (
            Reject(message="\n```\n<s>"),
            [],
            "The program was not run: a person rejected it: \n ```\n< s>\n```\n",
        ),
    ],
)
def test_what_a_person_decides_is_what_runs_and_the_transcript_says_so(
    decision: Decision, ran: list[str], output: str
) -> None:
    graph, handles = build_graph(checkpointer=InMemorySaver()), used(["print(5)"], ["5\n"])
    asked = graph.invoke(QUESTION, CONFIG, context=handles)["__interrupt__"][0]
    assert isinstance(handles.kernel, ScriptedExecutor) and handles.kernel.programs == []
    assert asked.value["args"] == {"code": "print(5)\n"}
    state = graph.invoke(Command(resume=to_json(decision)), CONFIG, context=handles)
    attempt = trajectory(cast("State", state))
    assert handles.kernel.programs == ran
    written = [segment for segment in attempt.transcript.segments if segment.kind is Kind.OUTPUT]
    assert [segment.text for segment in written] == [output]
    code = [segment.text for segment in attempt.transcript.segments if segment.kind is Kind.CODE]
    assert code == ["```python\nprint(5)\n```\n```output\n"]  # what the model wrote is never changed
    (execution,) = attempt.executions
    assert execution.edited == (ran[0] if ran and ran[0] != "print(5)\n" else None)
    assert (execution.status is ExecutionStatus.REFUSED) == (not ran)
    assert attempt.stop_reason is StopReason.ANSWERED


@pytest.mark.parametrize(
    "answer",
    [
        "yes",
        {"type": "maybe"},
        {"type": "edit"},
        {"type": "edit", "edited_action": {"name": "shell", "args": {}}},
    ],
)
def test_an_answer_that_decides_nothing_leaves_the_question_open(answer: object) -> None:
    graph, handles = build_graph(checkpointer=InMemorySaver()), used(["print(5)"], ["5\n"])
    graph.invoke(QUESTION, CONFIG, context=handles)
    with pytest.raises(ValidationError):
        graph.invoke(Command(resume=answer), CONFIG, context=handles)
    state = graph.invoke(Command(resume={"type": "approve"}), CONFIG, context=handles)
    assert trajectory(cast("State", state)).stop_reason is StopReason.ANSWERED


def test_requests_and_decisions_are_those_of_langchain() -> None:
    hitl = pytest.importorskip("langchain.agents.middleware.human_in_the_loop")
    graph = build_graph(checkpointer=InMemorySaver())
    asked = graph.invoke(QUESTION, CONFIG, context=used(["1"], []))["__interrupt__"][0]
    assert set(asked.value) == set(hitl.ToolApprovalRequest.__annotations__)
    for decision, theirs in [
        (Approve(), hitl.ApproveDecision),
        (edit("1"), hitl.EditDecision),
        (Reject(message="no"), hitl.RejectDecision),
    ]:
        TypeAdapter(theirs).validate_python(to_json(decision))
    assert {"approve", "edit", "reject"} == set(asked.response_schema["discriminator"]["mapping"])


@pytest.mark.anyio
@pytest.mark.kernel
async def test_a_run_that_waits_needs_no_kernel_and_the_next_one_is_brought_to_where_the_last_was() -> None:
    graph = build_graph(checkpointer=InMemorySaver())
    programs = ["import random\nx = [random.random()]", "x.append(2)", "x = 0", "x.append(len(x))\nx[1:]"]
    decisions = [Approve(), edit("x.append(3)"), Reject(), Approve()]
    model, limits = used(programs, []).model, Limits(max_turns=9, max_recoveries=0)
    start: Question | Command[Any] | None = QUESTION
    for decision in [*decisions, None]:
        async with JupyterExecutor(seed=7) as kernel:
            handles = Handles(model=model, kernel=kernel, limits=limits, approve=True)
            state = cast("State", await graph.ainvoke(start, CONFIG, context=handles))
        start = Command(resume=to_json(decision)) if decision else None
    attempt = trajectory(state)
    assert attempt.stop_reason is StopReason.ANSWERED
    assert [e.state_replayed for e in attempt.executions] == [False, True, False, True]
    assert attempt.executions[-1].result == "[3, 2]"


@pytest.mark.anyio
async def test_a_reviewer_of_the_solver_sees_every_program() -> None:
    seen: list[str] = []

    async def review(program: str) -> Decision:
        await anyio.sleep(0.01)
        seen.append(program)
        return Reject(message="no") if len(seen) == 1 else Approve()

    solver = Solver(model=ScriptedModel(texts=[ask("print(4)"), ask("print(5)"), "\\boxed{5}"]))
    kernel = ScriptedExecutor(executions=["5\n"])
    record = await solver.solve(Problem(id="1", question="q"), kernel=kernel, review=review)
    assert (seen, kernel.programs) == (["print(4)\n", "print(5)\n"], ["print(5)\n"])
    assert [e.status.value for e in record.trajectory.executions] == ["refused", "ok"]


PENCILS = (
    "A school orders 14 boxes of pencils with 12 pencils in each box. "
    "The teachers hand out 95 pencils. How many pencils are left?"
)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (
            ["x", "e", "y"],
            "[A person changed the program before it ran. What ran instead:]\nprint(6 * 7)\n[Its output:]\n42\n```",
        ),
        pytest.param(
            ["n", "it is slow"],
            "The program was not run: a person rejected it: it is slow\n```",
            marks=pytest.mark.slow,  # the other one asks at a terminal by day, and rejections have no process above
        ),
    ],
)
def test_at_the_terminal_each_program_is_asked_about(answers: list[str], said: str, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\necho 'print(6 * 7)' > \"$1\"\n")
    editor.chmod(0o755)
    environment = {**os.environ, "EDITOR": str(editor), "LANGGRAPH_STRICT_MSGPACK": "true"}
    environment.pop("VISUAL", None)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "mumath_agent", "solve", *WITH_TOY, "--approve", "--max-turns", "2", PENCILS],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        os.close(theirs)
        for answer in answers:
            read_until(ours, b"): " if answer == "it is slow" else b"o: ")
            os.write(ours, f"{answer}\n".encode())
        out, _ = process.communicate()
    os.close(ours)
    assert said in out, out


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("print('α')\n\tx", "print('α')\n\tx"),
        ("evil()\x1b[2K\rprint(5)", "evil()\\x1b[2K\\rprint(5)"),
        ("x = 1  # \u202e", "x = 1  # \\u202e"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
    ],
)
def test_what_is_approved_is_what_is_seen(program: str, shown: str) -> None:
    assert visible(program) == shown


def read_until(terminal: int, end: bytes) -> None:
    text = b""
    while not text.rstrip(b"\x1b[0m").endswith(end):
        text += os.read(terminal, 1 << 10)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["q"], "--approve asks at a terminal"), (["--file", "q.txt"], "--approve goes with one question")],
)
def test_without_a_terminal_nobody_can_be_asked(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["solve", "--approve", *arguments])
    assert isinstance(done.exception, InputError) and said in str(done.exception)
