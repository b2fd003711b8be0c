"""Problems as programs with named results, and as the same steps in words."""

import re
from collections.abc import Sequence
from random import Random

import pytest

from finetune.wordproblems.exercise import code_text, exercise, thought_text
from finetune.wordproblems.formula import formula
from finetune.wordproblems.general import from_nowhere
from finetune.wordproblems.gsm8k import Gsm8kRow, Unreadable, convert, read, vary
from finetune.wordproblems.load import everyday_stories, new_stories, stories
from finetune.wordproblems.naming import distinct, name_of, note_before
from finetune.wordproblems.problem import Step, WordProblem, numbers_in
from finetune.wordproblems.schema import Schema

CLIPS: Gsm8kRow = {
    "question": "Nadia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Nadia sell altogether in April and May?",
    "answer": "Nadia sold 48/2 = <<48/2=24>>24 clips in May.\n"
    "Nadia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.\n#### 72",
}


def test_a_program_of_gsm8k_names_its_results_and_says_what_it_finds() -> None:
    one = exercise(read(CLIPS, 0).problem)
    assert one.program == (
        "# Nadia sold clips in May",
        "nadia_clips = 48 / 2",
        "# Nadia sold clips altogether in April and May",
        "nadia_clips_altogether = 48 + nadia_clips",
        "print(round(nadia_clips_altogether, 2))",
    )
    assert one.answer == "72"
    assert code_text(one, "72.0").endswith("```output\n72.0\n```\nThe answer is $\\boxed{72}$.")
    assert thought_text(one).split("\n") == [
        "First divide, then add.",
        "Nadia sold clips in May: 48 / 2 = 24",
        "Nadia sold clips altogether in April and May: 48 + 24 = 72",
        "The answer is $\\boxed{72}$.",
    ]


def test_names_and_notes_follow_the_people() -> None:
    told = {exercise(vary(read(CLIPS, 0), Random(seed))).code for seed in range(20)}
    other = [code for code in told if "nadia" not in code]
    assert other and all("Nadia" not in code for code in other)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "What are 2 and 3?", "answer": "2+3=<<2+3=5>>5\n#### 6"}, "the last mark isn't the answer"),
        ({"question": "What are 2 and 3?", "answer": "They are 5.\n#### 5"}, "no marks"),
        ({"question": "What are 2 and 3?", "answer": "x=<<x+3=5>>5\n#### 5"}, "not a plain expression"),
        ({"question": "What are 2 and 3?", "answer": "<<2+3=9>>9\n#### 9"}, "a mark is wrong"),
        ({"question": "A third of 10?", "answer": "<<10/3=3.33>>3.33\n#### 3.33"}, "the last mark isn't the answer"),
    ],
)  # fmt: skip
def test_why_a_row_is_no_program(row: Gsm8kRow, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read(row, 0)
    assert convert(row, 0) is None


def test_an_answer_that_is_nearly_right_counts_only_where_the_first_corpus_is_made_again() -> None:
    row: Gsm8kRow = {"question": "A third of 10?", "answer": "<<10/3=3.33>>3.33\n#### 3.33"}
    assert convert(row, 0) is None and convert(row, 0, rounded=True) is not None


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("A shop opens at 9 am and sells 6 cakes. It sells 4 pies. How many is that?", "6+4=<<6+4=10>>10\n#### 10"),
        ("Tom walks 3 miles on the first 2 days. How many miles is that?", "3*2=<<3*2=6>>6\n#### 6"),
        ("Ana has an 8-foot rope and 4 nails. How much is that?", "8+4=<<8+4=12>>12\n#### 12"),
    ],
)  # fmt: skip
def test_numbers_stay_where_the_program_may_not_hold_for_others(question: str, answer: str) -> None:
    one = read({"question": question, "answer": answer}, 0)
    for seed in range(30):
        assert "8" in vary(one, Random(seed)).numbers if "8" in one.problem.numbers else True
        if "foot" not in question:
            assert vary(one, Random(seed)).numbers == one.problem.numbers


def test_half_is_half_though_the_question_has_a_two_as_well() -> None:
    row: Gsm8kRow = {
        "question": "A film starts in 2 hours. Homework takes 30 minutes, cleaning half as long. How long is that?",
        "answer": "<<30/2=15>>15, <<30+15=45>>45\n#### 45",
    }
    assert [step.expression for step in read(row, 0).problem.steps] == ["n1 / 2", "n1 + a"]


def test_equal_numbers_are_used_one_after_the_other() -> None:
    row: Gsm8kRow = {
        "question": "Bags cost $5 and boxes $7. Ida takes 2 bags and 5 boxes. What does she pay?",
        "answer": "<<5*2=10>>10, <<7*5=35>>35, <<10+35=45>>45\n#### 45",
    }
    assert [step.expression for step in read(row, 0).problem.steps] == ["n0 * n2", "n1 * n3", "a + b"]


@pytest.mark.parametrize(
    ("question", "steps", "expected"),
    [
        ("2 miles, then 5 times that. How many?", [("+", "n0", "10")], True),
        ("2 dozen. How many?", [("*", "n0", "12")], False),
        ("4 weeks. How many days?", [("*", "n0", "7")], False),
        ("Two numbers are 3 and 5. Their average?", [("+", "n1", "n2"), ("/", "a", "2")], True),
        ("3 parts of 17?", [("*", "n0", "360")], True),
    ],
)
def test_a_number_from_nowhere(question: str, steps: list[tuple[str, str, str]], expected: bool) -> None:
    told = tuple(Step(op=op, left=left, right=right) for op, left, right in steps)
    problem = WordProblem(question=question, numbers=numbers_in(question), steps=told, source="test")
    assert from_nowhere(problem) is expected


def test_names_of_results() -> None:
    assert list(distinct(["pens", "pens", "sum", "if", ""], ["number"] * 5)) == [
        "pens",
        "pens_2",
        "sum_",
        "if_",
        "number",
    ]
    assert name_of("Emma fills a piñata", "4 big piñatas.") == "emma_big_pinatas"


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("Nora has 12*2=<<12*2=24>>24 blue beads.", "Nora has blue beads"),
        ("In 3 days that is 12*2=<<12*2=24>>24 beads.", ""),
        ("So 12*2=<<12*2=24>>24.", ""),
    ],
)
def test_a_note_is_the_sentence_without_its_numbers(body: str, note: str) -> None:
    assert note_before(body, body.index("<<")) == note


def test_several_formulas_name_their_results() -> None:
    steps = formula("cost = price * pens; change = paid - cost", ("price", "pens", "paid"))
    assert [(step.expression, step.name) for step in steps] == [
        ("price * pens", "cost"),
        ("paid - #0", "change"),
    ]
    with pytest.raises(ValueError, match="uses 'cots'"):
        formula("cost = price * pens; paid - cots", ("price", "pens", "paid"))


@pytest.mark.parametrize(
    ("answer", "program"),
    [
        ("x * y", ("print(90 * 30)",)),
        ("x / y", ("print(round(90 / 30, 2))",)),
        ("(x + y) * z", ("total = 90 + 30", "total_2 = total * 10", "print(total_2)")),
        ("x + y * z", ("total = 30 * 10", "total_2 = 90 + total", "print(total_2)")),
        ("x - (y - z)", ("left = 30 - 10", "left_2 = 90 - left", "print(left_2)")),
        ("x - y - z", ("left = 90 - 30", "left_2 = left - 10", "print(left_2)")),
        ("x / (y / z)", ("each = 30 / 10", "each_2 = 90 / each", "print(round(each_2, 2))")),
    ],
)
def test_every_step_has_a_line_of_its_own_unless_there_is_only_one(
    answer: str, program: tuple[str, ...]
) -> None:
    names = {"x": "n0", "y": "n1", "z": "n2", "#0": "a", "#1": "b"}
    steps = tuple(
        Step(op=step.op, left=names[step.left], right=names[step.right])
        for step in formula(answer, ("x", "y", "z"))
    )
    problem = WordProblem(question="90, 30 and 10?", numbers=("90", "30", "10"), steps=steps, source="")
    assert exercise(problem).program == program


def test_no_question_for_evaluation_is_told_like_one_that_is_trained_on() -> None:
    def shapes(schemas: Sequence[Schema]) -> set[str]:
        drawn = (schema.problem(Random(seed)).question for schema in schemas for seed in range(12))
        return {re.sub(r"\b[A-Z]\w*|\d[\d,.]*|\b(?:s?he|his|her)\b", "#", question) for question in drawn}

    assert len(everyday_stories()) >= 40
    assert not shapes(everyday_stories()) & shapes([*stories(held_out=False), *new_stories()])
