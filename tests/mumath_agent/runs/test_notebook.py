"""Check that a record becomes a valid notebook that Jupyter runs, and that the notebook gives back what was run."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jupyter_client.manager import start_new_kernel
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mumath_agent import solve
from mumath_agent.dialects import get_dialect
from mumath_agent.dialects.output import STATE_LOST
from mumath_agent.errors import InputError
from mumath_agent.kernels.messages import stream_order
from mumath_agent.protocols import ExecutedCell
from mumath_agent.records import (
    Answer,
    AnswerSource,
    Completion,
    Execution,
    ExecutionStatus,
    FinishReason,
    Limits,
    Outcome,
    Problem,
    RunRecord,
    Sampling,
    Settings,
    StopReason,
    Trajectory,
    Verdict,
)
from mumath_agent.runs.executed import session_of, turns_of
from mumath_agent.runs.notebook import (
    notebook_name,
    notebook_text,
    read_notebook,
    write_notebook,
)
from mumath_agent.testing import ScriptedModel
from mumath_agent.transcript import Transcript
from tests.programs import mumath_agent
from tests.toy import WITH_TOY
from tests.waiting import HANG_S

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
OK, ERROR = ExecutionStatus.OK, ExecutionStatus.ERROR


FENCED = "{words}\n```python\n{code}\n```\n"
BLOCKS = "<|text|>{words}<|endofblock|><|code|>{code}<|endofblock|>"
Turns = Sequence[tuple[str, Execution]]


def played(
    turns: Turns, last: str = "So \\boxed{42}.", *, dialect: str = "fenced"
) -> tuple[RunRecord, list[str]]:
    """Return the record of an attempt with these texts and executions, as the graph would make it, and its programs."""
    speech = get_dialect(dialect)
    transcript = Transcript(question="How many?")
    completions: list[Completion] = []
    executions: list[Execution] = []
    programs: list[str] = []
    for text, execution in (*turns, (last, None)):
        cut = min((text.find(stop) for stop in speech.stop if stop in text), default=len(text))
        completion = Completion(
            text=text[:cut], finish_reason=FinishReason.STOP, prompt_tokens=1, completion_tokens=1
        )
        completions.append(completion)
        transcript = speech.with_completion(transcript, completion)
        program = speech.pending_code(transcript)
        if program is None or execution is None:
            break
        programs.append(program if execution.edited is None else execution.edited)
        executions.append(execution)
        transcript = speech.with_output(transcript, execution, max_chars=400)
    record = RunRecord(
        problem=Problem(id="p1", question="How many?", target="42"),
        settings=Settings(model="m", dialect=dialect, limits=Limits(), sampling=Sampling()),
        isolation="full",
        version="0",
        trajectory=Trajectory(
            transcript=transcript,
            completions=tuple(completions),
            executions=tuple(executions),
            answer=Answer(text="42", found_in=AnswerSource.BOXED),
            stop_reason=StopReason.ANSWERED,
        ),
        verdict=Verdict(outcome=Outcome.CORRECT, method="same"),
    )
    return record, programs


def record(turns: Turns, last: str = "So \\boxed{42}.") -> RunRecord:
    return played(turns, last)[0]


def program(code: str, words: str = "Let us see.") -> str:
    return FENCED.format(words=words, code=code)


def cells(of: RunRecord) -> list[Any]:
    notebook = nbformat.reads(notebook_text(of), as_version=4)
    nbformat.validate(notebook)
    return list(notebook.cells)


def said(of: RunRecord) -> list[str]:
    return [cell.source for cell in cells(of) if cell.cell_type == "markdown"]


# What a kernel can say: it lets no control characters through (kernels/test_output.py).
output = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.just("\n"), max_size=30)
errors = st.builds(
    lambda line, name, message: f"{line}{name}{message}",
    st.sampled_from(["", "line 3: f(x)\n", "line 1: raise E('line 2: x')\n"]),
    st.sampled_from(["ValueError", "sympy.SympifyError", "KeyboardInterrupt", "E"]),
    output.map(": {}".format) | st.just(""),
)
went_well = st.builds(
    Execution,
    status=st.just(OK),
    stdout=output,
    stderr=output,
    result=st.none() | output,
    artefacts=st.lists(st.just(f"data:image/png;base64,{PNG}"), max_size=2).map(tuple),
    duration_s=st.floats(0, 1e6),
    state_replayed=st.booleans(),
    edited=st.none() | output,
)
in_turn = st.builds(
    lambda pieces: Execution(
        status=OK,
        stdout="".join(text for name, text in pieces if name == "stdout"),
        stderr="".join(text for name, text in pieces if name == "stderr"),
        stream_order=stream_order((name, len(text)) for name, text in pieces),
    ),
    st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), output), max_size=6),
)
went_wrong = st.builds(
    Execution,
    status=st.sampled_from([ERROR, ExecutionStatus.MEMORY, ExecutionStatus.TIMEOUT, ExecutionStatus.DIED]),
    stdout=output,
    error=errors | st.just("The Python process died while it ran this program (exit code 3)."),
    state_lost=st.booleans(),
)
executions = went_well | in_turn | went_wrong
codes = st.text(max_size=40)
words = st.text(max_size=20)


@pytest.mark.parametrize(
    ("dialect", "turn"),
    [("fenced", FENCED), ("chat", FENCED), ("blocks", BLOCKS)],
    ids=["fenced", "chat", "blocks"],
)
@given(turns=st.lists(st.tuples(codes, words, executions), max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_a_notebook_gives_back_the_executed_programs_and_what_they_gave(
    dialect: str, turn: str, tmp_path: Path, turns: list[tuple[str, str, Execution]]
) -> None:
    texts = [(turn.format(code=code, words=rationale), execution) for code, rationale, execution in turns]
    of, programs = played(texts, dialect=dialect)
    path = tmp_path / "p.ipynb"
    write_notebook(of, path)
    nbformat.validate(nbformat.read(path, as_version=4))
    session = read_notebook(path)
    assert session.cells == tuple(map(ExecutedCell, programs, of.trajectory.executions))
    assert session.settings == of.settings
    assert session_of(of).cells == session.cells


@given(codes, executions)
def test_a_program_that_a_person_edited_is_shown_as_it_ran(code: str, execution: Execution) -> None:
    (ran,) = session_of(record([(program("x = 1"), execution)])).cells
    assert ran.code == ("x = 1\n" if execution.edited is None else execution.edited)


def test_programs_of_one_turn_are_one_cell_as_they_were_run() -> None:
    both = program("x = 6") + program("print(7 * x)", "Then:")
    of = record([(both, Execution(status=OK, stdout="42\n"))])
    kinds = [(cell.cell_type, cell.source) for cell in cells(of)[1:-1]]
    assert kinds == [
        ("markdown", "Let us see.\nThen:\n"),
        ("code", "x = 6\n\nprint(7 * x)\n"),
        ("markdown", "So \\boxed{42}."),
    ]


def test_the_same_record_is_the_same_text() -> None:
    of = record([(program("1"), Execution(status=OK, result="1"))])
    assert notebook_text(of) == notebook_text(of)


@pytest.mark.parametrize(
    ("order", "shown"),
    [
        ((), [("stdout", "a\nc\n"), ("stderr", "b\n")]),
        ((("stderr", 2), ("stdout", 4)), [("stderr", "b\n"), ("stdout", "a\nc\n")]),
        (
            (("stdout", 2), ("stderr", 2), ("stdout", 2)),
            [("stdout", "a\n"), ("stderr", "b\n"), ("stdout", "c\n")],
        ),
        ((("stderr", 1),), [("stderr", "b"), ("stdout", "a\nc\n"), ("stderr", "\n")]),
    ],
    ids=["unknown", "stderr first", "in turn", "only the beginning is known"],
)
def test_streams_stand_in_the_order_in_which_they_were_printed(order: Any, shown: Any) -> None:
    execution = Execution(status=OK, stdout="a\nc\n", stderr="b\n", stream_order=order)
    code = cells(record([(program("x"), execution)]))[2]
    assert [(output.name, output.text) for output in code.outputs] == shown


def test_outputs_are_what_jupyter_shows_them_as() -> None:
    execution = Execution(
        status=ERROR,
        stdout="a\n",
        stderr="b\n",
        result="c",
        error="line 2: 1/0\nZeroDivisionError: division by zero",
        artefacts=(f"data:image/png;base64,{PNG}",),
    )
    code = cells(record([(program("x"), execution)]))[2]
    assert [(o.output_type, o.get("name", "")) for o in code.outputs] == [
        ("stream", "stdout"),
        ("stream", "stderr"),
        ("display_data", ""),
        ("execute_result", ""),
        ("error", ""),
    ]
    assert code.outputs[2].data == {"image/png": PNG}
    assert code.outputs[4].ename == "ZeroDivisionError"
    assert code.outputs[4].evalue == "division by zero"


@pytest.mark.parametrize(
    ("execution", "notice"),
    [
        (
            Execution(status=ExecutionStatus.DIED, error="The Python process died", state_lost=True),
            STATE_LOST,
        ),
        (Execution(status=OK, state_replayed=True), "its programs were run again"),
        (Execution(status=OK, edited="y = 2"), "A person changed the program"),
    ],
    ids=["lost", "replayed", "edited"],
)
def test_what_happened_to_the_session_stands_behind_the_cell(execution: Execution, notice: str) -> None:
    shown = [cell.source for cell in cells(record([(program("x"), execution)]))]
    code = next(n for n, cell in enumerate(shown) if cell in ("x\n", "y = 2"))
    assert notice in shown[code + 1]


def test_what_was_not_run_is_no_code_cell() -> None:
    reason = "The program was not run: a person rejected it"
    rejected = Execution(status=ExecutionStatus.REFUSED, error=reason)
    of = record([(program("rm()"), rejected)], last="And then:\n```python\nx = 1")
    assert [cell.cell_type for cell in cells(of)] == ["markdown"] * 4
    assert "```python\nrm()" in said(of)[1] and reason in said(of)[1]
    assert said(of)[2].endswith("```python\nx = 1")
    assert session_of(of).cells == ()
    assert [turn.cell(get_dialect("fenced")) for turn in turns_of(of)] == [None, None]


@pytest.mark.parametrize("dialect", ["fenced", "chat", "tools"])
def test_an_output_that_the_model_made_up_ends_no_turn(dialect: str) -> None:
    both = "```python\n6 * 7\n```\n```output\n41\n```\nOr rather:\n" + program("x = 6")
    completion = Completion(text=both, finish_reason=FinishReason.STOP, prompt_tokens=1, completion_tokens=1)
    speech = get_dialect(dialect)
    transcript = speech.with_completion(Transcript(question="How many?"), completion)
    asked = speech.pending_code(transcript)
    ran = Execution(status=OK, stdout="42\n")
    transcript = speech.with_output(transcript, ran, max_chars=400)
    of = record([])
    attempt = replace(of.trajectory, transcript=transcript, completions=(completion,), executions=(ran,))
    of = replace(of, settings=replace(of.settings, dialect=dialect), trajectory=attempt)
    (turn,) = turns_of(of)
    assert turn.output == transcript.segments[-1]
    assert session_of(of).cells == (ExecutedCell(asked or "", ran),)
    code = [(cell.source, cell.outputs[0].text) for cell in cells(of) if cell.cell_type == "code"]
    assert code == [(asked, "42\n")]
    if dialect == "fenced":  # a chat's text ends with its first program
        assert "41" in said(of)[1]


def test_question_answer_verdict_and_settings_are_told() -> None:
    of = replace(record([]), caution="A toy that may be wrong.")
    first, *_, last = said(of)
    assert "How many?" in first
    assert all(
        word in last
        for word in ("Answer: 42", "correct", "target: 42", "isolation full", "mumath-agent 0", of.caution)
    )
    kept = nbformat.reads(notebook_text(of), as_version=4).metadata.mumath_agent
    assert kept.caution == of.caution
    assert kept.verdict.outcome == "correct" and kept.settings.limits.cell_timeout_s == 5.0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Let \\(x\\) be.", "Let $x$ be."),
        ("\\[x^2\\]", "$$x^2$$"),
        ("\\\\[2pt] a \\\\(b)", "\\\\[2pt] a \\\\(b)"),
        ("$5 or f(x)[1]", r"\$5 or f(x)[1]"),
    ],
)
def test_formulas_stand_between_marks_that_jupyter_knows(text: str, shown: str) -> None:
    assert said(record([], last=text))[1] == shown


def test_half_a_character_is_kept(tmp_path: Path) -> None:
    of = record([(program("x = '\ud835'"), Execution(status=OK))])
    write_notebook(of, tmp_path / "p.ipynb")
    (ran,) = read_notebook(tmp_path / "p.ipynb").cells
    assert ran.code == "x = '\ud835'\n"


@pytest.mark.parametrize(
    ("problem_id", "name"),
    [("line-3", "line-3.ipynb"), ("a/b c", "a_b_c.ipynb"), ("../x", "_x.ipynb"), ("..", "_.ipynb")],
)
def test_a_problem_names_a_file_that_stays_in_its_folder(problem_id: str, name: str) -> None:
    assert notebook_name(Problem(id=problem_id, question="?")) == name


JUPYTER = new_notebook(
    cells=[
        new_markdown_cell("# Mine"),
        new_code_cell("never_run()"),
        new_code_cell("x = 1", execution_count=1),
        new_code_cell(
            "plot(); x",
            execution_count=2,
            outputs=[
                new_output("stream", name="stdout", text="a\n"),
                new_output("display_data", data={"text/plain": "<Figure>", "image/png": f"{PNG}\n"}),
                new_output("stream", name="stdout", text="b\n"),
                new_output("execute_result", data={"text/plain": "1"}, execution_count=2),
            ],
        ),
        new_code_cell(
            "1/0",
            execution_count=3,
            outputs=[new_output("error", ename="E", evalue="no", traceback=["\x1b[31mE\x1b[0m: no"])],
        ),
    ]
)


def test_notebooks_of_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.ipynb"
    nbformat.write(JUPYTER, path)
    session = read_notebook(path)
    figure = (f"data:image/png;base64,{PNG}",)
    assert (session.id, session.settings) == ("mine", None)
    assert session.cells == (
        ExecutedCell("x = 1", Execution(status=OK)),
        ExecutedCell(
            "plot(); x", Execution(status=OK, stdout="a\n<Figure>\nb\n", result="1", artefacts=figure)
        ),
        ExecutedCell("1/0", Execution(status=ERROR, error="E: no")),
    )


def test_what_jupyter_said_last_counts_where_a_cell_of_ours_was_run_again(tmp_path: Path) -> None:
    failed = Execution(status=ExecutionStatus.TIMEOUT, error="TimeoutError: stopped", state_lost=True)
    notebook = nbformat.reads(notebook_text(record([(program("f()"), failed)])), as_version=4)
    notebook.cells[2].outputs = [new_output("stream", text="7\n")]
    nbformat.write(notebook, tmp_path / "p.ipynb")
    assert read_notebook(tmp_path / "p.ipynb").cells == (
        ExecutedCell("f()\n", Execution(status=OK, stdout="7\n")),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "{}",
        "[1]",
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
        '{"nbformat": 9}',
        "\xff",
    ],
)
@pytest.mark.filterwarnings("ignore::nbformat.warnings.MissingIDFieldWarning")
def test_a_file_that_is_no_notebook_is_an_input_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"x\.ipynb isn.t a notebook"):
        read_notebook(path)


@pytest.fixture
def stock_kernel(tmp_path: Path) -> Iterator[Any]:
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.kernel
def test_a_real_run_is_a_notebook_that_an_ordinary_kernel_runs_with_the_same_outputs(
    stock_kernel: Any, tmp_path: Path
) -> None:
    model = ScriptedModel(
        texts=[
            program("from sympy import *\nx = symbols('x')\nprint('roots:')\nsolve(x**2 - 5*x + 6, x)"),
            program("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"),
            program("x + y"),
            "So \\boxed{3}.",
        ]
    )
    of = solve("Which?", model=model, limits={"cell_timeout_s": HANG_S, "wall_s": 9 * HANG_S})
    first, figure, failed = (cell for cell in cells(of) if cell.cell_type == "code")
    assert base64.b64decode(figure.outputs[1].data["image/png"]).startswith(b"\x89PNG")
    seen: list[Any] = []

    def hook(message: Any) -> None:
        if message["msg_type"] in ("stream", "execute_result", "error"):
            seen.append(message["content"])

    for cell in (first, failed):
        stock_kernel.execute_interactive(cell.source, output_hook=hook, timeout=HANG_S)
    stdout, result, error = seen
    assert stdout["text"] == first.outputs[0].text == "roots:\n"
    assert result["data"]["text/plain"] == first.outputs[1].data["text/plain"] == "[2, 3]"
    assert (error["ename"], error["evalue"]) == (failed.outputs[0].ename, failed.outputs[0].evalue)


@pytest.mark.kernel
def test_a_file_of_problems_becomes_a_folder_of_notebooks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.txt").write_text("What is 17 times 23?\nWhat is 2 plus 2?\n")
    done = mumath_agent("solve", *WITH_TOY, "--file", "p.txt", "--notebook", "made/notebooks")
    folder = tmp_path / "made" / "notebooks"
    assert sorted(path.name for path in folder.iterdir()) == ["line-1.ipynb", "line-2.ipynb"], done.stderr
    (ran,) = read_notebook(folder / "line-1.ipynb").cells
    assert ran.execution.stdout == "391\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["?", "--notebook", "none/a.ipynb"],
            "can't write the notebook none/a.ipynb: there is no folder none",
        ),
        (
            ["--file", "same.jsonl", "--notebook", "made"],
            "2 problems would become the notebook a_b.ipynb; give them ids of their own",
        ),
        (["--file", "same.jsonl", "--notebook", "same.jsonl/x"], "can't make the folder same.jsonl/x"),
    ],
    ids=["no folder", "same names", "no place"],
)
def test_what_stands_in_the_way_is_said_before_anything_is_solved(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["a/b", "a b"] if "made" in arguments else ["a"]
    rows = [json.dumps({"id": name, "question": "What is 2 plus 2?"}) for name in names]
    (tmp_path / "same.jsonl").write_text("\n".join(rows))
    done = mumath_agent("solve", *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1
