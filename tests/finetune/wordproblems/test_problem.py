"""The numbers of a question, and the solutions written for it."""

import re
from random import Random

import pytest

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
