"""Augmentation by rules: every answer checked by a formula typed here, not by the program that gave it."""

import ast
import json
import operator
import os
import re
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.commands.augmenting import augment
from finetune.data.augment.backward import maskings, only_value
from finetune.data.augment.own import own_questions
from finetune.data.augment.perspectives import Perspective, Unusable, named
from finetune.data.augment.programs import marked, read_program, require_general
from finetune.data.augment.rules import RULES, augmented, with_rules
from finetune.data.jobs import manifest_path, read_manifest
from finetune.data.records import Question
from finetune.data.seeds import gsm8k_questions, same_form
from finetune.wordproblems.problem import Step, WordProblem, numbers_in
from mumath_agent.errors import InputError
from mumath_agent.records import Problem, to_json
from mumath_agent.runs.jsonl import load_records

ALL = tuple(RULES)
DATA = Path(os.environ.get("MUMATH_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
_OPS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def value(expression: str) -> Fraction:
    """Return the exact value of an arithmetic expression."""

    def of(node: ast.expr) -> Fraction:
        if isinstance(node, ast.BinOp):
            return _OPS[type(node.op)](of(node.left), of(node.right))
        assert isinstance(node, ast.Constant)
        return Fraction(str(node.value))

    return of(ast.parse(expression, mode="eval").body)


def seed(name: str, question: str, rationale: str) -> Question:
    target = rationale.rpartition("#### ")[2]
    return Question(
        problem=Problem(id=name, question=question, target=target, source="gsm8k"), rationale=rationale
    )


Formula = Callable[..., Fraction]

SEEDS: dict[str, tuple[Question, Formula, Formula | None]] = {
    "more": (
        seed(
            "more",
            "Nora has 12 red apples and 5 more green apples than red apples. How many apples does Nora have in total?",
            "12+5=<<12+5=17>>17 green.\n12+17=<<12+17=29>>29 in all.\n#### 29",
        ),
        lambda red, more: red + red + more,
        lambda red, more: red + red - more,
    ),
    "ages": (
        seed(
            "ages",
            "Omar is 8 years younger than Kate, who is 31. In how many years will Omar be 40?",
            "31-8=<<31-8=23>>23\n40-23=<<40-23=17>>17\n#### 17",
        ),
        lambda gap, kate, goal: goal - (kate - gap),
        lambda gap, kate, goal: goal - (kate + gap),
    ),
    "percent": (
        seed(
            "percent",
            "A lamp costs $40. Omar gets 25% off and pays with a $50 note. What amount of money does he get back?",
            "40*25/100=<<40*25/100=10>>10\n40-10=<<40-10=30>>30\n50-30=<<50-30=20>>20\n#### 20",
        ),
        lambda price, off, note: note - price * (1 - off / 100),
        None,
    ),
    "shared": (
        seed(
            "shared",
            "Kate bought 4 dozen eggs and 18 cookies. She shares them among 11 kids. How many things does each get?",
            "4*12=<<4*12=48>>48\n48+18=<<48+18=66>>66\n66/11=<<66/11=6>>6\n#### 6",
        ),
        lambda dozens, cookies, kids: (dozens * 12 + cookies) / kids,
        None,
    ),
}
SEED_NAMES = st.sampled_from(sorted(SEEDS))


def numbers(question: str) -> list[Fraction]:
    return [Fraction(number) for number in numbers_in(question)]


def made(question: Question, perspective: Perspective, samples: int = 3, draw: int = 0) -> list[Question]:
    return list(augmented(question, (perspective,), samples=samples, draw=draw).rows)


@given(SEED_NAMES, st.integers(0, 10**6))
@settings(deadline=None, max_examples=60)
def test_new_numbers_have_the_answer_of_the_formula(name: str, draw: int) -> None:
    question, formula, _ = SEEDS[name]
    for row in made(question, Perspective.NEW_NUMBERS, draw=draw):
        assert formula(*numbers(row.problem.question)) == Fraction(row.problem.target or "") > 0
        assert numbers(row.problem.question) != numbers(question.problem.question)


@given(SEED_NAMES, st.integers(0, 10**6))
@settings(deadline=None, max_examples=60)
def test_the_masked_number_solves_the_backward_question(name: str, draw: int) -> None:
    question, formula, _ = SEEDS[name]
    for row in made(question, Perspective.FOBAR, draw=draw):
        target = row.problem.target or ""
        asked, told, tail = row.problem.question.rpartition(" The answer to this question is ")
        assert told and tail == f"{question.problem.target}. Which number does X stand for?"
        filled = re.sub(r"\bX\b", target, asked)
        assert filled == question.problem.question
        assert formula(*numbers(filled)) == Fraction(question.problem.target or "")


@pytest.mark.parametrize(("name", "count"), [("more", 2), ("ages", 3), ("percent", 3), ("shared", 3)])
def test_every_number_that_has_one_solution_is_masked(name: str, count: int) -> None:
    assert len(made(SEEDS[name][0], Perspective.FOBAR, samples=9)) == count


@pytest.mark.parametrize("name", ["more", "ages"])
def test_the_opposite_relation_has_the_answer_of_the_opposite_formula(name: str) -> None:
    question, _, opposite = SEEDS[name]
    rows = made(question, Perspective.EXPRESSION_REPLACEMENT)
    assert opposite is not None and len(rows) == 1
    assert opposite(*numbers(rows[0].problem.question)) == Fraction(rows[0].problem.target or "")


def test_the_opposite_relation_reads_well() -> None:
    (row,) = made(SEEDS["more"][0], Perspective.EXPRESSION_REPLACEMENT)
    assert "and 5 fewer green apples than red apples" in row.problem.question
    (row,) = made(SEEDS["ages"][0], Perspective.EXPRESSION_REPLACEMENT)
    assert row.problem.question.startswith("Omar is 8 years older than Kate")


@given(SEED_NAMES, st.sampled_from([Perspective.REPHRASE, Perspective.NEW_CONTEXT]), st.integers(0, 10**6))
@settings(deadline=None, max_examples=60)
def test_other_words_keep_numbers_and_answer(name: str, perspective: Perspective, draw: int) -> None:
    question, _, _ = SEEDS[name]
    for row in made(question, perspective, draw=draw):
        assert numbers(row.problem.question) == numbers(question.problem.question)
        assert row.problem.target == question.problem.target


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("How many has she in all?", {"How many has she in total?", "How many has she altogether?"}),
        ("How many are in all three rooms?", set()),
        ("How much money is left?", {"What amount of money is left?"}),
        ("Each day she buys 2.", {"Every day she buys 2.", "Each day she purchases 2.", "Every day she purchases 2."}),
        ("He has 3 purchases.", set()),
    ],
)  # fmt: skip
def test_other_words_that_mean_the_same(question: str, said: set[str]) -> None:
    rows = made(seed("words", question, "#### 1"), Perspective.REPHRASE, samples=9)
    assert {row.problem.question for row in rows} == said


def test_other_things_stay_distinct_and_take_their_article() -> None:
    text = "Apples and pears: an apple weighs 90 grams, 3 apples and 2 pears 450. What does a pear weigh in grams?"
    question = seed(
        "things", text, "90*3=<<90*3=270>>270\n450-270=<<450-270=180>>180\n180/2=<<180/2=90>>90\n#### 90"
    )
    rows = made(question, Perspective.NEW_CONTEXT, samples=9)
    assert len(rows) == 9
    for row in rows:
        first, second = row.problem.question.lower().split(":")[0].split(" and ")
        assert first != second
        assert re.search(r"\ban [aeiou]|\ba [^aeiou]", row.problem.question)
        assert not re.search(r"\ban [^aeiou]|\ba [aeiou]", row.problem.question)


@pytest.mark.parametrize(
    ("question", "kept"),
    [
        ("Kate bakes an 8 inch pie and 5 small ones.", "an 8 inch"),
        ("Kate bakes an $8 pie and 5 small ones.", "an $8"),
        ("Kate bakes an eight-inch pie and 5 small ones.", "an eight-inch"),
    ],
)
def test_a_number_tied_to_its_neighbour_stays(question: str, kept: str) -> None:
    rows = made(seed("tied", question, "<<8+5=13>>13\n#### 13"), Perspective.NEW_NUMBERS, samples=5)
    assert rows and all(kept in row.problem.question for row in rows)


@given(st.integers(0, 400), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_rationales_are_exact_and_lead_to_the_target(index: int, draw: int) -> None:
    question = next(islice(own_questions(0), index, None))
    for row in augmented(question, ALL, samples=2, draw=draw).rows:
        if row.rationale is None:
            continue
        marks = re.findall(r"<<([^=]+)=([^>]+)>>", row.rationale)
        assert all(value(expression) == Fraction(result) for expression, result in marks)
        assert row.rationale.endswith(f"\n#### {row.problem.target}")


@given(st.integers(0, 400), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_outputs_are_distinct_derived_and_the_same_again(index: int, draw: int) -> None:
    question = next(islice(own_questions(0), index, None))
    rows = augmented(question, ALL, samples=3, draw=draw).rows
    assert rows == augmented(question, ALL, samples=3, draw=draw).rows
    forms = [same_form(row.problem.question) for row in (*rows, question)]
    assert len(set(forms)) == len(forms)
    assert len({row.problem.id for row in rows}) == len(rows)
    for row in rows:
        assert row.problem.seed_id == question.problem.id and row.problem.tags == question.problem.tags
        assert row.problem.augmentation in ALL and row.problem.source == "own"


def test_another_question_about_a_story_has_another_program_and_the_same_numbers() -> None:
    pairs = [
        (question, row)
        for question in islice(own_questions(0), 60)
        for row in made(question, Perspective.EXPRESSION_REPLACEMENT)
    ]
    assert len(pairs) > 10
    for question, row in pairs:
        assert sorted(numbers(row.problem.question)) == sorted(numbers(question.problem.question))
        assert row.rationale != question.rationale


def word_problem(question: str, *steps: tuple[str, str, str]) -> WordProblem:
    return WordProblem(
        question=question,
        numbers=numbers_in(question),
        steps=tuple(Step(op=op, left=left, right=right) for op, left, right in steps),
        source="test",
    )


@pytest.mark.parametrize(
    ("steps", "index", "root"),
    [
        ((("+", "n0", "n1"),), 0, Fraction(6)),
        ((("/", "n0", "n1"),), 1, Fraction(3)),
        ((("/", "n0", "2"), ("+", "n0", "a")), 0, Fraction(6)),  # twice in it, linear all the same
        ((("*", "n0", "n0"),), 0, None),  # -6 does it too
        ((("*", "n0", "n1"), ("/", "a", "n0")), 0, None),  # any number does it
        ((("+", "n0", "2"),), 1, None),  # not in it
        ((("-", "n0", "n0"), ("*", "a", "n1")), 1, None),  # multiplied by nothing
        ((("//", "n0", "n1"),), 0, None),  # 6, 7 or 8
    ],
)
def test_the_only_value(steps: tuple[tuple[str, str, str], ...], index: int, root: Fraction | None) -> None:
    assert only_value(word_problem("What can be made of 6 and 3?", *steps), index) == root


@pytest.mark.parametrize(
    ("question", "values"),
    [
        ("He has 3 dogs and twelve cats.", ["3", "12"]),
        ("He ate 1/2 of 6 pies at 8:30.", ["6"]),
        ("The 2nd of 20-page books costs $3.50, not 1,000.", ["3.50", "1000"]),
        ("What is $x^2 + 3$ at $x_1 = 5$?", ["3", "5"]),
        (r"What is $\frac{1}{2} + 4$?", ["4"]),
        ("[asy]draw(1);[/asy] What is 3?", []),
        ("X, Y and Z have 3.", []),
    ],
)
def test_maskable_numbers(question: str, values: list[str]) -> None:
    assert [masked.value for masked in maskings(question)] == values


def test_another_letter_where_the_first_is_taken() -> None:
    (masked,) = maskings("Bus X has 3 seats.")
    assert masked.question == "Bus X has Y seats."


@pytest.mark.parametrize(
    ("question", "rationale", "reason"),
    [
        ("He has 3 and 4.", "3+4=7\n#### 7", "no program"),
        ("He has 3 and 4.", "<<3+4=7>>7\n#### 8", "no program"),
        ("He splits 201 in half.", "<<201/2=100.5>>100.5\n#### 100", "rounded answer"),
        ("He splits 200 in 3.", "<<200/3=66.6>>66.6\n#### 67", "no finite decimal"),
        ("He has 3 and 3.", "<<3+3=6>>6\n#### 6", "ambiguous number"),
        ("He has 9 and his 3 brothers share it.", "<<9*4=36>>36\n#### 36", "unexplained constant"),
        (
            "He has 2 more than twice as many, 5.",
            "<<2*5=10>>10\n<<10+2=12>>12\n#### 12",
            "number like a constant",
        ),
        (
            "He runs 9 laps Monday to Friday for 5 weeks.",
            "<<9*5=45>>45\n<<45*5=225>>225\n#### 225",
            "like a constant",
        ),
        ("He has 9 and 5 and 3.", "<<9+5=14>>14\n#### 14", "unused number"),
        ("He works 9 hours from 5 pm.", "<<9+5=14>>14\n#### 14", "clock, year, threshold or average"),
        ("He rounds 9 and 5.", "<<9+5=14>>14\n#### 14", "clock, year, threshold or average"),
    ],
)
def test_programs_that_are_not_trusted(question: str, rationale: str, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        require_general(read_program(seed("s", question, rationale)))


def test_a_program_survives_being_written_and_read() -> None:
    for question, _, _ in SEEDS.values():
        problem = read_program(question).problem
        again = read_program(seed("again", problem.question, marked(problem))).problem
        assert (again.numbers, again.steps) == (problem.numbers, problem.steps)


def test_perspectives_by_name() -> None:
    assert named("fobar, rephrase,fobar") == (Perspective.FOBAR, Perspective.REPHRASE)
    assert len(named("alteration")) == 5
    with pytest.raises(InputError, match="no perspective 'bf'"):
        named("rephrase,bf")
    with pytest.raises(InputError, match="no perspective is named"):
        named(" ,")
    with pytest.raises(InputError, match="bf_trans has no rule-based form"):
        with_rules((Perspective.REPHRASE, Perspective.BF_TRANS))


def write_seeds(path: Path, questions: list[Question]) -> Path:
    path.write_text("".join(json.dumps(to_json(question)) + "\n" for question in questions), encoding="utf-8")
    return path


def test_the_command_goes_on_after_a_torn_line(tmp_path: Path) -> None:
    questions = write_seeds(tmp_path / "seeds.jsonl", list(islice(own_questions(0), 12)))
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    augment(questions, out=whole, perspective="rephrase,fobar", rules=True, samples=2)
    augment(questions, out=torn, perspective="rephrase,fobar", rules=True, samples=2)
    rows = torn.read_bytes()
    part = _as_if_killed(torn, load_records(questions, Question))
    augment(questions, out=torn, perspective="rephrase,fobar", rules=True, samples=2)
    assert torn.read_bytes() == rows == whole.read_bytes() and not part.exists()
    counts = read_manifest(torn).counts
    assert counts["rephrase"] + counts["fobar"] == len(rows.splitlines())
    with pytest.raises(InputError, match=r"settings\.seed 0, now it is 1"):
        augment(questions, out=torn, perspective="rephrase,fobar", rules=True, samples=2, seed=1)


def _as_if_killed(out: Path, questions: list[Question]) -> Path:
    """Write what a stage leaves that was killed while it wrote its fourth line."""
    wanted, lines = (Perspective.REPHRASE, Perspective.FOBAR), []
    for question in questions[:4]:
        done = augmented(question, wanted, samples=2, draw=0)
        rows = [to_json(row) for row in done.rows]
        lines.append(json.dumps({"key": question.problem.id, "rows": rows, "counts": done.counts}))
    manifest = json.loads(manifest_path(out).read_text("utf-8"))
    manifest_path(out).write_text(
        json.dumps({**manifest, "rows": 0, "counts": {}, "finished": False}), "utf-8"
    )
    out.unlink()
    part = out.with_name(f"{out.name}.part")
    part.write_text("\n".join(lines)[:-20], encoding="utf-8")
    return part


@pytest.mark.parametrize(
    ("teacher", "message"), [(None, "name a teacher"), (["http://127.0.0.1:9"], "--rules asks no teacher")]
)
def test_rules_or_a_teacher_not_both_and_not_neither(
    tmp_path: Path, teacher: list[str] | None, message: str
) -> None:
    questions = write_seeds(tmp_path / "seeds.jsonl", [SEEDS["more"][0]])
    with pytest.raises(InputError, match=message):
        augment(
            questions,
            out=tmp_path / "out.jsonl",
            perspective="rephrase",
            teacher=teacher,
            rules=bool(teacher),
        )


def test_seeds_of_equal_ids_are_refused(tmp_path: Path) -> None:
    questions = write_seeds(tmp_path / "seeds.jsonl", [SEEDS["more"][0], SEEDS["more"][0]])
    with pytest.raises(InputError, match="'more' occurs twice"):
        augment(questions, out=tmp_path / "out.jsonl", perspective="rephrase", rules=True)


@pytest.mark.data
def test_fifty_rows_of_gsm8k() -> None:
    path = DATA / "gsm8k" / "train.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path}: set MUMATH_DATA to a folder that has it")
    questions = list(islice(gsm8k_questions(path), 50))
    rows = [row for question in questions for row in augmented(question, ALL, samples=2, draw=0).rows]
    assert {row.problem.augmentation for row in rows} == set(ALL)
    assert len({same_form(row.problem.question) for row in (*rows, *questions)}) == len(rows) + 50
    assert all(row.problem.target for row in rows)
