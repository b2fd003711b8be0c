"""Ids keep every byte, and the ids of each turn's prompt begin the ids of the text it is trained on."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from finetune.training.encode import Row, whole_text
from finetune.training.tokenizer import MARKS, load_tokenizer
from mumath_agent.dialects import Fenced
from mumath_agent.errors import InputError
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason
from mumath_agent.transcript import Transcript

pytestmark = pytest.mark.train

_PIECES = st.sampled_from(
    [*MARKS, "\n", "\r\n", " ", "  ", "\t", "7", "12.50", "½", "é", "分", "e\u0301", "``", "`", "<|", "a"]
)
ANY_TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.lists(_PIECES, max_size=15).map("".join),
)


def ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    found: list[int] = tokenizer(text)["input_ids"]
    return found


@settings(deadline=None)
@given(text=ANY_TEXT)
@example(text="")
@example(text="a <|end|> in a text")
@example(text=" ,  . 's")
def test_decoding_is_lossless(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(ids(tokenizer, text)) == text


@settings(deadline=None)
@given(question=ANY_TEXT, plan=ANY_TEXT, output=ANY_TEXT, tail=ANY_TEXT)
@example(question="q", plan="Add.", output="\n\n", tail="\n")
@example(question="q\n", plan="```", output="```", tail="```python")
def test_every_prompt_is_a_prefix_in_ids(
    tokenizer: PreTrainedTokenizerFast, question: str, plan: str, output: str, tail: str
) -> None:
    dialect = Fenced()
    first = Transcript(question=question)
    completion = Completion(
        text=f"{plan}\n```python\nprint(1)\n```\n",
        finish_reason=FinishReason.STOP,
        prompt_tokens=0,
        completion_tokens=0,
    )
    asked = dialect.with_completion(first, completion)
    second = dialect.with_output(asked, Execution(status=ExecutionStatus.OK, stdout=output), max_chars=200)
    whole = ids(
        tokenizer, whole_text(Row(question=question, solution=second.text + tail), tokenizer, dialect)
    )
    for transcript in (first, asked, second):
        prompt = ids(tokenizer, dialect.prompt(transcript))
        assert whole[: len(prompt)] == prompt


@settings(deadline=None)
@given(text=ANY_TEXT)
def test_no_token_is_added(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert ids(tokenizer, text) == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_digits_and_newlines_stand_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    pieces = [str(tokenizer.decode([token])) for token in ids(tokenizer, "1 234\n\n\n```python\nn0 = 56")]
    assert [p for p in pieces if p.strip(" ")] == [
        *"1234",
        *"\n\n\n",
        "```python",
        "\n",
        "n0",
        " =",
        "5",
        "6",
    ]


def test_every_mark_is_one_token(tokenizer: PreTrainedTokenizerFast) -> None:
    for mark in (*MARKS, tokenizer.eos_token, tokenizer.pad_token):
        assert len(ids(tokenizer, mark)) == 1


def test_a_saved_tokenizer_comes_back(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    text = "Tom has 12 apples.\n```python\nprint(1)\n```\n```output\n"
    for again in (load_tokenizer(tmp_path), AutoTokenizer.from_pretrained(tmp_path)):
        assert isinstance(again, PreTrainedTokenizerFast)
        assert ids(again, text) == ids(tokenizer, text)
        assert (again.eos_token, again.pad_token, again.bos_token) == ("<|end|>", "<|pad|>", None)


def test_a_folder_without_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        load_tokenizer(tmp_path)
