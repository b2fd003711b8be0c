"""Every schema tells sound problems in natural sentences."""

import re
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

from finetune.wordproblems.load import bare, everyday_stories, new_stories, read_topic, stories
from finetune.wordproblems.numbers import SIZES
from finetune.wordproblems.people import FEMALE, MALE, PRONOUNS
from finetune.wordproblems.problem import clean, numbers_in, printed
from finetune.wordproblems.schema import Schema
from finetune.wordproblems.words import KINDS, article, plural


@pytest.mark.parametrize(
    "one", [*stories(), *bare(), *new_stories(), *everyday_stories()], ids=lambda one: one.name
)
def test_every_schema_is_sound(one: Schema) -> None:
    for seed in range(50):
        drawn = one.problem(Random(seed))
        assert drawn.numbers == numbers_in(drawn.question)
        assert drawn.answer > 0
        assert Fraction(clean(printed(drawn, drawn.steps))) == drawn.answer
        assert not re.search(r"[(){}|<>\[\]]|  | [,.?]|^[a-z]|[.?] [a-z]", drawn.question), drawn.question
        assert drawn.question.endswith(("?", "."))


def only_schema(folder: Path, text: str) -> Schema:
    path = folder / "test.toml"
    path.write_text(f"[[schema]]\n{text}", "utf-8")
    (schema,) = read_topic(path)
    return schema


def test_one_thing_is_singular(tmp_path: Path) -> None:
    counted = only_schema(
        tmp_path,
        """
        name = "count"
        numbers = { x = "1-3" }
        words = { item = "fruit" }
        bodies = ["{A} has [x item]."]
        ask = [{ answer = "x + x", questions = ["how many {items} are two such heaps?"] }]
        """,
    )
    for seed in range(60):
        text = counted.problem(Random(seed)).question
        number, noun = re.search(r"has (\S+) (\w+)", text).groups()  # type: ignore[union-attr]
        words = [word for word in KINDS["fruit"] if noun in (word.one, word.many)]
        assert noun == (words[0].one if number == "1" else words[0].many)


@pytest.mark.parametrize(
    "one", [*stories()[::3], *new_stories(), *everyday_stories()], ids=lambda one: one.name
)
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


def test_pronouns_follow_the_name(tmp_path: Path) -> None:
    told = only_schema(
        tmp_path,
        """
        name = "pronouns"
        numbers = { x = "few", y = "few" }
        words = { item = "toy" }
        distract = false
        bodies = ["{A} has [x item]. {he} lost [y]."]
        ask = [{ answer = "x + y", questions = ["was it {his} toy?"] }]
        """,
    )
    for seed in range(60):
        text = told.problem(Random(seed)).question
        name = text.split()[0]
        if name in MALE or name in FEMALE:
            forms = PRONOUNS["m" if name in MALE else "f"]
            assert f"{forms['he'].capitalize()} lost" in text
            assert f"Was it {forms['his']} toy?" in text


def test_numbers_that_cannot_be_found_are_reported(tmp_path: Path) -> None:
    impossible = only_schema(
        tmp_path,
        """
        name = "impossible"
        numbers = { x = "2-9" }
        where = ["x > 9"]
        bodies = ["{A} has [x page/pages]."]
        ask = [{ answer = "x + 1", questions = ["how many is one more?"] }]
        """,
    )
    with pytest.raises(
        ValueError, match=r"test/impossible: no sane numbers found in \d+ tries; loosen where"
    ):
        impossible.problem(Random(0))


def test_names_have_one_gender() -> None:
    assert not set(MALE) & set(FEMALE)
    assert len(set(MALE) | set(FEMALE)) >= 150


def test_vocabulary_is_wide() -> None:
    assert len({word.one for words in KINDS.values() for word in words}) >= 250
    assert set(SIZES) == {"small", "middle", "large", "huge"}
