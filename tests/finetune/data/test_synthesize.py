"""A teacher's attempts: the prompts are right, what is kept is the format's, and nothing is lost."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from finetune.data.prompted import few_shot, prompt_file, trained
from finetune.data.records import Question, SolutionFormat
from finetune.data.synthesize import BudgetSpent, recorded_rationales, within_budget
from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.dialects import Fenced
from mumath_agent.dialects.output import output_text
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.kernels import JupyterExecutor
from mumath_agent.protocols import Dialect
from mumath_agent.records import Outcome, Problem, RunRecord, StopReason
from mumath_agent.runs.results import ResultsFile
from mumath_agent.testing import ScriptedModel
from mumath_agent.transcript import Kind, Transcript
from tests.programs import Ended, call
from tests.toy import WITH_TOY

pytestmark = pytest.mark.anyio

PROBLEM = Problem(id="a", question="A shelf has 14 jars. 5 are sold. How many are left?", target="9")
TURNS = (
    "Take away.\n```python\nprint(14 - jars)\n```\n",
    "The name was never given.\n```python\nprint(14 - 5)\n```\n",
    "There are $\\boxed{9}$ left.\n\nQuestion: another one",
)


async def attempted(dialect: Dialect, *texts: str) -> RunRecord:
    made: list[RunRecord] = []
    solver = Solver(model=ScriptedModel(texts=texts), dialect=dialect)
    async with Grader() as grader:
        await run_batch(
            Batch(problems=(PROBLEM,), solver=solver), concurrency=1, grader=grader, on_record=made.append
        )
    return made[0]


@pytest.mark.kernel
async def test_the_examples_of_the_prompt_print_what_they_show() -> None:
    text = prompt_file(SolutionFormat.CODE).read_text("utf-8")
    examples = text.split("\n---\n")[1:-1]
    shown = []
    for example in examples:
        segments = Fenced().parse(example.partition("Solution:\n")[2])
        async with JupyterExecutor() as kernel:
            for code, output in pairwise(segments):
                if output.kind is Kind.OUTPUT:
                    program = Fenced().pending_code(Transcript(question="", segments=(code,)))
                    execution = await kernel.run(program or "", timeout_s=10)
                    shown.append((output_text(execution, max_chars=400), output.text.partition("\n```")[0]))
    assert len(shown) == 4
    for ours, theirs in shown:
        assert ours == theirs


@pytest.mark.kernel
async def test_what_is_kept_is_the_formats_and_the_examples_are_forgotten() -> None:
    record = await attempted(few_shot(SolutionFormat.CODE), *TURNS)
    transcript = record.trajectory.transcript
    assert transcript.segments == Fenced().parse(transcript.text)
    assert transcript.text.startswith("Take away.\n```python") and "ferry" not in transcript.text
    assert "another one" not in transcript.text
    assert "NameError" in transcript.text and transcript.text.count("```output\n") == 2
    assert record.verdict is not None and record.verdict.outcome is Outcome.CORRECT


@pytest.mark.kernel
async def test_every_prompt_is_a_prefix_of_the_next() -> None:
    model = ScriptedModel(texts=("\n\n" + TURNS[0], *TURNS[1:]))
    solver = Solver(model=model, dialect=few_shot(SolutionFormat.CODE))
    await run_batch(Batch(problems=(PROBLEM,), solver=solver), concurrency=1)
    assert len(model.prompts) == 3
    for shorter, longer in pairwise(map(str, model.prompts)):
        assert longer.startswith(shorter)


@pytest.mark.kernel
async def test_in_words_no_program_runs() -> None:
    record = await attempted(
        few_shot(SolutionFormat.COT), "14 - 5 = 9.\n```python\nprint(1)\n```\nIt is $\\boxed{9}$."
    )
    assert record.trajectory.executions == ()
    assert record.trajectory.stop_reason is StopReason.ANSWERED


def test_a_trained_teacher_gets_the_prompt_it_will_be_served_with() -> None:
    asked = Transcript(question="What is {question} + 1?")
    for format in SolutionFormat:
        assert trained(format).prompt(asked) == Fenced().prompt(asked)


@pytest.mark.parametrize(("text", "said"), [("no place", "must have {question}"), ("", "must have")])
def test_a_prompt_without_a_place_for_the_question_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "prompt.md"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        few_shot(SolutionFormat.CODE, path)


@pytest.mark.kernel
async def test_solutions_that_questions_bring_become_attempts_without_calculator_marks() -> None:
    told = Question(problem=PROBLEM, rationale="14 - 5 = <<14-5=9>>9 jars are left.\n#### 9")
    problems, model = recorded_rationales([told, Question(problem=Problem(id="b", question="?"))])
    made: list[RunRecord] = []
    solver = Solver(model=model, dialect=trained(SolutionFormat.COT))
    await run_batch(Batch(problems=problems, solver=solver), concurrency=1, on_record=made.append)
    assert [r.trajectory.transcript.text for r in made] == [
        "14 - 5 = 9 jars are left.\nThe answer is $\\boxed{9}$."
    ]


@pytest.mark.kernel
async def test_a_spent_budget_ends_the_stage_and_keeps_what_was_made(tmp_path: Path) -> None:
    results = ResultsFile(tmp_path / "out.jsonl")
    problems = tuple(Problem(id=str(n), question=f"What is {n}?") for n in range(5))
    batch = Batch(
        problems=problems, solver=Solver(model=ScriptedModel(texts=["five words make no answer"] * 5))
    )
    with pytest.raises(BudgetSpent, match="larger --budget"):
        await run_batch(batch, results, concurrency=1, on_record=within_budget(12))
    assert len(list(batch.finished(results))) == 3


def synthesize(*arguments: str | Path) -> Ended:
    return call("finetune", "synthesize", *arguments)


def questions(folder: Path) -> Path:
    path = folder / "questions.jsonl"
    rows = [
        {"problem": {"id": f"q{n}", "question": f"Tom has {n} pens and buys 3 more. How many pens has he?"}}
        for n in range(4, 8)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.kernel
def test_the_command_goes_on_where_it_was_cut_off_and_says_what_it_was_made_with(tmp_path: Path) -> None:
    out = tmp_path / "attempts.jsonl"
    arguments = (
        questions(tmp_path),
        "--out",
        out,
        "--teacher",
        "embedded",
        *WITH_TOY,
        "--samples",
        "2",
        "--seed",
        "3",
    )
    assert synthesize(*arguments).code == 0
    whole = out.read_text()
    out.write_text("".join(whole.splitlines(keepends=True)[2:]) + '{"torn')
    assert synthesize(*arguments).code == 0

    def timeless(text: str) -> list[str]:
        return [json.dumps(json.loads(line)["trajectory"]["transcript"]) for line in text.splitlines()]

    assert timeless(out.read_text()) == timeless(whole)
    manifest = json.loads((tmp_path / "attempts.jsonl.manifest.json").read_text())
    assert manifest["finished"] and manifest["rows"] == 8
    assert manifest["identity"]["settings"]["sampling"]["seed"] == 3
    other = synthesize(*arguments[:-1], "4")
    assert other.code == 2 and "sampling.seed 3, now it is 4" in " ".join(other.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--teacher", "own"], 2, "say --format cot"),
        (["--teacher", "http://127.0.0.1:9/v1"], 3, "nothing answers"),
        (["--teacher", "ftp://x"], 2, "isn't an http address"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    done = synthesize(questions(tmp_path), "--out", tmp_path / "out.jsonl", *arguments)
    assert done.code == code and said in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "attempts", "longest"),
    [(["--teacher", "http://127.0.0.1:9"], 40, 2_000), (["--teacher", "embedded", "--samples", "3"], 12, 90)],
)
def test_a_dry_run_asks_nothing_and_says_what_it_would(
    tmp_path: Path, arguments: list[str], attempts: int, longest: int
) -> None:
    done = synthesize(questions(tmp_path), "--out", tmp_path / "out.jsonl", *arguments, "--dry-run")
    said = re.fullmatch(
        r"4 questions, (\d+) attempts, at most (\d+) requests .* has ([\d,]+) characters\n", done.stdout
    )
    assert said is not None and int(said[1]) == attempts and int(said[2]) == 4 * attempts
    assert (int(said[3].replace(",", "")) > longest) is (longest > 1000)
    assert list(tmp_path.iterdir()) == [tmp_path / "questions.jsonl"]
