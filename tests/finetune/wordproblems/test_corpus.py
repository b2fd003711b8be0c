"""The corpus of the tiny model: exact solutions, natural sentences, honest splits, determinism."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from fractions import Fraction
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.data.corpus import build, dev_split, write
from finetune.wordproblems.gsm8k import convert, vary
from finetune.wordproblems.numbers import SIZES
from finetune.wordproblems.people import FEMALE, MALE, PRONOUNS, Person
from finetune.wordproblems.problem import (
    Step,
    WordProblem,
    clean,
    code_solution,
    numbers_in,
    plan_sentence,
    printed,
    thought_solution,
    two_round_solution,
)
from finetune.wordproblems.schema import Schema, ask, schema
from finetune.wordproblems.topics import BARE, STORIES, stories
from finetune.wordproblems.words import KINDS, article, plural

GSM8K_ROWS = [
    {
        "question": "Nora has 12 red beads and twice as many blue beads. How many beads does Nora have?",
        "answer": "She has 12*2=<<12*2=24>>24 blue beads.\nIn all 24+12=<<24+12=36>>36.\n#### 36",
    },
    {
        "question": "A pump moves 1,500 liters in 3 hours. How many liters does it move in 45 minutes?",
        "answer": "Per hour 1500/3=<<1500/3=500>>500.\n45 minutes are 45/60=<<45/60=0.75>>0.75 hours.\n"
        "It moves 500*.75=<<500*.75=375>>375.\n#### 375",
    },
    {
        "question": "Omar pays $40 for a lamp and gets a discount of 25%. What does he pay?",
        "answer": "He saves 40*.25=$<<40*.25=10>>10.\nHe pays 40-10=<<40-10=30>>30.\n#### 30",
    },
]
BROKEN_ROW = {"question": "What are 2 and 3?", "answer": "2+3=<<2+3=5>>5\n#### 6"}


def problem(question: str, *steps: tuple[str, str, str]) -> WordProblem:
    return WordProblem(
        question=question,
        numbers=numbers_in(question),
        steps=tuple(Step(op=op, left=left, right=right) for op, left, right in steps),
        source="test",
    )


SALE = problem(
    "A crate holds 12 pears. A shop has 45 crates and sells 3 pears.", ("*", "n0", "n1"), ("-", "a", "n2")
)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("He has 3 dogs and twelve cats.", ("3", "12")),
        ("Only one of the 1,250 seats costs $3.50.", ("1250", "3.50")),
        ("It is a 20-page book, 7% off.", ("20", "7")),
        ("It costs $.50 at 8:05.", ("0.50", "8", "5")),
        ("Tense, often, weighty", ()),
        ("Twenty people, 10, 20.", ("20", "10", "20")),
    ],
)
def test_numbers_in_order_of_appearance(text: str, numbers: tuple[str, ...]) -> None:
    assert numbers_in(text) == numbers


def test_code_solution_exactly() -> None:
    assert code_solution(SALE) == (
        "First multiply, then subtract.\n```python\nn0 = 12\nn1 = 45\nn2 = 3\na = n0 * n1\nb = a - n2\nprint(b)\n"
        "```\n```output\n537\n```\nThe answer is $\\boxed{537}$."
    )


def test_thought_solution_exactly() -> None:
    assert thought_solution(SALE) == (
        "First multiply, then subtract.\n12 * 45 = 540\n540 - 3 = 537\nThe answer is $\\boxed{537}$."
    )


@pytest.mark.parametrize(
    ("question", "step", "output", "boxed"),
    [
        ("57 by 3", ("/", "n0", "n1"), "19.0", "19"),
        ("10 by 3", ("/", "n0", "n1"), "3.33", "3.33"),
        ("$2.50 times 3", ("*", "n0", "n1"), "7.5", "7.5"),
        ("17 by 5", ("//", "n0", "n1"), "3", "3"),
        ("17 by 5", ("%", "n0", "n1"), "2", "2"),
    ],
)
def test_output_is_what_python_prints(
    question: str, step: tuple[str, str, str], output: str, boxed: str
) -> None:
    one = problem(question, step)
    assert (printed(one, one.steps), clean(printed(one, one.steps))) == (output, boxed)


@pytest.mark.parametrize(
    ("ops", "plan"),
    [("+", "Add."), ("*-", "First multiply, then subtract."), ("+/", "First add, then divide.")],
)
def test_plan_in_operator_words(ops: str, plan: str) -> None:
    assert plan_sentence([Step(op=op, left="n0", right="n1") for op in ops]) == plan


def test_two_rounds_end_in_the_correct_program() -> None:
    seen = set()
    for seed in range(20):
        text = two_round_solution(SALE, Random(seed))
        assert text.endswith(code_solution(SALE).split("\n", 1)[1])
        seen.add(re.findall(r"```output\n(.*?)\n```", text, re.S)[0])
    assert seen == {
        "-537",
        "line 4: b = a - n2\nNameError: name 'a' is not defined",
        "line 5: print(b)\nNameError: name 'b' is not defined",
    }


@pytest.mark.parametrize("one", [*STORIES, *BARE], ids=lambda one: one.name)
def test_every_schema_is_sound(one: Schema) -> None:
    for seed in range(50):
        drawn = one.problem(Random(seed))
        assert drawn.numbers == numbers_in(drawn.question)
        assert drawn.answer > 0
        assert Fraction(clean(printed(drawn, drawn.steps))) == drawn.answer
        assert not re.search(r"[(){}|<>\[\]]|  | [,.?]|^[a-z]|[.?] [a-z]", drawn.question), drawn.question
        assert drawn.question.endswith(("?", "."))


def test_schemas_have_distinct_names() -> None:
    names = [one.name for one in (*STORIES, *BARE)]
    assert len(set(names)) == len(names) >= 120


def test_one_thing_is_singular() -> None:
    counted = schema(
        "test/count",
        "x 1-3",
        "item fruit",
        ("{A} has [x item].",),
        (ask("x + x", "how many {items} are two such heaps?"),),
    )
    for seed in range(60):
        text = counted.problem(Random(seed)).question
        number, noun = re.search(r"has (\S+) (\w+)", text).groups()  # type: ignore[union-attr]
        words = [word for word in KINDS["fruit"] if noun in (word.one, word.many)]
        assert noun == (words[0].one if number == "1" else words[0].many)


@pytest.mark.parametrize("one", STORIES[::3], ids=lambda one: one.name)
def test_no_plural_after_one(one: Schema) -> None:
    for seed in range(40):
        assert not re.search(
            r"(?<![\d.,$/-])1 (more )?(?!iris)[a-z]+[^s]s\b", one.problem(Random(seed)).question
        )


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("apple", "apples"), ("box", "boxes"), ("berry", "berries"), ("toy", "toys"), ("leaf", "leaves"),
        ("sheet of paper", "sheets of paper"), ("loaf of bread", "loaves of bread"), ("toy box", "toy boxes"),
        ("goldfish", "goldfish"), ("bench", "benches"), ("child", "children"), ("potato", "potatoes"),
    ],
)  # fmt: skip
def test_plural(noun: str, many: str) -> None:
    assert plural(noun) == many


@pytest.mark.parametrize(("noun", "word"), [("apple", "an"), ("box", "a"), ("uniform", "a"), ("hour", "an")])
def test_article(noun: str, word: str) -> None:
    assert article(noun) == word


def test_names_have_one_gender_and_pronouns_follow() -> None:
    assert not set(MALE) & set(FEMALE)
    assert len(set(MALE) | set(FEMALE)) >= 150
    told = schema(
        "test/pronouns", "x few, y few", "item toy", ("{A} has [x item]. {he} lost [y].",),
        (ask("x + y", "was it {his} toy?"),),
        distract=False,
    )  # fmt: skip
    for seed in range(60):
        text = told.problem(Random(seed)).question
        name = text.split()[0]
        if name in MALE or name in FEMALE:
            forms = PRONOUNS["m" if name in MALE else "f"]
            assert f"{forms['he'].capitalize()} lost" in text
            assert f"Was it {forms['his']} toy?" in text
    assert Person(name="sister", gender="f", kind="relation").gender == "f"


def test_vocabulary_is_wide() -> None:
    assert len({word.one for words in KINDS.values() for word in words}) >= 250
    assert set(SIZES) == {"small", "middle", "large", "huge"}


@pytest.mark.parametrize(
    ("row", "answer", "steps"),
    [
        (GSM8K_ROWS[0], 36, ["n0 * 2", "a + n0"]),
        (GSM8K_ROWS[1], 375, ["n0 / n1", "n2 / 60", "a * b"]),
        (GSM8K_ROWS[2], 30, ["n1 / 100", "n0 * a", "n0 - b"]),
    ],
)
def test_gsm8k_marks_become_steps(row: dict[str, str], answer: int, steps: list[str]) -> None:
    one = convert(row, 0)
    assert one is not None
    assert one.problem.answer == answer
    assert [step.expression for step in one.problem.steps] == steps


def test_gsm8k_row_with_another_answer_is_dropped() -> None:
    assert convert(BROKEN_ROW, 0) is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(GSM8K_ROWS))
def test_gsm8k_variation_stays_sane(seed: int, row: dict[str, str]) -> None:
    one = convert(row, 0)
    assert one is not None
    varied = vary(one, Random(seed))
    assert varied.numbers == numbers_in(varied.question)
    assert varied.answer > 0
    assert varied.steps == one.problem.steps
    assert code_solution(varied)


@pytest.mark.parametrize("stage", [1, 2])
def test_equal_seeds_give_equal_rows(stage: int) -> None:
    def rows(seed: int) -> list[object]:
        return list(build(GSM8K_ROWS, stage=1 if stage == 1 else 2, size=80, seed=seed))

    assert rows(3) == rows(3) != rows(4)


def test_mix_of_sources() -> None:
    sources = [row["source"] for row in build(GSM8K_ROWS, stage=2, size=3000, seed=1)]

    def share(start: str) -> float:
        return sum(source.startswith(start) for source in sources) / len(sources)

    assert share("template/") > 0.6
    assert 0.15 < share("gsm8k-train/") < 0.25
    assert 0.02 < share("two-round/") < 0.06
    assert any(source.startswith("template/arithmetic/") for source in sources)


def test_held_out_schemas_never_train() -> None:
    gone = {one.name for one in stories(held_out=True)}
    assert 0.03 < len(gone) / len(STORIES) < 0.15
    trained = {row["source"].split("/", 1)[1] for row in build([], stage=1, size=3000, seed=2)}
    kept = {row["source"].split("/", 1)[1] for row in dev_split([], stage=1, size=300, seed=2)}
    assert not trained & gone
    assert kept <= gone


def test_held_out_gsm8k_rows_never_train() -> None:
    rows = [{**GSM8K_ROWS[0], "question": GSM8K_ROWS[0]["question"] + " " * i + "!" * i} for i in range(8)]
    trained = {
        row["question"] for row in build(rows, stage=2, size=400, seed=1) if row["source"].count("/") == 1
    }
    held = {row["question"] for row in dev_split(rows, stage=2, size=0, seed=1)}
    assert len(held) == 2
    assert not trained & held


def test_write_streams_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    assert write(path, build([], stage=2, size=5, seed=1)) == 5
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [sorted(row) for row in rows] == [["id", "question", "solution", "source"]] * 5


_RUNNER = """
import contextlib, io, json, sys
for code in json.load(sys.stdin):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            exec(code, {})
        except NameError as error:
            line = error.__traceback__.tb_next.tb_lineno
            print(f"line {line}: {code.splitlines()[line - 1].strip()}")
            print(f"NameError: {error}")
    sys.stdout.write(json.dumps(out.getvalue().removesuffix("\\n")) + "\\n")
"""


def test_python_prints_the_recorded_outputs() -> None:
    rows = list(islice(build(GSM8K_ROWS, stage=2, size=300, seed=7), 300))
    blocks = [
        pair
        for row in rows
        for pair in re.findall(r"```python\n(.*?)\n```\n```output\n(.*?)\n```\n", row["solution"], re.S)
    ]
    done = subprocess.run(
        [sys.executable, "-c", _RUNNER],
        input=json.dumps([code for code, _ in blocks]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [output for _, output in blocks]
    for row in rows:
        output = re.findall(r"```output\n(.*?)\n```", row["solution"], re.S)[-1]
        assert row["solution"].endswith(f"The answer is $\\boxed{{{clean(output)}}}$.")
