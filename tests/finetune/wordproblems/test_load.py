"""Topic files: what they stand for, and the one clear error that each mistake gives."""

from pathlib import Path
from random import Random

import pytest

from finetune.wordproblems.load import bare, read_topic, read_topics, stories
from finetune.wordproblems.problem import numbers_in
from mumath_agent.errors import InputError

HEAPS = """
[[schema]]
name = "heaps"
numbers = { x = "2-9", y = "few", t = "= x + y" }
words = { item = "toy" }
where = ["x > y"]
bodies = ["{A} has [x item]. ~{B} has [y]."]

[[schema.ask]]
answer = "x - y"
questions = ["how many more {items} does {A} have?"]
"""
MISTAKES = {
    "unknown key": ('where = ["x > y"]', 'were = ["x > y"]', "heaps: were: unknown key"),
    "unknown key of ask": ("questions =", "question =", "heaps: ask.1.questions: missing key"),
    "missing key": ('name = "heaps"', "", "schema 1: name: missing key"),
    "missing ask": ("[[schema.ask]]", "[[ask]]", "ask: unknown key"),
    "one table": ("[[schema]]", "[schema]", "schema: Input should be a valid list"),
    "wrong type": ('where = ["x > y"]', 'where = "x > y"', "heaps: where: Input should be a valid list"),
    "wrong name": ('"heaps"', '"a/b"', "a/b: name: String should match pattern"),
    "unknown range": ('"few"', '"a few"', "heaps: numbers: no range 'a few'; write low-high or one of any, count"),
    "empty range": ("2-9", "9-2", "heaps: numbers: the range '9-2' is empty"),
    "unknown kind": ('"toy"', '"toys"', "heaps: words: no kind 'toys'; the kinds are sweet, baked"),
    "not a formula": ('"x - y"', '"x -"', "heaps: ask.1.answer: 'x -' isn't a formula"),
    "no computation": ('"x - y"', '"x"', "heaps: ask.1.answer: 'x' computes nothing"),
    "other operator": ('"x - y"', '"x ** y"', "heaps: ask.1.answer: 'x ** y' has 'x ** y'; only numbers and"),
    "unknown number": ('"x - y"', '"x - z"', "heaps: ask.1.answer: 'x - z' uses 'z'; the numbers are x, y, t"),
    "later number": ("= x + y", "= x + t", "heaps: numbers: ' x + t' uses 't'; the numbers are x, y"),
    "no comparison": ('["x > y"]', '["x - y"]', "heaps: where: 'x - y' has no '>'"),
    "unknown number said": ("[x item]", "[z item]", "heaps: bodies: no number 'z'; there is x, y, t"),
    "unknown word": ("{items}", "{thing}", "heaps: ask.1.questions: no word 'thing'; there is item"),
    "unknown noun": ("[x item]", "[x thing]", "heaps: bodies: no word 'thing'; there is item"),
    "unknown person": ("{B}", "{E}", "heaps: bodies: no person 'E'; there is A, B, C, D"),
    "unknown phrase": ("[y]", "[y] <totl>", "heaps: bodies: no phrase 'totl'; there is total, now"),
    "open brace": ("{items}", "{items", "heaps: ask.1.questions: a bracket isn't closed or opened in 'how many"),
    "open choice": ("has [y]", "(has|had [y]", "heaps: bodies: a parenthesis isn't closed in '"),
    "stray bar": ("has [y]", "has|had [y]", "heaps: bodies: '|' stands outside of parentheses in '"),
    "no full stop": ("has [y].", "has [y]", "heaps: bodies: a sentence must end with a full stop: '~{B} has [y]'"),
    "no question mark": ("have?", "have", "heaps: ask.1.questions: a question must end with '?'"),
    "unsaid number": ("~{B} has [y].", "", "heaps: ask.1.questions: 'x - y' needs y, which isn't said in '{A} has"),
    "word given twice": (
        'name = "heaps"', 'name = "heaps"\neach.big = { item = "toy" }', "heaps: each.big: words gives item too",
    ),
    "name given twice": ("\n[[schema]]", HEAPS + "\n[[schema]]", "heaps: name: an earlier schema of this topic has it"),
}  # fmt: skip
ORDER = 'stories = ["ten", "one"]\nbare = ["two"]\n'
ORDERS = {
    "unknown topic": ('["ten", "one"]', '["ten", "six"]', "no schema 'six'; name a topic file or one of its schemas"),
    "unknown schema": ('["ten", "one"]', '["ten", "one/x"]', "no schema 'one/x'; name a topic file or one of its"),
    "left out": ('["ten", "one"]', '["ten"]', "one/heaps has 0 places in the order, not one"),
    "twice": ('["ten", "one"]', '["ten", "one", "ten"]', "ten/heaps has 2 places in the order, not one"),
    "unknown key": ("bare", "more", "bare: missing key"),
    "not TOML": ("bare", "bare bare", "Expected '='"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_topic_is_one_clear_error(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "piles.toml"
    assert HEAPS.count(old) == 1
    path.write_text(HEAPS.replace(old, new), "utf-8")
    with pytest.raises(InputError) as error:
        read_topic(path)
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("old", "new", "message"), ORDERS.values(), ids=ORDERS)
def test_a_mistake_in_the_order_is_one_clear_error(tmp_path: Path, old: str, new: str, message: str) -> None:
    write_folder(tmp_path, ORDER.replace(old, new))
    with pytest.raises(InputError) as error:
        read_topics(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'order.toml'}: {message}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"can't read .*order\.toml: No such file"):
        read_topics(tmp_path)


def write_folder(folder: Path, order: str) -> None:
    for topic in ("one", "two", "ten"):
        second = HEAPS.replace('"heaps"', '"more_heaps"')
        (folder / f"{topic}.toml").write_text(HEAPS + second, "utf-8")
    (folder / "order.toml").write_text(order, "utf-8")


def test_topics_come_in_the_order_of_the_list(tmp_path: Path) -> None:
    write_folder(tmp_path, ORDER)
    topics = read_topics(tmp_path)
    assert [one.name for one in topics.stories] == [
        "ten/heaps",
        "ten/more_heaps",
        "one/heaps",
        "one/more_heaps",
    ]
    assert [one.name for one in topics.bare] == ["two/heaps", "two/more_heaps"]


def test_a_topic_can_be_cut_into_runs(tmp_path: Path) -> None:
    write_folder(tmp_path, 'stories = ["ten", "one", "ten/more_heaps"]\nbare = ["two"]\n')
    names = [one.name for one in read_topics(tmp_path).stories]
    assert names == ["ten/heaps", "one/heaps", "one/more_heaps", "ten/more_heaps"]


def test_each_gives_a_schema_of_every_line(tmp_path: Path) -> None:
    path = tmp_path / "piles.toml"
    lines = 'each.garden = { item = "flower" }\neach.desk = { item = "school" }\nwords = { v = "get" }'
    path.write_text(HEAPS.replace('words = { item = "toy" }', lines), "utf-8")
    assert [(one.name, one.words) for one in read_topic(path)] == [
        ("piles/heaps/garden", {"item": "flower", "v": "get"}),
        ("piles/heaps/desk", {"item": "school", "v": "get"}),
    ]


def test_the_example_of_the_docs_tells_problems(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "wordproblems.md").read_text("utf-8")
    path = tmp_path / "rates.toml"
    path.write_text(page.split("```toml\n")[1].split("```")[0], "utf-8")
    (lemonade,) = read_topic(path)
    told = [lemonade.problem(Random(seed)) for seed in range(50)]
    assert {len(problem.steps) for problem in told} == {1, 2}
    assert all(problem.numbers == numbers_in(problem.question) for problem in told)


def test_both_sides_of_the_split_are_all_stories() -> None:
    sides = {one.name for side in (False, True) for one in stories(held_out=side)}
    assert sides == {one.name for one in stories()}
    assert not sides & {one.name for one in bare()}
