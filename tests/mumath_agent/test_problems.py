"""Files of problems: what is read, what is refused, and that a bad line costs nothing but itself."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent.errors import InputError
from mumath_agent.problems import (
    decode,
    load_problems,
    parse_problems,
    read_text,
    split_gsm8k_answer,
)
from mumath_agent.records import Problem


def test_text_has_one_problem_a_line_and_blank_lines_are_none() -> None:
    problems = list(parse_problems("What is 1 + 1?\n\n  What is 2 + 2?  \n", "p.txt"))
    assert problems == [
        Problem(id="line-1", question="What is 1 + 1?", source="p.txt"),
        Problem(id="line-3", question="What is 2 + 2?", source="p.txt"),
    ]


@pytest.mark.parametrize(
    ("line", "problem_id", "question", "target"),
    [
        ('{"question": "q", "answer": "3"}', "line-1", "q", "3"),
        ('{"problem": "q", "id": 7}', "7", "q", None),
        ('{"idx": 0, "input": " q ", "target": 0}', "0", "q", "0"),
        ('{"Question": "q", "unknown": [1]}', "line-1", "q", None),
        (r'{"question": "q", "solution": "Not \\boxed{3} but \\boxed{4}."}', "line-1", "q", "4"),
        (r'{"question": "q", "solution": "\\boxed{3}", "answer": "5"}', "line-1", "q", "5"),
        ('{"question": "q", "solution": "no box"}', "line-1", "q", None),
    ],
)
def test_jsonl_takes_the_names_the_public_sets_use(
    line: str, problem_id: str, question: str, target: str | None
) -> None:
    (problem,) = parse_problems(line, "p.jsonl")
    assert problem == Problem(id=problem_id, question=question, target=target, source="p.jsonl")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "q"', "p.jsonl line 2: not valid JSON"),
        ("[1]", "p.jsonl line 2: expected a JSON object, not list"),
        ('{"text": "q"}', "p.jsonl line 2: no question"),
        ('{"question": 3}', "p.jsonl line 2: no question"),
        ("[" * 100_000, "p.jsonl line 2: not valid JSON"),
    ],
)
def test_a_broken_line_is_named_and_the_rest_is_kept(line: str, message: str) -> None:
    first, broken, last = parse_problems(f'{{"question": "a"}}\n{line}\n{{"question": "b"}}\n', "p.jsonl")
    assert isinstance(first, Problem) and isinstance(last, Problem)
    assert isinstance(broken, InputError) and str(broken).startswith(message)
    assert "\n" not in str(broken)


def test_a_row_may_say_its_source() -> None:
    (problem,) = parse_problems('{"question": "q", "source": "own"}', "p.jsonl")
    assert isinstance(problem, Problem) and problem.source == "own"


def test_a_file_that_has_to_be_whole_has_no_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"question": "a"}\n{"question": "b"}\n{}\n')
    assert [problem.question for problem in load_problems(path, limit=2)] == ["a", "b"]
    with pytest.raises(InputError, match="line 3: no question"):
        load_problems(path)
    path.write_text("\n")
    with pytest.raises(InputError, match="holds no problem"):
        load_problems(path)


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        ("1+1=2\n#### 2", ("1+1=2\n", "2")),
        ("a #### b\n#### 1,000 ", ("a #### b\n", "1,000")),
        ("18", ("", "18")),
    ],
)
def test_an_answer_of_gsm8k_is_a_rationale_and_a_number(answer: str, parts: tuple[str, str]) -> None:
    assert split_gsm8k_answer(answer) == parts


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    for name in ("p.txt", "p.jsonl"):
        for item in parse_problems(text, name):
            assert isinstance(item, Problem | InputError)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x89PNG\r\n", "isn't UTF-8 text (byte 0 is 0x89)"),
        (b"a\0b", "isn't text (it contains a zero byte)"),
    ],
)
def test_a_binary_file_is_refused_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        decode(data, "f")
    assert message in str(caught.value)


def test_a_missing_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"can't read .*No such file"):
        read_text(tmp_path / "none.txt")
