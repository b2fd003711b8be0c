"""Solve on the command line with real parts: a tiny model, or the one that ships, and real kernels.

The command is called in this process, but where it is killed or interrupted.
"""

import csv
import json
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from mumath_agent.models.embedded import CAUTION
from mumath_agent.records import RunRecord, StopReason, from_json
from tests.programs import PROGRAM, Ended, mumath_agent, mumath_agent_process
from tests.toy import WITH_TOY
from tests.waiting import comes_true

QUESTION = "Lina has 17 marbles. Tom gives her 25 more marbles. How many marbles does Lina have now?"
COMMAND = [*PROGRAM, "solve", *WITH_TOY]


def solve(*arguments: str, stdin: str | bytes = "", **environment: str) -> Ended:
    return mumath_agent("solve", *WITH_TOY, *arguments, stdin=stdin, **environment)


@pytest.mark.kernel
def test_a_question_ends_in_an_executed_boxed_answer_and_the_transcript_is_what_is_shown() -> None:
    shown = mumath_agent_process("solve", *WITH_TOY, QUESTION)
    (record,) = solve(QUESTION, "--json").records()
    attempt = record.trajectory
    assert shown.code == 0, shown.stderr
    assert attempt.answer is not None and attempt.answer.text == "42"
    assert attempt.executions[0].stdout == "42\n"
    assert shown.stdout == f"{attempt.transcript.text}\n\nAnswer: 42\n"
    assert record.isolation == "full"


@pytest.mark.shipped
@pytest.mark.kernel
def test_the_model_that_ships_is_named_and_says_what_it_is_good_for(tmp_path: Path) -> None:
    few = ("--max-new-tokens", "8")
    shown = mumath_agent("solve", QUESTION, *few)
    (line,) = (line for line in shown.stderr.splitlines() if line.startswith("model: "))
    assert "embedded" in line and "--base-url" in line
    assert [line for line in shown.stdout.splitlines() if line.startswith(CAUTION)]
    output = tmp_path / "r.jsonl"
    many = mumath_agent("solve", "--file", "-", "--output", str(output), *few, stdin=f"{QUESTION}\n")
    assert many.stdout.splitlines()[-1] == CAUTION
    assert from_json(RunRecord, json.loads(output.read_text())).caution == CAUTION


@pytest.mark.kernel
def test_stdin_to_json_is_one_object() -> None:
    ended = solve("-", "--json", stdin=f"{QUESTION}\n".encode())
    assert json.loads(ended.stdout)["problem"]["question"] == QUESTION


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["   "], b"", "the question is empty"),
        (["-"], b"\n", "the question is empty"),
        (["-"], b"x" * 1_000_000, "the question has 1,000,000 characters; at most 20,000 are allowed"),
        (["-"], b"\x89PNG\r\n\x1a\n", "stdin isn't UTF-8 text (byte 0 is 0x89)"),
        (["-"], b"How many\0?", "stdin isn't text (it contains a zero byte)"),
        (["How many\udcff?"], b"", "the question isn't text: it contains a zero byte or half of a character"),
        (["--file", "no-such-file.jsonl"], b"", "can't read no-such-file.jsonl: No such file or directory"),
        (["q", "--file", "f"], b"", "give either a question (or - for stdin) or --file"),
        ([], b"What is 1 + 1?", "give either a question (or - for stdin) or --file"),
        (["q", "--csv", "f"], b"", "--csv goes with --file"),
        (["--file", "-", "--csv", "x", "--output", "x"], b"", "--csv and --output both name x"),
        (["--file", "x.csv", "--csv", "x.csv"], b"", "--csv and --file both name x.csv"),
        (["q", "--notebook", "x.txt"], b"", "a notebook's name ends in .ipynb, and x.txt doesn't"),
        (["--file", "-"], b"\n", "stdin holds no problem"),
        (
            ["--file", "-"],
            b'{"id": 1, "question": "a"}\n{"id": 1, "question": "b"}',
            "line 1 and line 2 have",
        ),
        (
            ["--file", "-"],
            b'{"a": 1}\n{}\n[]\n',
            "stdin holds no problem: stdin line 1: no question; expected",
        ),
        (["--file", "-"], b"[\n {\n", "stdin holds no problem: stdin: not valid JSON ("),
        (["--file", "-", "--csv", __file__], b"q", "is there already and isn't a table of solve --csv"),
        (["--file", "-", "--csv", "no/x.csv"], b"q", "can't write the table no/x.csv: there is no folder no"),
        (["q", "--output", "f"], b"", "--output goes with --file"),
        (["q", "--serve", "m", "--local", "l"], b"", "--serve and --local name two models"),
        (
            ["--file", "-"],
            b'{"question": "q", "answer": [1, 2]}',
            "stdin line 1: the answer is [1, 2]; write it as one text",
        ),
        pytest.param(["q", "--model", "m"], b"", "--model m needs --base-url", marks=pytest.mark.kernel),
        pytest.param(
            ["q", "--dialect", "chat"], b"", "--dialect chat is for models", marks=pytest.mark.kernel
        ),
        pytest.param(["q", "--dialect", "tools"], b"", "--dialect tools is for", marks=pytest.mark.kernel),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(
    arguments: list[str], stdin: bytes, message: str
) -> None:
    ended = solve(*arguments, stdin=stdin)
    assert ended.code == 2
    assert len(ended.stderr.splitlines()) == 1 and message in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["solve", "What", "is", "2+2"],
            "(is 2+2); quote a QUESTION that has spaces",
        ),
        (["solve", "What", "2+2"], "(2+2); quote a QUESTION that has spaces"),
        (
            ["replay", "my", "run.jsonl"],
            "(run.jsonl); quote a FILE that has spaces",
        ),
        (["What is 2+2?"], 'To ask a question: mumath-agent solve "What is 2+2?"'),
        (["What", "is", "2+2?", "--json"], 'To ask a question: mumath-agent solve "What is 2+2?"'),
        (["-3 + 4"], 'To ask a question: mumath-agent solve "-3 + 4"'),
        (["x" * 200], 'To ask a question: mumath-agent solve "QUESTION"'),
        (["slove", "What is 2+2?"], "No such command 'slove'. Did you mean 'solve'"),
        (["--no-such"], "No such option: --no-such"),
    ],
)
def test_a_hint_stands_in_the_line_of_a_usage_error(arguments: list[str], said: str) -> None:
    ended = mumath_agent(*arguments, COLUMNS="400")
    assert ended.code == 2 and ended.stdout == ""
    (line,) = (line for line in ended.stderr.splitlines() if line.startswith("Error: "))
    assert said.replace("mumath-agent ", "") in line.replace("mumath-agent ", "").replace("mumath_agent ", "")


def test_an_option_out_of_range_is_a_usage_error() -> None:
    assert solve("q", "--max-turns", "0").code == 2


@pytest.mark.kernel
def test_a_server_that_is_not_there_is_one_clear_line_and_exit_code_3() -> None:
    ended = mumath_agent("solve", "q", "--base-url", "http://127.0.0.1:9/v1", MUMATH_API_KEY="secret-key")
    assert ended.code == 3
    assert len(ended.errors) == 1 and "http://127.0.0.1:9/v1" in ended.errors[0]
    assert "Traceback" not in ended.stderr and "secret-key" not in ended.stdout + ended.stderr


@pytest.mark.kernel
def test_a_broken_line_is_reported_and_the_rest_is_solved(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(f'{{"id": "a", "question": "{QUESTION}"}}\n{{"id": \n{{"id": "c", "question": ""}}\n')
    ended = solve("--file", str(file), "--json")
    assert ended.code == 2
    assert [record.problem.id for record in ended.records()] == ["a"]
    assert len(ended.errors) == 2 and "p.jsonl line 2: not valid JSON" in ended.errors[0]


_SAID = re.compile(r"\d+ (?:of \d+ )?problems?: .*")


@pytest.mark.kernel
def test_a_file_ends_with_a_sum_its_answers_are_graded_and_make_a_table(tmp_path: Path) -> None:
    output, table = tmp_path / "r.jsonl", tmp_path / "t.csv"
    rows = "id,question,answer\na,What is 3 + 4?,7\nb,What is 3 + 5?,9\n,What is 3 + 6?,\n"
    arguments = ("--file", "-", "--output", str(output), "--csv", str(table))

    def run(rows: str) -> tuple[str, list[str | None], list[dict[str, str]]]:
        (said,) = _SAID.findall(solve(*arguments, stdin=rows).stderr)
        records = [from_json(RunRecord, json.loads(line)) for line in output.read_text().splitlines()]
        verdicts = [record.verdict.outcome.value if record.verdict else None for record in records]
        with table.open(newline="") as file:
            return said, verdicts, list(csv.DictReader(file))

    said, verdicts, told = run(rows)
    assert said == "3 problems: 3 answered, 0 without an answer, 0 broken; 1 of 2 right (50.0%)"
    assert verdicts == ["correct", "incorrect", None]
    assert [(row["id"], row["answer"], row["target"], row["verdict"]) for row in told] == [
        ("a", "7", "7", "correct"),
        ("b", "8", "9", "incorrect"),
        ("line-4", "9", "", ""),
    ]
    assert told[0]["question"] == "What is 3 + 4?" and told[0]["stop_reason"] == "answered"
    assert int(told[0]["turns"]) == 2 and int(told[0]["completion_tokens"]) > 0
    # Given again with an answer more, it makes nothing again and grades what it hadn't.
    said, verdicts, again = run(rows.replace("+ 6?,", "+ 6?,9"))
    assert said == (
        "3 problems: 3 answered, 0 without an answer, 0 broken; 2 of 3 right (66.7%); "
        f"3 of them were in {output} already"
    )
    assert verdicts == ["correct", "incorrect", "correct"]
    assert again[:2] == told[:2] and again[2]["verdict"] == "correct"


@pytest.mark.kernel
@pytest.mark.parametrize(
    "question", ["-3 + 4", "-3+4", "- 3 + 4", "-x = 4; what is x?", "-(3 + 4)", "-.5 + 1"]
)
def test_a_question_may_begin_with_a_minus(question: str) -> None:
    for arguments in (
        (question, "--json", "--max-turns", "1"),
        ("--json", "--max-turns", "1", "--", question),
    ):
        (record,) = solve(*arguments).records()
        assert record.problem.question == question


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("-file", "No such option: -f"),
        ("--temprature=3", "--temperature)"),
        ("--file x", "No such option: --file x"),
    ],
)
def test_a_mistyped_option_is_no_question(option: str, message: str) -> None:
    ended = solve(option)
    assert ended.code == 2 and message in ended.stderr


@pytest.mark.kernel
def test_many_problems_are_solved_side_by_side_with_one_kernel_each(tmp_path: Path) -> None:
    file, output = tmp_path / "p.txt", tmp_path / "r.jsonl"
    file.write_text("".join(f"What is {n} plus {n + 3}?\n" for n in range(10, 22)))
    ended = solve("--file", str(file), "--output", str(output), "--concurrency", "6")
    records = [from_json(RunRecord, json.loads(line)) for line in output.read_text().splitlines()]
    assert [record.problem.id for record in records] == [f"line-{n}" for n in range(1, 13)]
    executions = [execution for record in records for execution in record.trajectory.executions]
    assert not [execution for execution in executions if execution.state_lost]
    assert len(ended.stdout.splitlines()) == 12


@pytest.mark.kernel
def test_an_interrupted_run_continues_to_the_same_answers_and_repeats_nothing(tmp_path: Path) -> None:
    file, output = tmp_path / "p.txt", tmp_path / "r.jsonl"
    file.write_text("".join(f"What is {n} plus {n + 3}?\n" for n in range(10, 20)))
    arguments = ["--file", str(file), "--output", str(output), "--concurrency", "2"]
    running = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert comes_true(lambda: output.exists() and output.read_bytes().count(b"\n") >= 3)
    running.kill()
    running.wait()
    before = [line for line in output.read_text().splitlines(keepends=True) if line.endswith("\n")]
    solve(*arguments)
    after = output.read_text().splitlines(keepends=True)
    assert len(before) < len(after) == 10
    assert set(before) <= set(after)
    answers = [from_json(RunRecord, json.loads(line)).trajectory.answer for line in after]
    fresh = tmp_path / "fresh.jsonl"
    solve("--file", str(file), "--output", str(fresh))
    assert answers == [
        from_json(RunRecord, json.loads(x)).trajectory.answer for x in fresh.read_text().splitlines()
    ]


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("end", "sigint"),
    [
        (signal.SIGINT, signal.SIG_IGN),
        pytest.param(
            signal.SIGTERM, signal.SIG_IGN, marks=pytest.mark.slow
        ),  # test_solve_output.py sends it, too
        pytest.param(signal.SIGINT, signal.SIG_DFL, marks=pytest.mark.slow),
        (signal.SIGKILL, signal.SIG_DFL),
    ],
)
def test_however_a_run_is_ended_no_kernel_is_left(
    tmp_path: Path, end: signal.Signals, sigint: signal.Handlers
) -> None:
    """Also where SIGINT is ignored from the start, as a shell does for its background jobs."""
    file = tmp_path / "p.txt"
    file.write_text("".join(f"What is {n} plus {n + 3}?\n" for n in range(100, 160)))
    running = subprocess.Popen(
        [*COMMAND, "--file", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, sigint),
    )
    process = psutil.Process(running.pid)
    assert comes_true(lambda: len(process.children(recursive=True)) >= 2)
    kernels = process.children(recursive=True)
    running.send_signal(end)
    _, stderr = running.communicate()
    assert comes_true(lambda: not any(kernel.is_running() for kernel in kernels))
    if end is not signal.SIGKILL:
        assert running.returncode == 130
        assert b"Traceback" not in stderr


@pytest.mark.kernel
def test_the_same_question_gives_the_same_transcript_twice() -> None:
    first, second = (solve(QUESTION, "--json").records()[0].trajectory for _ in range(2))
    assert first.transcript == second.transcript
    assert first.stop_reason is StopReason.ANSWERED
