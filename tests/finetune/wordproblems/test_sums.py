"""Plain sums in every spelling, and refusals: what is drawn, what is kept back, what a mistake in a file says."""

import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from finetune.wordproblems.refusals import forms, refusal, refused
from finetune.wordproblems.sums import FORMS, HELD_BACK, Sum, held_back, in_words, read_sums, sums
from mumath_agent.errors import InputError

TYPED_FIRST = [
    ("add", "2+2"), ("add", "What is 2+2?"), ("add", "2 plus 2"), ("percent_of", "how much is 15% of 80"),
    ("multiply", "7 times 8"), ("parentheses", "(3+4)*5"), ("square_root", "sqrt(144)"), ("power", "3^4"),
    ("fractions_add", "1/2 + 1/3"), ("divide_not_whole", "what's 12 divided by 5"),
    ("square_root", "square root of 81"),
    ("prime", "is 17 prime"), ("gcd", "gcd of 12 and 18"), ("half_hours_to_minutes", "convert 3.5 hours to minutes"),
    ("average_three", "average of 3, 5 and 10"),
]  # fmt: skip
"""What a newcomer types first; every one must be within the reach of a form."""


def test_there_are_many_forms_and_many_that_are_held_back() -> None:
    assert sum(len(kind.forms) for kind in sums()) >= 400
    assert sum(len(kind.forms) for kind in held_back()) >= 60
    assert "FOR EVALUATION ONLY" in HELD_BACK.read_text("utf-8").splitlines()[0]


@pytest.mark.parametrize(("kind", "typed"), TYPED_FIRST)
def test_what_is_typed_first_is_among_the_forms(kind: str, typed: str) -> None:
    shape = re.sub(r"\d+(?:\.\d+)?", "#", typed.lower()).replace(" ", "").strip("?=")
    one = next(each for each in sums() if each.name == kind)
    shapes = set()
    for seed in range(3000):
        question = one.exercise(Random(seed)).question.lower()
        shapes.add(re.sub(r"\d+(?:\.\d+)?", "#", question).replace(" ", "").strip("?=."))
    assert shape in shapes


@pytest.mark.parametrize("kind", sums(), ids=lambda kind: kind.name)
def test_every_form_can_be_drawn_and_reads_well(kind: Sum) -> None:
    for form in kind.forms:
        for seed in range(4):
            one = kind.asked(form, Random(seed))
            assert not re.search(r"[{}<>]|  |\$\d+\.\d(?!\d)|^=|^\s", one.question), one.question
            assert not re.search(r"\{(?!answer)", one.code + "".join(one.worked))


def test_forms_that_are_held_back_are_spelled_like_none_that_are_trained() -> None:
    def shape(text: str) -> str:
        return re.sub(r"\W+", " ", re.sub(r"\{(\w+)[^}]*\}", r"\1", text.lower())).strip()

    trained = {shape(form) for kind in sums() for form in kind.forms}
    assert not trained & {shape(form) for kind in held_back() for form in kind.forms}


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"), (1, "one"), (7, "seven"), (13, "thirteen"), (20, "twenty"), (42, "forty-two"), (99, "ninety-nine"),
        (100, "one hundred"), (305, "three hundred and five"), (2024, "2024"),
    ],
)  # fmt: skip
def test_numbers_in_words(number: int, words: str) -> None:
    assert in_words(number) == words


MISTAKES = {
    "unknown number": ("print({x} + {y})", "print({x} + {z})", "add: no number 'z'"),
    "unknown phrase": ('"<ask> {x} + {y}"', '"<asks> {x} + {y}"', "add: no phrase 'asks'"),
    "unknown key": ('plan = "Add."', 'plans = "Add."', "add: plan"),
    "unknown range": ('x = "0-99", y = "0-99"', 'x = "lots", y = "0-99"', "add: no range 'lots'"),
    "name given twice": ('name = "add_large"', 'name = "add"', "add: name: an earlier sum has it"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text, path = FORMS.read_text("utf-8"), tmp_path / "forms.toml"
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(InputError, match=re.escape(f"{path}: {message}")):
        read_sums(path)


def test_a_missing_file_of_sums_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"forms\.toml"):
        read_sums(tmp_path / "forms.toml")


def test_refusals_are_many_honest_and_without_a_box() -> None:
    trained, kept = forms(held_back=False), forms(held_back=True)
    assert len(trained) >= 80 and len(kept) >= 30 and not set(trained) & set(kept)
    for seed in range(300):
        one = refusal(Random(seed))
        assert "\\boxed" not in one.reply and one.reply.endswith(".") and "{" not in one.question + one.reply
    kinds = Counter(refusal(Random(seed)).source for seed in range(300))
    assert len(kinds) == len({name for name, _ in trained})


def test_one_person_is_the_same_throughout_and_two_cities_are_two() -> None:
    for seed in range(20):
        has = refused(
            "missing", "{person} has some {item}. How many {item} does {person} have?", Random(seed)
        ).question
        assert has.split()[0] == has.split()[-2]
        far = refused("facts", "how far is {city} from {city}?", Random(seed)).question.rstrip("?").split()
        assert far[3] != far[5]
