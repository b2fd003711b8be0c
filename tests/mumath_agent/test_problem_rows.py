"""Every form that a file of problems may have gives the same problems, and what can't be read is named by its place."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent.errors import InputError
from mumath_agent.problems import parse_problems, read_problems, usable_problems
from mumath_agent.records import Problem

ROWS = [
    {"id": "a", "question": "Tom has 3 apples, buys 4. How many?", "answer": "7"},
    {"id": "b", "question": 'What is "2" + 2?', "answer": "4"},
]
PROBLEMS = [
    (Problem(id=row["id"], question=row["question"], target=row["answer"]).question, row["id"], row["answer"])
    for row in ROWS
]
LINES = "\n".join(json.dumps(row) for row in ROWS)
_CSV = 'id,question,answer\na,"Tom has 3 apples, buys 4. How many?",7\nb,"What is ""2"" + 2?",4\n'


def read(text: str, name: str) -> list[tuple[str, str, str | None] | str]:
    items = parse_problems(text, name)
    return [str(x) if isinstance(x, InputError) else (x.question, x.id, x.target) for x in items]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (LINES, ("p.jsonl", "p.JSONL", "p.json", "p.ndjson", "p.txt", "stdin")),
        (LINES.replace("\n", "\r\n\r\n"), ("p.jsonl", "stdin")),
        (json.dumps(ROWS), ("p.json", "p.jsonl", "p.txt", "stdin")),
        (json.dumps(ROWS, indent=2), ("p.json", "p.jsonl", "p.txt", "stdin")),
        ("\n".join(json.dumps(row, indent=2) for row in ROWS), ("p.json", "p.jsonl", "stdin")),
        (_CSV, ("p.csv", "p.CSV", "p.txt", "stdin")),
        (_CSV.replace("\n", "\r\n"), ("p.csv", "stdin")),
        (f"\n{_CSV}\n,,\n", ("p.csv",)),
        (_CSV.replace("id,question,answer", "ID, Problem ,Target"), ("p.csv", "stdin")),
        (_CSV.replace("id,question,answer", "idx;input;answer").replace(",7", ";7").replace(",4\n", ";4\n")
         .replace("a,", "a;").replace("b,", "b;"), ("p.csv", "stdin")),
        (
            "answer\tid\tquestion\n7\ta\tTom has 3 apples, buys 4. How many?\n4\tb\t\"What is \"\"2\"\" + 2?\"\n",
            ("p.tsv", "p.txt", "stdin"),
        ),
    ],
)  # fmt: skip
def test_all_forms_give_the_same_problems(text: str, names: tuple[str, ...]) -> None:
    for name in names:
        assert read(text, name) == PROBLEMS, name


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("p.json", '["What is 1 + 1?", "q"]', [("What is 1 + 1?", "item-1", None), ("q", "item-2", None)]),
        ("p.json", '{\n "question": "q"\n}', [("q", "item-1", None)]),
        ("p.csv", "question\nWhat is f(1, 2)?\n", [("What is f(1, 2)?", "line-2", None)]),
        ("p.csv", 'question\n"a\nb"\nc\n', [("a\nb", "line-2", None), ("c", "line-4", None)]),
        ("p.csv", "question,answer\nq\n", [("q", "line-2", None)]),
        ("p.csv", "", []),
        ("p.txt", "question, answer it: 2 + 2?", [("question, answer it: 2 + 2?", "line-1", None)]),
        ("p.txt", "two\twords", [("two\twords", "line-1", None)]),
        ("p.txt", "[0, 1] is how long?", [("[0, 1] is how long?", "line-1", None)]),
        ("p.txt", "{1, 2} has how many subsets?", [("{1, 2} has how many subsets?", "line-1", None)]),
        ("p.jsonl", r'{"question": "q", "answer": "1+1=2\n#### 2"}', [("q", "line-1", "2")]),
        ("p.jsonl", '{"question": "q", "answer": ["7"]}', [("q", "line-1", "7")]),
        ("p.jsonl", '{"question": "q", "target": [7]}', [("q", "line-1", "7")]),
        ("p.jsonl", '{"question": "q", "answer": [null]}', [("q", "line-1", None)]),
    ],
)
def test_what_is_meant_is_read(name: str, text: str, expected: list[tuple[str, str, str | None]]) -> None:
    assert read(text, name) == expected


@pytest.mark.parametrize(
    ("name", "text", "messages"),
    [
        ("p.json", '[\n {"question": "a"},\n {"question": \n]', ["p.json: not valid JSON (Expecting value"]),
        ("p.json", '{\n "question": "a",\n', ["p.json: not valid JSON ("]),
        ("p.json", "[" * 100_000, ["p.json: not valid JSON ("]),
        ("p.json", '[{"question": "a"}, 3]', ["", "p.json item 2: expected a JSON object, not int"]),
        (
            "p.jsonl",
            '{"question": "q", "answer": [1, 2]}',
            ["p.jsonl line 1: the answer is [1, 2]; write it as"],
        ),
        ("p.jsonl", '{"question": "q", "target": []}', ["p.jsonl line 1: the answer is []; write it as"]),
        (
            "p.jsonl",
            '{"question": "q", "answer": [[1, 2]]}',
            ["p.jsonl line 1: the answer is [1, 2]; write it as"],
        ),
        (
            "p.json",
            '[{"question": "q", "answer": {"x": 1}}]',
            ["p.json item 1: the answer is {'x': 1}; write it as"],
        ),
        ("p.csv", "a,b\n1,2\n", ["p.csv line 1: the header of a table must name one column question or"]),
        (
            "p.tsv",
            "What is 1 + 1?\n",
            ["p.tsv line 1: the header of a table must name one column question or"],
        ),
        (
            "p.csv",
            "question,answer\nTom has 3, buys 4?,7\nq,1\n",
            ["p.csv line 2: 3 cells under 2 columns", ""],
        ),
        ("p.csv", "question,answer\n,7\nq,1\n", ["p.csv line 2: no question", ""]),
        ("p.csv", 'question,answer\n"a"b,7\nq,1\n', ["p.csv line 2: not a valid row", ""]),
        ("p.csv", 'question,answer\n"a,7\nq,1\n', ["p.csv line 2: not a valid row"]),
    ],
)
def test_what_cannot_be_read_is_named_by_its_place(name: str, text: str, messages: list[str]) -> None:
    items = list(parse_problems(text, name))
    assert [isinstance(item, InputError) for item in items] == [bool(message) for message in messages]
    for item, message in zip(items, messages, strict=True):
        if isinstance(item, InputError):
            assert str(item).startswith(message) and "\n" not in str(item)


def test_an_empty_question_is_named_as_any_other_error() -> None:
    _, empty = usable_problems('{"question": "q"}\n{"id": "x", "question": " "}\n', "p.jsonl")
    assert str(empty) == "p.jsonl line 2: the question is empty"


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ('{"id": "a", "question": "q"}\n\n{"id": "a", "question": "r"}', "line 1 and line 3"),
        ('{"id": 1, "question": "q"}\n{"id": "1", "question": "q"}', "line 1 and line 2"),
        ('{"id": "line-2", "question": "q"}\n{"question": "q"}', "line 1 and line 2"),
        ('[{"id": "a", "question": "q"}, {"id": "a", "question": "q"}]', "item 1 and item 2"),
        ("id,question\na,q\na,r\n", "line 2 and line 3"),
    ],
)
def test_two_problems_of_one_id_are_refused(text: str, places: str) -> None:
    with pytest.raises(InputError, match=f"^p.jsonl: {places} have the same id|^stdin: {places} have"):
        usable_problems(text, "stdin" if text.startswith("id,") else "p.jsonl")


def test_the_same_question_twice_without_ids_is_two_problems() -> None:
    first, second = usable_problems("What is 1 + 1?\nWhat is 1 + 1?\n", "p.txt")
    assert isinstance(first, Problem) and isinstance(second, Problem) and first.id != second.id


@pytest.mark.parametrize("suffix", ["parquet", "xlsx", "feather"])
def test_a_table_that_is_not_text_says_how_to_convert_it(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"p.{suffix}"
    with pytest.raises(InputError, match=r"can't read .*No such file"):
        read_problems(file)
    file.write_bytes(b"PAR1\x15\x04\x00")
    with pytest.raises(InputError, match=r"isn't text; convert it to JSONL, .*pandas\.read_\w+\('p\."):
        read_problems(file)


@given(st.text(alphabet=st.sampled_from('question,answer\n"\t;{}[]: 1a')))
def test_no_text_breaks_a_reader(text: str) -> None:
    for name in ("p.csv", "p.tsv", "p.json", "stdin"):
        for item in parse_problems(f"question,answer\n{text}", name):
            assert isinstance(item, Problem | InputError) and "\n" not in getattr(item, "args", ("",))[0]


def test_in_a_table_of_ours_the_models_answer_is_no_target() -> None:
    text = "id,question,answer,target\na,What is 1 + 1?,2,2\nb,What is 3 + 4?,12,\n"
    problems = [p for p in parse_problems(text, "t.csv") if isinstance(p, Problem)]
    assert [problem.target for problem in problems] == ["2", None]
