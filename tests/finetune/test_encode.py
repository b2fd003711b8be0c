"""The loss mask: exactly what the model must write is trained, told by the decoded text of the trained tokens."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from finetune.encode import UNTRAINED, Row, encode, read_rows, trained_texts, whole_text
from mumath_agent.dialects import get_dialect
from mumath_agent.errors import InputError

pytestmark = pytest.mark.train

END = "<|end|>"
FENCED = get_dialect("fenced")
ASKED = "Add.\n```python\nprint(1)\n```\n```output\n"
TAIL = "The answer is $\\boxed{1}$."

TRAINED = {
    "no code": ("2 + 2 = 4\n", "2 + 2 = 4\n"),
    "one turn": (f"{ASKED}1\n```\n{TAIL}", f"{ASKED}{TAIL}"),
    "two turns": (f"{ASKED}1\n```\nAgain.\n{ASKED}2\n```\n{TAIL}", f"{ASKED}Again.\n{ASKED}{TAIL}"),
    "blank line before the header": (
        f"```python\nprint(1)\n```\n\n```output\n1\n```\n{TAIL}",
        f"```python\nprint(1)\n```\n\n```output\n{TAIL}",
    ),
    "output that ends the text": (f"{ASKED}1\n```\n", ASKED),
    "output without its closing fence": (f"{ASKED}1\n", ASKED),
    "output with a line that looks like a fence": (f"{ASKED} ```\n ```python\n```\n{TAIL}", f"{ASKED}{TAIL}"),
    "output with a box": (f"{ASKED}\\boxed{{7}}\n```\n{TAIL}", f"{ASKED}{TAIL}"),
    "output of many lines": (f"{ASKED}1\n\n2\n  3\n```\n{TAIL}", f"{ASKED}{TAIL}"),
    "output in other scripts": (f"{ASKED}é分½e\u0301\n```\n{TAIL}", f"{ASKED}{TAIL}"),
    "empty output": (f"{ASKED}```\n{TAIL}", f"{ASKED}{TAIL}"),
    "carriage returns": (
        f"Add.\r\n```python\r\nprint(1)\r\n```\r\n```output\r\n1\r\n```\r\n{TAIL}",
        f"Add.\r\n```python\r\nprint(1)\r\n```\r\n```output\r\n{TAIL}",
    ),
    "an output the model made up": (f"Add.\n```output\n1\n```\n{TAIL}", f"Add.\n{TAIL}"),
    "code that is not run": ("```python\nprint(1)\n```\nDone.", "```python\nprint(1)\n```\nDone."),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("solution", "trained"), TRAINED.values(), ids=TRAINED)
def test_trained_text(tokenizer: PreTrainedTokenizerFast, solution: str, trained: str) -> None:
    rows, dropped = encode([Row(question="One?", solution=solution)], tokenizer, FENCED, max_tokens=999)
    assert trained_texts(rows, tokenizer) == [trained + END]
    assert dropped == 0


@pytest.mark.parametrize(
    "question", ["One?", "", "```output\n1\n```", "é分\r\n", "<|assistant|>\nx", "a\n\n"]
)
def test_the_prompt_is_never_trained(tokenizer: PreTrainedTokenizerFast, question: str) -> None:
    (row,), _ = encode([Row(question=question, solution="x")], tokenizer, FENCED, max_tokens=999)
    assert (row.labels[: row.prompt_tokens] == UNTRAINED).all()
    assert (row.labels[row.prompt_tokens :] != UNTRAINED).all()
    assert tokenizer.decode(row.ids[: row.prompt_tokens].tolist()) == f"<|user|>\n{question}\n<|assistant|>\n"


@settings(deadline=None)
@given(
    solution=st.lists(
        st.sampled_from(
            ["```python\n", "```\n", "```output\n", "1\n", "é", "\n", " ", "x = 1\n", "\\boxed{1}"]
        )
    ).map("".join)
)
def test_ids_are_those_of_the_whole_text_and_trained_is_what_spans_say(
    tokenizer: PreTrainedTokenizerFast, solution: str
) -> None:
    row = Row(question="One?", solution=solution)
    (encoded,), _ = encode([row], tokenizer, FENCED, max_tokens=999)
    assert tokenizer.decode(encoded.ids.tolist()) == whole_text(row, tokenizer, FENCED)
    kept = [segment.text for segment in FENCED.parse(solution) if segment.kind != "output"]
    assert trained_texts([encoded], tokenizer) == ["".join(kept) + END]


def test_long_rows_are_dropped_whole_and_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [Row(question="One?", solution=solution) for solution in ("1", "1 " * 100, "2")]
    encoded, dropped = encode(rows, tokenizer, FENCED, max_tokens=40)
    assert (trained_texts(encoded, tokenizer), dropped) == ([f"1{END}", f"2{END}"], 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", ":1: no JSON object"),
        ('{"question": "a", "solution": "b"}\n[]', ":2: no JSON object"),
        ('{"question": "a"}', ":1: no JSON object"),
        ('{"question": "a", "solution": 3}', "must be strings"),
    ],
)
def test_rows_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_rows(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_rows(tmp_path / "rows.jsonl")
