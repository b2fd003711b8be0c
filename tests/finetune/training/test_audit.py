"""The audit counts what a mask does to a file, and shows it."""

import json
from copy import deepcopy
from pathlib import Path

import pytest

pytest.importorskip("torch")

from transformers import PreTrainedTokenizerFast

from finetune.training.audit import Audit, audit, marked
from finetune.training.encode import Row, encode, read_rows
from mumath_agent.dialects import Fenced
from tests.programs import call

pytestmark = pytest.mark.train

FENCED = Fenced()
ASKED = "Add.\n```python\nprint(1)\n```\n```output\n"
GOOD = Row(question="q", solution=f"{ASKED}1\n```\nIt is $\\boxed{{1}}$.")


def look(rows: list[Row], tokenizer: PreTrainedTokenizerFast, *, max_tokens: int = 200) -> Audit:
    return audit(rows, tokenizer, FENCED, max_tokens=max_tokens)


def test_a_good_file_has_no_warnings(corpus: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    rows = read_rows(corpus / "stage2.jsonl")
    found = look(rows, tokenizer)
    assert found.warnings == ()
    assert (found.rows, found.requests, found.untrained_requests) == (300, 300, 0)
    assert sum(count for _, count in found.histogram) == 300
    assert 0 < found.masked_share < 1


def test_tokens_are_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    (encoded,), _ = encode([GOOD], tokenizer, FENCED, max_tokens=999)
    found = look([GOOD], tokenizer)
    assert found.tokens == len(encoded.ids)
    assert found.trained_tokens == int((encoded.labels >= 0).sum())
    assert found.longest == ((len(encoded.ids), 1),)


def test_long_rows_are_counted_and_named(tokenizer: PreTrainedTokenizerFast) -> None:
    found = look([GOOD, Row(question="q", solution="7 " * 300), GOOD], tokenizer)
    assert found.too_long == 1
    assert found.longest[0][1] == 2
    assert found.histogram[-1][1] == 1
    assert any("too long" in warning for warning in found.warnings)


def test_a_merged_prefix_is_counted(llama3_like: PreTrainedTokenizerFast) -> None:
    found = look([GOOD, Row(question="q", solution="\nx")], llama3_like)
    assert found.broken_prefixes == 1
    assert any("served" in warning for warning in found.warnings)


def test_a_stop_that_merges_with_the_output_is_not_learned(llama3_like: PreTrainedTokenizerFast) -> None:
    """An output that begins with a newline joins the header's newline here; the stop string itself stays whole."""
    found = look([Row(question="q", solution=f"{ASKED}\n1\n```\nx")], llama3_like)
    assert (found.requests, found.untrained_requests) == (1, 0)


def test_an_end_that_is_not_the_tokenizers_is_told(corpus: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """A tokenizer whose end token isn't one token: nothing would teach a model to stop."""
    broken = deepcopy(tokenizer)
    broken._special_tokens_map["eos_token"] = "[never learned]"
    found = look([GOOD], broken)
    assert found.rows_with_untrained_end == 1
    assert any("end token" in warning for warning in found.warnings)


def test_marked_text_is_whole_and_shows_what_is_trained(tokenizer: PreTrainedTokenizerFast) -> None:
    (encoded,), _ = encode([GOOD], tokenizer, FENCED, max_tokens=999)
    text = marked(GOOD, encoded, tokenizer, FENCED)
    assert text.plain == (f"<|user|>\nq\n<|assistant|>\n⟦{ASKED}⟧1\n```\n⟦It is $\\boxed{{1}}$.<|end|>⟧")
    assert {str(span.style) for span in text.spans} == {"dim", "green"}


def test_the_command_shows_examples_counts_and_warnings(
    corpus: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    tokenizer.save_pretrained(corpus)
    command = ("finetune", "audit", corpus / "stage2.jsonl", "--tokenizer", corpus)
    done = call(*command, "--examples", 1, "--max-tokens", 64)
    assert done.code == 0, done.stderr
    assert done.stdout.count("⟦Add.") == 1
    assert "300 rows" in done.stdout
    assert "rows are too long" in done.stderr
    assert json.loads(call(*command, "--json").stdout)["rows"] == 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.jsonl", "--tokenizer", "{corpus}"), "No such file"),
        (("{corpus}/few.jsonl", "--tokenizer", "{corpus}", "--dialect", "latin"), "unknown dialect 'latin'"),
        (("{corpus}/few.jsonl", "--tokenizer", "/"), "no tokenizer.json in /"),
    ],
)
def test_what_cannot_be_audited(
    corpus: Path, tokenizer: PreTrainedTokenizerFast, arguments: tuple[str, ...], message: str
) -> None:
    tokenizer.save_pretrained(corpus)
    done = call("finetune", "audit", *(argument.format(corpus=corpus) for argument in arguments))
    assert done.code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
