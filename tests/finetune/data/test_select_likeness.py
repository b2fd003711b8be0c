"""Near-duplicates and contamination: estimates against the truth, and what must never slip through."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from finetune.data.records import SolutionFormat
from finetune.data.select.attempts import Attempt
from finetune.data.select.contamination import Index, Likeness
from finetune.data.select.duplicates import estimate, near_duplicates, shingles, sketch
from finetune.data.select.overlap import overlap
from finetune.data.select.questions import NamedQuestion, read_questions
from finetune.data.select.shingles import code_pieces, groups, hashed, jaccard, words_of
from finetune.data.select.variety import surplus
from mumath_agent.errors import InputError

TESTS = (
    "Mira buys 3 boxes of 7 pens and gives 4 pens to Jon. How many pens are left in the end?",
    "A tank loses 12 litres of water every hour. After how many hours are 60 of its 300 litres gone?",
    "Ivo runs twice as far as Lena, who runs 5 km on each school day. How far does Ivo run in a week?",
    "The sides of a rectangle differ by 4 cm and its area is 96 square centimetres. Find the longer side.",
    "What is 7 times 8?",
)
INDEX = Index([NamedQuestion(id=f"own:{n}", text=text) for n, text in enumerate(TESTS)])


def solved(question: str, text: str, name: str = "a") -> Attempt:
    return Attempt(
        id=name, question=question, text=text, format=SolutionFormat.CODE, dialect="fenced", source="test"
    )


@pytest.mark.parametrize("size", [40, 400])
@pytest.mark.parametrize("similarity", [0.2, 0.5, 0.8, 0.95])
def test_the_sketch_estimates_the_true_similarity(similarity: float, size: int) -> None:
    random = np.random.default_rng(size)
    errors = []
    for _ in range(30):
        members = random.integers(0, 2**63, size=2 * size, dtype=np.uint64)
        shared = round(2 * size * similarity / (1 + similarity))
        a, b = np.unique(members[:size]), np.unique(members[size - shared : 2 * size - shared])
        errors.append(estimate(sketch(a), sketch(b)) - jaccard(a, b))
    deviation = (similarity * (1 - similarity) / 120) ** 0.5
    assert abs(np.mean(errors)) < 3 * deviation / 30**0.5
    assert np.std(errors) < 2 * deviation


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_jaccard_is_that_of_sets(a: set[int], b: set[int]) -> None:
    arrays = [np.array(sorted(members), dtype=np.uint64) for members in (a, b)]
    assert jaccard(*arrays) == (len(a & b) / len(a | b) if a | b else 1.0)


def test_a_number_is_one_word() -> None:
    assert words_of("1,234 pens at $5.50, or 3,14?") == ["1234", "pens", "at", "5.50", "or", "3", "14"]


@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 5))
def test_a_group_is_known_by_its_pieces_and_their_order(pieces: list[str], size: int) -> None:
    hashes = groups(hashed(pieces), size)
    taken = min(size, len(pieces))
    runs = [tuple(pieces[start : start + taken]) for start in range(len(pieces) - taken + 1) if taken]
    assert len(hashes) == len(runs)
    assert len(set(hashes.tolist())) == len(set(runs))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a = 3\nprint(a)", "total=3 # pens\n\nprint( total )", True),
        ("print(x.real)", "print(y.real)", True),
        ("print(x.real)", "print(x.imag)", False),
        ("a = 3", "a = 4", False),
        ("for i in y: pass", "while i in y: pass", False),
        ("solve(x)", "simplify(x)", False),
        ("'#' + a", "'#' + b", True),
        ('print("a b")', 'print("a  b")', False),
        ("x = '''unclosed", "y = '''unclosed", True),
    ],
)
def test_programs_are_compared_without_names_and_layout(one: str, other: str, same: bool) -> None:
    assert (list(code_pieces(one)) == list(code_pieces(other))) is same


LINES = st.lists(
    st.sampled_from(["a = 1", "b += a", "print(a)", "a = b * 2", "del a"]), min_size=1, max_size=4
)


@given(st.lists(LINES, min_size=2, max_size=7, unique_by=tuple), st.integers(1, 6))
def test_each_one_chosen_is_farthest_from_those_before(programs: list[list[str]], count: int) -> None:
    attempts = [solved("Which?", f"```python\n{chr(10).join(lines)}\n```\n") for lines in programs]
    gone = surplus(attempts, per_question=count)
    left = sorted(
        range(len(attempts)), key=lambda number: (len(attempts[number].text), attempts[number].text)
    )
    sets = [trigrams(attempt.text) for attempt in attempts]
    chosen = [left.pop(0)]
    while left and len(chosen) < count:
        chosen.append(max(left, key=lambda number: min(distance(sets[number], sets[one]) for one in chosen)))
        left.remove(chosen[-1])
    assert sorted(gone) == sorted(left)


def trigrams(code: str) -> set[tuple[str, ...]]:
    pieces = list(code_pieces(code))
    return {tuple(pieces[start : start + 3]) for start in range(len(pieces) - 2)}


def distance(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> float:
    return 1 - len(a & b) / len(a | b)


PROSE = st.lists(
    st.sampled_from(["pens", "are", "sold", "for", "in", "a", "box", "with", "some", "more", "of", "them"]),
    min_size=9,
)


@settings(deadline=None)
@given(st.lists(PROSE, min_size=2, max_size=6), st.sampled_from([0.6, 0.8, 1.0]))
def test_near_duplicates_are_near_and_what_stays_is_not(texts: list[list[str]], similar: float) -> None:
    attempts = [solved(TESTS[0], " ".join(words), str(number)) for number, words in enumerate(texts)]
    faults = near_duplicates(attempts, similar=similar)
    stay = [attempt for position, attempt in enumerate(attempts) if position not in faults]
    for position, fault in faults.items():
        twin = attempts[int(fault.detail)]
        assert twin in stay and int(fault.detail) < position
        assert jaccard(shingles(twin), shingles(attempts[position])) >= similar
    for number, one in enumerate(stay):
        for other in stay[:number]:
            # Banding may miss a pair just above the threshold, none that is far above it.
            assert jaccard(shingles(one), shingles(other)) < min(1.0, similar + 0.15)


def test_another_question_or_number_makes_no_duplicate() -> None:
    code = "```python\nprint({} * 7)\n```\n```output\n21\n```\nThe answer is $\\boxed{{21}}$."
    attempts = [solved(TESTS[0], code.format(3)), solved(TESTS[1], code.format(3))]
    attempts.append(solved(TESTS[0].replace("3", "9").replace("7", "8"), code.format(9)))
    assert near_duplicates(attempts, similar=0.8) == {}


def caught(question: str) -> set[str]:
    (hits,) = INDEX.hits([question])
    return {INDEX.questions[hit.position].id for hit in hits}


names = st.sampled_from(["Olga", "Hassan", "Ximena", "Bo", "Zoë"])
numbers = st.integers(2, 99_999)


@given(st.integers(0, 3), numbers, names, names, st.booleans())
@example(0, 1000, "Bo", "Bo", True)
def test_a_planted_test_question_is_caught_also_with_other_numbers_and_names(
    which: int, number: int, first: str, second: str, with_comma: bool
) -> None:
    text = TESTS[which]
    for old in ("300", "12", "96", "60", "3", "5", "7"):
        text = text.replace(old, f"{number:,}" if with_comma else str(number))
    text = text.replace("Mira", first).replace("Ivo", first).replace("Jon", second).replace("Lena", second)
    assert f"own:{which}" in caught(text)


@given(st.integers(0, 4))
def test_case_and_marks_hide_nothing(which: int) -> None:
    changed = TESTS[which].upper().replace(".", " !").replace(" ", "  ")
    assert f"own:{which}" in caught(changed)


@given(st.integers(0, 3), st.sampled_from(["Read this first. ", "It was a cold morning; all slept. "]))
def test_a_test_question_inside_a_longer_one_is_caught(which: int, before: str) -> None:
    (hits,) = INDEX.hits([before + TESTS[which] + " Explain every step of your solution to a younger child."])
    assert {hit.likeness for hit in hits if hit.position == which} >= {Likeness.NGRAM, Likeness.MASKED}


@pytest.mark.parametrize(
    "question",
    [
        "What is 7 times 9?",
        "Tom has 5 kites and loses 2 of them. How many kites are left in the end?",
        "How many hours are there in 5 days?",
        "Sam finds 5 pens under a desk. How many pens are left in the end?",
        "",
    ],
)
def test_phrases_of_the_trade_are_no_contamination(question: str) -> None:
    assert caught(question) == set()


WORDS = sorted({word.lower() for word in words_of(TESTS[0])} | {"tank", "a", "hour"})


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=25))
@example([word for word in WORDS if word not in ("7", "4", "tank", "hour", "to", "a", "jon", "mira", "the")])
def test_similarity_is_that_of_word_sets(words: list[str]) -> None:
    (hits,) = INDEX.hits([" ".join(words)])
    found = {hit.position: hit.score for hit in hits if hit.likeness is Likeness.SIMILAR}
    lower = {word for text in TESTS for word in words_of(text) if word.islower()}
    asked = {word for word in words if not word.isdigit()}
    for position, text in enumerate(TESTS[:4]):
        bag = {word.lower() for word in words_of(text)} & lower  # the others are numbers, or taken for names
        true = len(bag & asked) / len(bag | asked)
        assert found.get(position, 0.0) == pytest.approx(true if true >= 0.8 else 0.0)


def test_the_verdict_on_a_question_does_not_depend_on_the_others() -> None:
    asked = [TESTS[0].replace("pens", "pencils"), TESTS[2], "Something else."] * 200
    together = INDEX.hits(asked)
    assert together == [INDEX.hits([question])[0] for question in asked[:3]] * 200


def test_both_columns_of_a_question_are_read(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text('{"Body": "A tale.", "Question": "What?"}\n\n{"input": "Why?"}\n', encoding="utf-8")
    keyed = tmp_path / "keyed.json"
    keyed.write_text('{"16": {"question": "Who?"}}', encoding="utf-8")
    name = tmp_path.name
    assert [(each.id, each.text) for each in (*read_questions(path), *read_questions(keyed))] == [
        (f"{name}/test:1", "A tale. What?"),
        (f"{name}/test:3", "Why?"),
        (f"{name}/keyed:16", "Who?"),
    ]


@pytest.mark.parametrize("text", ["", "{", '{"answer": "17"}', "[1]"])
def test_a_file_without_questions_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"test\.jsonl"):
        read_questions(path)


@pytest.mark.data
def test_every_question_of_a_benchmark_is_found_in_itself() -> None:
    data = Path(os.environ.get("MUMATH_DATA", Path(__file__).parents[4] / "shared" / "data"))
    files = [data / "svamp" / "test.jsonl", data / "mawps" / "singleop.jsonl"]
    if not all(path.is_file() for path in files):
        pytest.skip(f"no benchmark files in {data}; name their folder in MUMATH_DATA")
    for path in files:
        texts = [question.text for question in read_questions(path)]
        (found,) = overlap(texts, [path])
        assert found.touched == found.questions == len(texts)
        assert found.corpus == len(texts)
