"""Seeds: what is read of public forms, what is kept out, and stable ids."""

import json
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.commands.augmenting import seeds
from finetune.data.augment.own import own_questions
from finetune.data.jobs import read_manifest
from finetune.data.records import Question
from finetune.data.seeds import chosen, gsm8k_questions, held_out, math_questions, same_form
from mumath_agent.errors import InputError
from mumath_agent.runs.jsonl import load_records

BEADS = {
    "question": "Nora has 1,200 beads and buys 3 more. How many has she?",
    "answer": "1200+3=<<1200+3=1203>>1203\n#### 1,203",
}
ROOT = {
    "problem": "What is $\\sqrt{49}$?",
    "level": "Level 2",
    "type": "Algebra",
    "solution": "It is $\\boxed{7}$.",
}
SUM = {"problem": "What is $1 + 1$?", "level": 1, "subject": "Algebra", "solution": "It is $\\boxed{2}$."}


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_gsm8k_keeps_marks_and_cleans_the_number(tmp_path: Path) -> None:
    (question,) = gsm8k_questions(jsonl(tmp_path / "train.jsonl", BEADS))
    assert (question.problem.target, question.rationale) == ("1203", BEADS["answer"])
    assert (question.problem.source, question.problem.question) == ("gsm8k", BEADS["question"])


def test_math_keeps_level_and_type(tmp_path: Path) -> None:
    root, total = math_questions(jsonl(tmp_path / "math.jsonl", ROOT, SUM))
    assert (root.problem.target, root.problem.tags) == ("7", ("level:2", "type:Algebra"))
    assert (total.problem.target, total.problem.tags) == ("2", ("level:1", "type:Algebra"))


def test_an_id_does_not_depend_on_the_place(tmp_path: Path) -> None:
    first = [question.problem.id for question in math_questions(jsonl(tmp_path / "a.jsonl", ROOT, SUM))]
    second = [question.problem.id for question in math_questions(jsonl(tmp_path / "b.jsonl", SUM, ROOT))]
    assert first == second[::-1] and len(set(first)) == 2


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("What is $1 + 1$?", "What  is\n$1+1$? ", True),
        (r"$a\,b\ c\quad d$", "$abcd$", True),
        (r"$a\!b~c\;d$", "$abcd$", True),
        (r"a \\ b", r"a\\b", True),
        (r"a \\ b", "a b", False),
        (r"\quadratic x", "x", False),
        ("What is $1 + 1$?", "What is $1 - 1$?", False),
        ("Is A so?", "Is a so?", False),
    ],
)
def test_same_form_sees_everything_but_space(one: str, other: str, same: bool) -> None:
    assert (same_form(one) == same_form(other)) is same


@given(st.text())
def test_same_form_has_no_space(text: str) -> None:
    assert not any(character.isspace() for character in same_form(text))


@given(st.text(st.characters(exclude_characters="\\")))
def test_spaces_between_characters_change_no_form(text: str) -> None:
    """Without backslashes: one before a space makes it LaTeX's, whatever it stood before."""
    assert same_form(" ".join(text)) == same_form(text)


def test_held_out_and_double_questions_are_left_out_and_counted(tmp_path: Path) -> None:
    spaced = {"problem": "What is $\\sqrt{49}$ ?\n", "answer": "7"}
    excluded = held_out([jsonl(tmp_path / "math500.jsonl", spaced)])
    rows = math_questions(jsonl(tmp_path / "math.jsonl", ROOT, SUM, SUM))
    made = chosen(rows, excluded, None)
    assert [question.problem.question for question in made.rows] == [SUM["problem"]]
    assert made.counts == {"math": 1, "math held out": 1, "math double": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not valid JSON"),
        ("[]", "line 2: a JSON object is expected"),
        ('{"question": "a", "answer": "5"}', "line 2: the answer has no rationale"),
        ('{"question": "", "answer": "1\\n#### 5"}', "line 2: no text under question"),
        ('{"question": 3, "answer": "1\\n#### 5"}', "line 2: no text under question"),
    ],
)
def test_a_row_that_is_none_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(f"{json.dumps(BEADS)}\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=message):
        list(gsm8k_questions(path))


def test_a_solution_without_a_box_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \\boxed answer"):
        list(math_questions(jsonl(tmp_path / "math.jsonl", ROOT | {"solution": "Seven."})))


def test_a_line_to_hold_out_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        held_out([jsonl(tmp_path / "test.jsonl", {"text": "What?"})])


def test_own_questions_are_the_same_for_a_seed() -> None:
    def first(seed: int) -> list[Question]:
        return list(islice(own_questions(seed), 20))

    assert first(1) == first(1) != first(2)
    assert len({question.problem.id for question in first(1)}) == 20


def test_the_command_writes_all_sources_in_order_and_again_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "seeds.jsonl"
    gsm8k, math = jsonl(tmp_path / "train.jsonl", BEADS), jsonl(tmp_path / "math.jsonl", ROOT, SUM)
    not_in = [jsonl(tmp_path / "math500.jsonl", ROOT)]

    def run(dry_run: bool = False) -> str:
        seeds(out=out, gsm8k=gsm8k, math=math, own=3, not_in=not_in, dry_run=dry_run)
        return capsys.readouterr().out

    assert "1 math" in run(dry_run=True) and not out.exists()
    assert "1 math held out" in run()
    once = out.read_bytes()
    assert "1 math held out" in run() and out.read_bytes() == once
    sources = [question.problem.source for question in load_records(out, Question)]
    assert sources == ["gsm8k", "math", "own", "own", "own"]
    assert len(read_manifest(out).identity.inputs) == 3


def test_the_command_needs_a_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no source"):
        seeds(out=tmp_path / "seeds.jsonl")
