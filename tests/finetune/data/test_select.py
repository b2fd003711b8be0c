"""The sieve: what is kept, and the one reason of everything that isn't."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import anyio
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from finetune.commands.selecting import overlap as overlap_command
from finetune.commands.selecting import select as select_command
from finetune.data.jobs import read_manifest
from finetune.data.records import UNCONFIRMED, Solution, SolutionFormat
from finetune.data.select.attempts import Attempt, attempt, read_attempts
from finetune.data.select.contamination import Index
from finetune.data.select.questions import NamedQuestion
from finetune.data.select.reasons import Reason
from finetune.data.select.rules import in_characters, in_tokens
from finetune.data.select.selection import Rules, Selection, sift
from mumath_agent.agent.solver import Solver
from mumath_agent.answers import extract_answer
from mumath_agent.dialects import Fenced
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.records import (
    Execution,
    ExecutionStatus,
    Limits,
    Outcome,
    Problem,
    RunRecord,
    Sampling,
    Settings,
    StopReason,
    Trajectory,
    Verdict,
    to_json,
)
from mumath_agent.runs.jsonl import load_records
from mumath_agent.transcript import Transcript
from tests.toy import TOY

QUESTION = "Mira buys 3 boxes of 7 pens and gives 4 pens to Jon. How many pens are left?"
SETTINGS = Settings(model="scripted", dialect="fenced", limits=Limits(), sampling=Sampling())
PROGRAM = "```python\nprint(3 * 7 - 4)\n```\n```output\n"
OK = Execution(status=ExecutionStatus.OK, stdout="17\n")
FAILED = Execution(status=ExecutionStatus.ERROR, error="NameError: name 'x' is not defined")


def record(
    *parts: str | Execution,
    sample: int = 0,
    stop: StopReason | None = None,
    question: str = QUESTION,
    target: str | None = "17",
    outcome: Outcome | None = None,
    problem_id: str = "pens",
) -> RunRecord:
    """Return the record of an attempt: what the model wrote, and what became of its programs."""
    dialect, transcript = Fenced(), Transcript(question=question)
    for part in parts:
        if isinstance(part, Execution):
            transcript = dialect.with_output(transcript, part, max_chars=SETTINGS.limits.output_chars)
        else:
            transcript = transcript.extended(*dialect.parse(part))
    answer = None if stop else extract_answer(transcript)
    return RunRecord(
        problem=Problem(id=problem_id, question=question, target=target, source="test"),
        sample=sample,
        settings=SETTINGS,
        isolation="none",
        version="0",
        trajectory=Trajectory(
            transcript=transcript,
            completions=(),
            executions=tuple(part for part in parts if isinstance(part, Execution)),
            answer=answer,
            stop_reason=stop or (StopReason.ANSWERED if answer else StopReason.NO_ANSWER),
            error="the server is away" if stop is StopReason.MODEL_UNREACHABLE else None,
        ),
        verdict=Verdict(outcome=outcome, method="number") if outcome else None,
    )


def sorted_out(records: list[RunRecord], rules: Rules | None = None) -> Selection:
    async def run() -> Selection:
        async with Grader() as grader:
            attempts = [attempt(each, each.problem.question) for each in records]
            return await sift(attempts, rules or Rules(), grader)

    return anyio.run(run)


def reasons(selection: Selection) -> dict[str, str]:
    kept = {each.id: "kept" for each in selection.kept}
    return kept | {each.id: each.reason.value for each in selection.dropped}


GOOD = (f"First multiply.\n{PROGRAM}", OK, "The answer is $\\boxed{17}$.")
DEBUGGED = (
    "```python\nprint(x)\n```\n```output\n",
    FAILED,
    f"x has no value yet.\n{PROGRAM}",
    OK,
    "It is $\\boxed{17}$.",
)
WORDS = "3 times 7 is 21, and 21 - 4 is 17. The answer is $\\boxed{17}$."


@pytest.mark.parametrize(
    ("reason", "given_record"),
    [
        ("kept", record(*GOOD)),
        ("kept", record(*DEBUGGED)),
        ("kept", record(WORDS)),
        ("kept", record(f"Both.\n```python\na = 1\n```\nand\n{PROGRAM}", OK, "So $\\boxed{17}$.")),
        (Reason.BROKEN, record(*GOOD[:2], stop=StopReason.MODEL_UNREACHABLE)),
        (Reason.UNFINISHED, record(*GOOD[:2], stop=StopReason.MAX_TURNS)),
        (Reason.UNFINISHED, record("$\\boxed{17}$ is what\n```python\nprint(", stop=None)),
        (Reason.NO_ANSWER, record("I don't know.")),
        (Reason.WRONG, record("It is $\\boxed{18}$.")),
        (Reason.WRONG, record(WORDS, outcome=Outcome.INCORRECT)),
        (Reason.UNGRADED, record(WORDS, outcome=Outcome.UNGRADED)),
        (Reason.UNEXECUTED, record("```python\nprint(17)\n```\nThe answer is $\\boxed{17}$.")),
        (Reason.UNEXECUTED, record(*GOOD[:2], "Again.\n```python\n1\n```\nIt is $\\boxed{17}$.")),
        (Reason.UNEXECUTED, record("I compute\n  ```sympy\n3 * 7\n  ```\nThe answer is $\\boxed{17}$.")),
        (Reason.INVENTED_OUTPUT, record(f"{PROGRAM}17\n```\nThe answer is $\\boxed{{17}}$.")),
        (Reason.INVENTED_OUTPUT, record("```output\n17\n```\nThe answer is $\\boxed{17}$.")),
        (Reason.INVENTED_OUTPUT, record(*GOOD[:2], "```output\n17\n```\nIt is $\\boxed{17}$.")),
        (Reason.ERROR_ONLY, record(PROGRAM, FAILED, "The answer is $\\boxed{17}$.")),
        (Reason.TOO_LONG, record(WORDS + " Indeed." * 200)),
        (Reason.OTHER_FORMAT, record(WORDS)),
        (Reason.OTHER_FORMAT, record(*GOOD)),
    ],
)
def test_an_attempt_has_its_reason(reason: str, given_record: RunRecord) -> None:
    format = None
    if reason is Reason.OTHER_FORMAT:
        format = SolutionFormat.COT if given_record.trajectory.executions else SolutionFormat.CODE
    selection = sorted_out([given_record], Rules(format=format, length=in_characters(1000)))
    assert reasons(selection) == {"pens/0": reason}


def test_an_output_that_was_changed_after_its_execution_is_invented() -> None:
    real = record(*GOOD)
    changed = replace(real.trajectory, executions=(replace(OK, stdout="18\n"),))
    selection = sorted_out([replace(real, trajectory=changed)])
    assert [(each.reason, each.detail) for each in selection.dropped] == [(Reason.INVENTED_OUTPUT, "altered")]


def test_debugging_stays_in_the_text() -> None:
    (kept,) = sorted_out([record(*DEBUGGED)]).kept
    assert "NameError" in kept.solution.solution and kept.solution.format is SolutionFormat.CODE


def votes(*answers: str | None, **rules: float) -> list[str]:
    """Return what becomes of attempts with these answers to a question whose answer isn't known."""
    records = [
        record(f"Way {n} it is $\\boxed{{{a}}}$." if a else f"Way {n} fails.", sample=n, target=None)
        for n, a in enumerate(answers)
    ]
    found = reasons(sorted_out(records, Rules(similar=1.0, **rules)))  # type: ignore[arg-type]
    return [found[f"pens/{n}"] for n in range(len(answers))]


@pytest.mark.parametrize(
    ("answers", "rules", "expected"),
    [
        (("1/2", "0.5", "3"), {}, ["kept", "kept", Reason.OUTVOTED]),
        (("1", "1", "2", "2"), {}, [Reason.NO_MAJORITY] * 4),
        (("1",), {}, [Reason.NO_MAJORITY]),
        (("1",), {"min_votes": 1}, ["kept"]),
        (("1", "1", None, None, None), {}, [Reason.NO_MAJORITY] * 2 + [Reason.NO_ANSWER] * 3),
        (("1", "1", None), {}, ["kept", "kept", Reason.NO_ANSWER]),
        (("1", "1", "1"), {"min_share": 1.0}, ["kept"] * 3),
        (("1", "1", "2"), {"min_share": 1.0}, [Reason.NO_MAJORITY] * 3),
        (("1", "1", None), {"min_share": 1.0}, [Reason.NO_MAJORITY] * 2 + [Reason.NO_ANSWER]),
    ],
)
def test_the_majority_stands_in_for_an_unknown_target(
    answers: tuple[str | None, ...], rules: dict[str, float], expected: list[str]
) -> None:
    assert votes(*answers, **rules) == expected


def confirmations(*answers: str | None, **rules: float) -> list[str]:
    """Return what becomes of attempts at a question whose target, 17, a teacher's wording may have lost."""
    records = [
        record(f"Way {n} it is $\\boxed{{{a}}}$." if a else f"Way {n} fails.", sample=n)
        for n, a in enumerate(answers)
    ]
    doubted = [replace(one, problem=replace(one.problem, tags=(UNCONFIRMED,))) for one in records]
    found = reasons(sorted_out(doubted, Rules(similar=1.0, **rules)))  # type: ignore[arg-type]
    return [found[f"pens/{n}"] for n in range(len(answers))]


@pytest.mark.parametrize(
    ("answers", "rules", "expected"),
    [
        (("17", "17", "16"), {}, ["kept", "kept", Reason.WRONG]),
        (("17", "17.0", None), {}, ["kept", "kept", Reason.NO_ANSWER]),
        (("17",), {}, [Reason.UNCONFIRMED]),
        (("17",), {"min_votes": 1}, ["kept"]),
        (("17", "16", "16"), {}, [Reason.UNCONFIRMED] * 3),
        (("17", "17", "16", "16"), {}, [Reason.UNCONFIRMED] * 4),
        (("17", "17", None, None, None), {}, [Reason.UNCONFIRMED] * 2 + [Reason.NO_ANSWER] * 3),
        (("16", "16", "16"), {}, [Reason.UNCONFIRMED] * 3),
        (("17", "17", "16"), {"min_share": 1.0}, [Reason.UNCONFIRMED] * 3),
    ],
)
def test_a_target_that_may_be_lost_is_confirmed_by_the_majority_or_dropped(
    answers: tuple[str | None, ...], rules: dict[str, float], expected: list[str]
) -> None:
    assert confirmations(*answers, **rules) == expected


def test_solutions_in_words_vote_on_those_with_programs() -> None:
    wrong = (PROGRAM.replace("4", "5"), replace(OK, stdout="16\n"), "It is $\\boxed{16}$.")
    records = [record(*wrong, sample=0, target=None), record(*GOOD, sample=1, target=None)]
    records += [record(f"{WORDS} {n}", sample=n, target=None) for n in (2, 3)]
    selection = sorted_out(records, Rules(format=SolutionFormat.CODE))
    assert reasons(selection)["pens/0"] == Reason.OUTVOTED
    assert [(each.id, each.solution.pseudo) for each in selection.kept] == [("pens/1", True)]


def test_of_many_the_most_different_programs_stay() -> None:
    def solved(program: str, sample: int) -> RunRecord:
        return record(f"```python\n{program}\n```\n```output\n", OK, "It is $\\boxed{17}$.", sample=sample)

    loops = "left = 0\nfor box in range(3):\n    left += 7\nwhile left > 17:\n    left -= 1\nprint(left)"
    records = [solved("a = 3 * 7\nb = a - 4\nprint(b)", 0), solved(loops, 1)]
    records.append(solved("total = 3 * 7  # pens\nrest = total - 4\nprint(rest)", 2))
    selection = sorted_out(records, Rules(similar=1.0, per_question=2))
    assert reasons(selection) == {"pens/0": "kept", "pens/1": "kept", "pens/2": Reason.NEAR_DUPLICATE}
    records.append(solved("pens = 3 * 7\nprint(pens - 4)", 3))
    selection = sorted_out(records, Rules(similar=1.0, per_question=2))
    assert reasons(selection)["pens/1"] == "kept"
    assert Counter(reasons(selection).values())["kept"] == 2


def test_samples_of_two_runs_with_one_number_are_two_attempts() -> None:
    selection = sorted_out([record(*GOOD), record(WORDS)])
    assert sorted(reasons(selection)) == ["pens/0", "pens/0#2"]


questions = st.sampled_from(
    [QUESTION, "How much is half of 34, please tell me?", "Ten and seven of what make how many of it?"]
)
texts = st.sampled_from(
    [
        (*GOOD,),
        (*DEBUGGED,),
        (WORDS,),
        (WORDS + " ",),
        ("It is surely $\\boxed{18}$.",),
        ("Maybe $\\boxed{9}$, who knows for sure.",),
        ("I give up.",),
        (f"{PROGRAM}17\n```\n$\\boxed{{17}}$",),
    ]
)
attempts = st.builds(
    lambda parts, question, sample, target: record(
        *parts, question=question, sample=sample, target=target, problem_id=question[:3]
    ),
    texts,
    questions,
    st.integers(0, 3),
    st.sampled_from(["17", None]),
)
RULES = Rules(per_question=2, against=Index([NamedQuestion(id="x", text=QUESTION.replace("pens", "pins"))]))


@settings(max_examples=25, deadline=None)
@given(st.lists(attempts, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_every_attempt_is_counted_once_and_their_order_changes_nothing(
    records: list[RunRecord], random: Random
) -> None:
    rules = random.choice([Rules(), RULES])
    first = sorted_out(records, rules)
    assert len(first.kept) + len(first.dropped) == len(records)
    assert sum(group.attempts for group in first.groups) == len(records)
    random.shuffle(records)
    assert sorted_out(records, rules) == first


@settings(max_examples=25, deadline=None)
@given(st.lists(attempts, min_size=1, max_size=8), st.data())
def test_a_repeated_line_changes_nothing_but_counts(records: list[RunRecord], data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(records))
    before, after = sorted_out(records, RULES), sorted_out([*records, again], RULES)
    assert after.kept == before.kept and len(after.dropped) == len(before.dropped) + 1


@settings(max_examples=25, deadline=None)
@given(st.lists(attempts, min_size=1, max_size=8), st.data())
def test_another_sample_with_the_same_text_changes_no_text_that_is_kept(
    records: list[RunRecord], data: st.DataObject
) -> None:
    """Where the target is known: where it isn't, it is one more vote."""
    again = replace(data.draw(st.sampled_from(records)), sample=data.draw(st.integers(0, 9)))
    known = [replace(each, problem=replace(each.problem, target="17")) for each in (*records, again)]

    def rows(selection: Selection) -> list[tuple[str, str]]:
        return sorted((each.question, each.text) for each in selection.kept)

    assert rows(sorted_out(known, RULES)) == rows(sorted_out(known[:-1], RULES))


app = typer.Typer(pretty_exceptions_enable=False)
app.command()(select_command)
app.command()(overlap_command)


def write_lines(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_writes_rows_reasons_and_a_manifest_and_can_be_repeated(tmp_path: Path) -> None:
    ones = [record(*GOOD), record(*DEBUGGED, sample=1), record("It is $\\boxed{3}$.", sample=2)]
    source = write_lines(tmp_path / "attempts.jsonl", [to_json(each) for each in ones])
    tests = write_lines(tmp_path / "test.jsonl", [{"Body": "A tale.", "Question": "What is told?"}])
    out = tmp_path / "train.jsonl"
    arguments = ("select", source, "--out", out, "--against", tests, "--json")
    report = json.loads(call(*arguments, "--dry-run"))
    assert not out.exists() and report["reasons"] == {Reason.WRONG: 1}
    assert json.loads(call(*arguments)) == report
    assert [row.id for row in load_records(out, Solution)] == ["pens/0", "pens/1"]
    dropped = (tmp_path / "train.jsonl.dropped.jsonl").read_text(encoding="utf-8")
    assert json.loads(dropped) == {"id": "pens/2", "reason": "wrong answer", "detail": "3, not 17"}
    manifest = read_manifest(out)
    assert manifest.finished and manifest.counts == {"attempts": 3, "kept": 2, "wrong answer": 1}
    before = out.read_bytes()
    call(*arguments)
    assert out.read_bytes() == before
    with pytest.raises(InputError, match="per_question not set, now it is 1"):
        call(*arguments, "--per-question", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-tokens", "9"], "--tokenizer and --max-tokens go together"),
        (["--max-tokens", "9", "--max-chars", "9"], "name one"),
        (["--max-tokens", "9", "--tokenizer", "nowhere"], "can't read nowhere|no tokenizer.json in nowhere"),
        (["--against", "nothing.jsonl"], "can't read nothing.jsonl"),
        (["--min-share", "0"], "min_share is 0.0; it must be above 0"),
    ],
)
def test_what_cannot_be_used_is_said_in_words(tmp_path: Path, arguments: list[str], message: str) -> None:
    source = write_lines(tmp_path / "attempts.jsonl", [to_json(record(*GOOD))])
    with pytest.raises(InputError, match=message):
        call("select", source, "--out", tmp_path / "out.jsonl", *arguments)
    assert not (tmp_path / "out.jsonl.manifest.json").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": {"type": "Llama"}}', "\u00e9"])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="isn't a file of the tokenizers library"):
        in_tokens(9, tmp_path)


@pytest.mark.parametrize("line", ["[]", "{", '{"question": "no record"}'])
def test_a_line_that_is_no_run_record_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "attempts.jsonl"
    path.write_text(f"{json.dumps(to_json(record(*GOOD)))}\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        list(read_attempts([path]))


def test_the_tokens_counted_are_those_of_prompt_solution_and_end(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"x": 0}, unk_token="x"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.save(str(tmp_path / "tokenizer.json"))
    source = write_lines(tmp_path / "attempts.jsonl", [to_json(record(WORDS))])
    size = len(f"<|user|> {QUESTION} <|assistant|> {WORDS}".split()) + 1
    found = [
        json.loads(
            call(
                *("select", source, "--out", tmp_path / "out.jsonl", "--dry-run", "--json"),
                *("--tokenizer", tmp_path, "--max-tokens", limit),
            )
        )["reasons"]
        for limit in (size, size - 1)
    ]
    assert found == [{}, {Reason.TOO_LONG: 1}]


@pytest.mark.kernel
def test_attempts_of_the_real_solver_are_kept_or_have_a_reason(tmp_path: Path) -> None:
    asked = [
        ("A school orders 14 boxes of pencils with 12 pencils in each box. How many pencils?", "168"),
        ("Ann has 31 stamps and buys 12 more. How many stamps does she have?", "43"),
        ("Ann has 31 stamps and gives 12 away. How many stamps are left?", "1000"),
    ]
    problems = [Problem(id=f"p{n}", question=q, target=t) for n, (q, t) in enumerate(asked)]
    made: list[RunRecord] = []

    async def solve() -> None:
        model = EmbeddedModel(TOY)
        try:
            solver = Solver(model=model, unsafe_local=True)
            made.extend([await solver.solve(problem) for problem in problems])
        finally:
            await model.aclose()

    anyio.run(solve)
    path = write_lines(tmp_path / "attempts.jsonl", [to_json(each) for each in made])
    read: list[Attempt] = list(read_attempts([path]))
    assert [each.format for each in read] == [SolutionFormat.CODE] * 3 and not any(
        each.fault for each in read
    )
    found = reasons(sorted_out(made))
    assert found == {"p0/0": "kept", "p1/0": "kept", "p2/0": Reason.WRONG}
