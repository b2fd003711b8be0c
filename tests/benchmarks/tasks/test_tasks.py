"""Every public form of a row becomes a question and a gold answer, and golds count as correct."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

from benchmarks.commands.tasks import self_check as self_check_command
from benchmarks.commands.tasks import tasks as tasks_command
from benchmarks.data import DATA
from benchmarks.grading.self_check import self_check, spellings
from benchmarks.tasks import TASKS, get_task
from benchmarks.tasks.loaders import LoadedProblems, is_at_hand, load_problems
from benchmarks.tasks.rows import numeral
from benchmarks.tasks.rules import bare_list
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome, Problem
from mumath_agent.transcript import Kind, Segment, Transcript

pytestmark = pytest.mark.anyio

MATHCODER = [
    {"role": "system", "content": [{"type": "text", "content": "Solve."}]},
    {"role": "user", "content": [{"type": "text", "content": "How many?"}]},
]
OLYMPIAD = {"id": 7, "question": "Find $n$.", "language": "English", "error": None, "image_1": None}


def mathcoder(answer: object) -> dict[str, Any]:
    return {"messages": MATHCODER, "ground_truth": {"solution": "", "answer": answer}}


def asdiv(answer: str) -> dict[str, Any]:
    return {"body": "A.", "question": "B?", "answer": answer, "solution_type": "Sum", "formula": "1+1=2"}


def table(**columns: object) -> dict[str, Any]:
    about = {"table": "a | b\n1 | 2", "question": "Which?", "ans_type": "text", "grade": 5}
    return about | columns


READ = "Read the following table and answer a question:\na | b\n1 | 2\nWhich?"

FORMS: list[tuple[str, dict[str, Any], str, str, str | None, tuple[str, ...]]] = [
    # task, row, question, target, id, tags
    ("gsm8k", {"question": " Q? ", "answer": "So <<2*725=1450>>1450.\n#### 1,450"}, "Q?", "1450", None, ()),
    ("gsm8k", {"question": "Q?", "answer": "#### -5", "idx": 3}, "Q?", "-5", None, ()),
    ("gsm8k", {"question": "Q?", "answer": "18"}, "Q?", "18", None, ()),
    (
        "math",  # hendrycks/math, ToRA, EleutherAI/hendrycks_math
        {
            "problem": "P",
            "level": "Level 3",
            "type": "Algebra",
            "solution": r"$\boxed{2}$, so $\boxed{\frac{1}{2}}.$",
        },
        "P",
        r"\frac{1}{2}",
        None,
        ("level:3", "type:Algebra"),
    ),
    (
        "math500",  # PRM800K, HuggingFaceH4/MATH-500
        {
            "problem": "P",
            "answer": "p - q",
            "solution": r"\boxed{p-q}",
            "subject": "Geometry",
            "level": 5,
            "unique_id": "test/geometry/1.json",
        },
        "P",
        "p - q",
        "test/geometry/1.json",
        ("level:5", "type:Geometry"),
    ),
    ("gsm_hard", {"input": "Q?", "code": "", "target": -9867630.0}, "Q?", "-9867630", None, ()),
    ("gsm_hard", {"input": "Q?", "code": "", "target": 2.0107e-06}, "Q?", "0.0000020107", None, ()),
    (
        "gsm_hard",
        {"input": "Q?", "code": "", "target": 3244047.0999999996},
        "Q?",
        "3244047.0999999996",
        None,
        (),
    ),
    (
        "svamp",
        {"ID": "chal-1", "Body": "If he has 2", "Question": "How many?", "Answer": 145.0, "Type": "Sum"},
        "If he has 2. How many?",
        "145",
        "chal-1",
        ("type:Sum",),
    ),
    (
        "svamp",  # ChilleD/SVAMP
        {"ID": "chal-1", "Body": "He has 2.", "Question": "How many?", "Answer": "145.0", "Type": "Sum"},
        "He has 2. How many?",
        "145",
        "chal-1",
        ("type:Sum",),
    ),
    ("asdiv", asdiv("9 (apples)"), "A. B?", "9", None, ("type:Sum",)),
    ("asdiv", asdiv("14  (seats)"), "A. B?", "14", None, ("type:Sum",)),
    ("asdiv", asdiv("-(1/3)"), "A. B?", "-(1/3)", None, ("type:Sum",)),
    ("asdiv", asdiv("5:6"), "A. B?", "5:6", None, ("type:Sum",)),
    ("asdiv", asdiv("They are equal"), "A. B?", "They are equal", None, ("type:Sum",)),
    ("addsub", {"input": "Q ?", "target": 43.0}, "Q ?", "43", None, ()),
    ("multiarith", {"input": "Q?", "target": 39}, "Q?", "39", None, ()),
    ("singleop", {"input": "Q?", "target": 3.33333}, "Q?", "3.33333", None, ()),
    (
        "tabmwp",
        table(id="16", answer="1,522.81", unit="$", table_title="Coins", choices=None),
        READ.replace("table and", 'table regarding "Coins" and'),
        "1522.81",
        "16",
        ("type:text", "grade:5"),
    ),
    (
        "tabmwp",
        table(answer="yes", table_title=None, choices=["yes", "it's no"]),
        f"{READ} Please select from the following options: ['yes', \"it's no\"]",
        "yes",
        None,
        ("type:text", "grade:5"),
    ),
    ("tabmwp", table(answer="3/10"), READ, "3/10", None, ("type:text", "grade:5")),
    ("mathematics", mathcoder("1363.0"), "How many?", "1363", None, ()),
    ("mathematics", mathcoder("-0.0"), "How many?", "0", None, ()),
    ("mathematics", mathcoder("[3]"), "How many?", "3", None, ()),
    ("mathematics", mathcoder("[2, 3]"), "How many?", "2, 3", None, ()),
    ("mathematics", mathcoder("3 1 -4"), "How many?", "3, 1, -4", None, ()),
    ("simuleq", mathcoder("583.3333"), "How many?", "583.3333", None, ()),
    ("simuleq", mathcoder(15.0), "How many?", "15", None, ()),
    (
        "aime24",
        {"id": 60, "problem": "P", "solution": "", "answer": "073", "year": "2024"},
        "P",
        "73",
        "60",
        (),
    ),
    ("aime24", {"ID": "2024-I-1", "Problem": "P", "Solution": "", "Answer": 204}, "P", "204", "2024-I-1", ()),
    ("aime25", {"id": "0", "problem": "P", "answer": "336^\\circ"}, "P", "336", "0", ()),
    ("amc23", {"id": 0, "question": "P", "answer": 27.0, "url": ""}, "P", "27", "0", ()),
    ("amc23", {"id": 0, "problem": "P", "answer": "27", "url": ""}, "P", "27", "0", ()),
    (
        "olympiadbench",
        OLYMPIAD | {"final_answer": ["$\\frac{1}{2}, 3$"], "subfield": "Algebra", "answer_type": "Numerical"},
        "Find $n$.",
        "\\frac{1}{2}, 3",
        "7",
        ("type:Algebra", "answer:Numerical"),
    ),
    (
        "olympiadbench",
        OLYMPIAD | {"final_answer": ["2", "$5$"], "context": "Let $n$ be.", "error": "1e-1", "unit": "m"},
        "Let $n$ be.\nFind $n$.",
        "2, 5",
        "7",
        ("unit:m", "tolerance:1e-1"),
    ),
]


@pytest.mark.parametrize(("name", "row", "question", "target", "own_id", "tags"), FORMS)
def test_a_row_of_each_public_form(
    name: str, row: dict[str, Any], question: str, target: str, own_id: str | None, tags: tuple[str, ...]
) -> None:
    item = get_task(name).read(row)
    assert item is not None
    assert (item.question, item.target, item.id, item.tags) == (question, target, own_id, tags)


def test_every_task_has_a_form_in_the_table() -> None:
    read = {get_task(name).read for name, *_ in FORMS}
    assert all(task.read in read for task in TASKS.values())


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("asdiv", asdiv("3 (cats); 4 (dogs)")),
        ("olympiadbench", OLYMPIAD | {"final_answer": ["1"], "language": "Chinese"}),
        ("olympiadbench", OLYMPIAD | {"final_answer": ["1"], "image_1": {"bytes": ""}}),
    ],
)
def test_rows_the_papers_leave_out(name: str, row: dict[str, Any]) -> None:
    assert get_task(name).read(row) is None


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("gsm8k", {"question": "Q?", "answer": "So it is 5 apples."}, "isn't a number"),
        ("gsm8k", {"question": "Q?", "answer": "#### "}, "isn't a number"),
        ("gsm8k", {"question": "", "answer": "#### 5"}, "question is ''"),
        ("gsm8k", {"problem": "Q?", "answer": "#### 5"}, "no question; its columns are problem, answer"),
        ("math", {"problem": "P", "level": 1, "type": "A", "solution": "So 5."}, r"no \\boxed answer"),
        ("svamp", {"Body": "A", "Question": "B?", "Answer": None, "Type": "Sum"}, "no Answer"),
        ("mawps", {"input": "Q?", "target": float("nan")}, "isn't a number"),
        ("mawps", {"input": "Q?", "target": "1,2"}, "isn't a number"),
        ("mawps", {"input": "Q?", "target": "e5"}, "isn't a number"),
        ("mawps", {"input": "Q?", "target": True}, "isn't a number"),
        ("simuleq", {"messages": [], "ground_truth": {"answer": "5"}}, "as MathCoder's files have them"),
        ("simuleq", {"messages": MATHCODER, "ground_truth": "5"}, "as MathCoder's files have them"),
        ("simuleq", {"messages": MATHCODER, "ground_truth": {}}, "as MathCoder's files have them"),
        ("olympiadbench", OLYMPIAD | {"final_answer": "5"}, "isn't a list of answers"),
        ("olympiadbench", OLYMPIAD | {"final_answer": []}, "isn't a list of answers"),
        ("tabmwp", {"question": "Which?", "answer": "5"}, "no table"),
    ],
)
def test_a_row_of_no_known_form_is_refused(name: str, row: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        get_task(name).read(row)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12))
def test_a_numeral_keeps_its_value_and_has_one_spelling(number: Any) -> None:
    plain = numeral(number)
    assert float(plain) == float(number)
    assert {numeral(f"{number:,f}"), numeral(f"{number:f}00"), numeral(plain)} == {plain}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[2, 3]", "2, 3"),
        (r"\left(2, 3\right)", "2, 3"),
        ("2 3", "2, 3"),
        ("-1/2  0.5 3", "-1/2, 0.5, 3"),
        ("[3]", "3"),
        ("(1+2)(3)", "(1+2)(3)"),
        ("3 apples", "3 apples"),
        ("f(2)", "f(2)"),
    ],
)
def test_a_bare_list(text: str, expected: str) -> None:
    assert bare_list(text) == expected


PROSE, CODE, OUTPUT = Kind.RATIONALE, Kind.CODE, Kind.OUTPUT


@pytest.mark.parametrize(
    ("name", "segments", "expected"),
    [
        ("gsm8k", [(PROSE, r"\boxed{15} and \boxed{9}.")], "9"),
        ("simuleq", [(PROSE, r"\boxed{15} and \boxed{9}.")], "15"),
        ("simuleq", [(PROSE, r"\boxed{1}"), (OUTPUT, r"\boxed{4}"), (PROSE, r"\boxed{2}, \boxed{3}")], "2"),
        ("simuleq", [(PROSE, r"\boxed{2}, \boxed{3}"), (PROSE, "So 2.")], "2"),
        ("simuleq", [(PROSE, "The answer is 5.")], "5"),
        ("simuleq", [(CODE, "```python\nx = r'\\boxed{7}'\n```\n")], None),
        ("mathematics", [(PROSE, r"$\boxed{[2, 3]}$")], "2, 3"),
        ("mathematics", [(PROSE, "Nothing.")], None),
    ],
)
def test_which_answer_is_scored(name: str, segments: list[tuple[Kind, str]], expected: str | None) -> None:
    parts = tuple(Segment(kind=kind, text=text) for kind, text in segments)
    answer = get_task(name).answer_of(Transcript(question="Q?", segments=parts))
    assert (None if answer is None else answer.text) == expected


def test_tasks_are_found_by_name() -> None:
    assert get_task("gsm-hard").name == get_task("GSM_hard").name == "gsm_hard"
    with pytest.raises(InputError, match="no task 'gsm9k'; there are gsm8k, math"):
        get_task("gsm9k")


def test_every_revision_is_a_whole_commit_hash_or_none() -> None:
    remotes = [part.remote for task in TASKS.values() for part in task.parts]
    assert all(r.revision is None or re.fullmatch(r"[0-9a-f]{40}", r.revision) for r in remotes)
    assert {r.repository for r in remotes if r.revision is None} == {"microsoft/ToRA"}
    names = [
        name for task in TASKS.values() if task.name != "mawps" for p in task.parts for name in p.file_names
    ]
    assert len(names) == len(set(names)), "two tasks would read the same file"
    parts = TASKS["mawps"].parts
    assert TASKS["mawps"].problems == sum(TASKS[part.name].problems for part in parts)


@pytest.mark.parametrize(
    ("gold", "also"),
    [
        ("1450", "1,450.0"),
        ("0.0000005", "0.00000050"),
        ("They are equal", r"\text{They are equal}"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"\left( 3, \dfrac{\pi}{2} \right)"),
        ("5:6", ""),
    ],
)
def test_how_models_may_write_a_gold_answer(gold: str, also: str) -> None:
    assert spellings(gold) == ((gold, also) if also else (gold,))


async def test_a_gold_answer_that_is_lost_or_not_understood_is_a_failure() -> None:
    golds = {"good": "1/2", "lost": "}{", "unread": "x" * 3000}
    problems = tuple(Problem(id=id, question="Q?", target=gold) for id, gold in golds.items())
    async with Grader() as grader:
        check = await self_check(get_task("gsm8k"), LoadedProblems(problems=problems, source="here"), grader)
    assert (check.problems, check.correct) == (3, 1)
    assert {(f.id, f.verdict.outcome) for f in check.failures} == {
        ("lost", Outcome.NO_ANSWER),
        ("unread", Outcome.UNGRADED),
    }


@pytest.mark.data
@pytest.mark.parametrize("name", TASKS)
async def test_every_gold_answer_at_hand_is_correct(name: str) -> None:
    task = get_task(name)
    if not is_at_hand(task, DATA):
        pytest.skip(f"no file of {name} in {DATA}: set MUMATH_DATA to a folder that has one")
    async with Grader(workers=2) as grader:
        check = await self_check(task, load_problems(task, DATA), grader)
    assert (check.problems, check.failures, check.remarks) == (task.problems, (), ())


@pytest.mark.data
async def test_golds_of_a_recorded_run_are_those_of_the_task(tmp_path: Path) -> None:
    recorded = DATA / "transcripts" / "mathcoder-l-7b.simuleq.jsonl"
    if not recorded.is_file():
        pytest.skip(f"no {recorded}: set MUMATH_DATA to a folder that has it")
    (tmp_path / "simuleq.jsonl").symlink_to(recorded)
    task = get_task("simuleq")
    async with Grader(workers=2) as grader:
        check = await self_check(task, load_problems(task, tmp_path), grader)
    assert (check.correct, check.failures, check.remarks) == (514, (), ())


@pytest.mark.data
def test_math_500_is_a_part_of_math() -> None:
    tasks = get_task("math"), get_task("math500")
    if not all(is_at_hand(task, DATA) for task in tasks):
        pytest.skip(f"not both of MATH and MATH-500 in {DATA}: set MUMATH_DATA to a folder that has them")
    whole, part = ({p.question for p in load_problems(task, DATA).problems} for task in tasks)
    assert (len(whole), len(part), part <= whole) == (5000, 500, True)


def command(*arguments: str | Path) -> Any:
    app = Typer(pretty_exceptions_enable=False)
    app.command()(tasks_command)
    app.command()(self_check_command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_list_of_tasks() -> None:
    shown = command("tasks").stdout
    assert all(name in shown for name in TASKS) and "not pinned" in shown
    listed = json.loads(command("tasks", "--json").stdout)
    assert [task["name"] for task in listed] == list(TASKS)
    assert listed[0]["parts"][0]["revision"] == "740312add88f781978c0658806c59bc2815b9866"


def test_the_self_check_command(tmp_path: Path) -> None:
    rows = [{"input": "Q [a]?", "target": 3}, {"input": "R?", "target": 4.5}]
    (tmp_path / "addsub.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = command("self-check", "--data-dir", tmp_path)
    assert done.exit_code == 0 and "addsub" in done.stdout
    assert (
        "skipped" in done.stderr and "gsm8k" in done.stderr and "has 2 problems here and 395" in done.stderr
    )
    report = json.loads(command("self-check", "addsub", "--data-dir", tmp_path, "--json").stdout)
    assert [(c["task"], c["problems"], c["correct"]) for c in report["checks"]] == [("addsub", 2, 2)]


def test_a_failing_gold_makes_the_exit_code_1(tmp_path: Path) -> None:
    row = {"problem": "P", "answer": "x" * 3000 + "(1)[bold]", "level": 1, "type": "A"}
    (tmp_path / "math.jsonl").write_text(json.dumps(row))
    done = command("self-check", "--data-dir", tmp_path)
    assert done.exit_code == 1 and "ungraded" in done.stdout


def test_nothing_to_check_is_an_error(tmp_path: Path) -> None:
    for arguments, message in (((), "holds no file of any task"), (("gsm8k",), "has no file for gsm8k")):
        done = command("self-check", *arguments, "--data-dir", tmp_path)
        assert isinstance(done.exception, InputError) and message in str(done.exception)
