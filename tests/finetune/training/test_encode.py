"""The loss mask: what the model must write is trained, by every kind of tokenizer; served ids are trained ids.

Texts take long to draw: the default run compares 50 of each kind with the reference, a slow test 500.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from finetune.training.audit import broken_prefixes, served_prompts
from finetune.training.encode import UNTRAINED, Encoded, Row, encode, read_rows, whole_text
from mumath_agent.dialects import Blocks, Fenced
from mumath_agent.errors import InputError
from mumath_agent.protocols import TextDialect
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason
from mumath_agent.transcript import Transcript

pytestmark = pytest.mark.train

END = "<|end|>"
FENCED = Fenced()
DIALECTS: dict[str, TextDialect] = {"fenced": FENCED, "blocks": Blocks()}
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


def trained_texts(rows: list[Encoded], tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """Return the text that the loss sees of each row."""
    return [str(tokenizer.decode(row.ids[row.labels != UNTRAINED].tolist())) for row in rows]


@pytest.mark.parametrize(("solution", "trained"), TRAINED.values(), ids=TRAINED)
def test_trained_text(tokenizer: PreTrainedTokenizerFast, solution: str, trained: str) -> None:
    rows, dropped = encode([Row(question="One?", solution=solution)], tokenizer, FENCED, max_tokens=999)
    assert trained_texts(rows, tokenizer) == [trained + END]
    assert dropped == 0


def program(code: str, *printed: str) -> tuple[str, str]:
    return f"```python\n{code}\n```\n```output\n", "".join(f"{line}\n" for line in (*printed, "```"))


@pytest.mark.parametrize(
    ("printed", "fails"),
    [
        (["line 1: 1/0", "ZeroDivisionError: division by zero"], True),
        (["3", "line 2: x", "sympy.core.sympify.SympifyError: x"], True),
        (["KeyboardInterrupt"], True),
        (["Done"], True),
        ([], True),
        (["6"], False),
        (["ValueError: no", "6"], False),
        (["an Error: no"], False),
        (["Done", "1"], False),
    ],
)
def test_a_recipe_may_leave_failed_programs_out(
    tokenizer: PreTrainedTokenizerFast, printed: list[str], fails: bool
) -> None:
    (first, output), (second, outcome) = program("a", *printed), program("b", "6")
    row = Row(question="q", solution=f"Add.\n{first}{output}No.\n{second}{outcome}It is 6.")
    for masked in (False, True):
        rows, _ = encode([row], tokenizer, FENCED, max_tokens=999, mask_failures=masked)
        kept = "" if masked and fails else first
        assert trained_texts(rows, tokenizer) == [f"Add.\n{kept}No.\n{second}It is 6.{END}"]


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
        ("{\n", "line 1 isn't a JSON object"),
        ('{"question": "a", "solution": "b"}\n[]', "line 2 isn't a JSON object"),
        ('{"question": "a"}', "line 1 isn't a JSON object"),
        ('{"question": "a", "solution": 3}', "must be strings"),
    ],
)
def test_rows_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_rows(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_rows(tmp_path / "rows.jsonl")


# Labels against a slow reference. It knows the marks by itself, goes line by line, and asks of each token whether all
# of its characters are the model's.

EXAMPLES = [50, pytest.param(500, marks=pytest.mark.slow)]
FAMILIES = ("tokenizer", "llama2_like", "llama3_like")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FENCED_PIECES = st.sampled_from(
    [
        *("```python\n", "```py \n", "```\n", "``` \r\n", "```", "```output\n", "```output", " ```output\n"),
        *("1\n", "é分½\n", "\n", "\r\n", " ", "x = 1\n", "\\boxed{1}", "</s>", "<s>", "e\u0301", "▁"),
    ]
)
BLOCK_PIECES = st.sampled_from(
    [
        *("<|code|>", "<|text|>", "<|execution|>", "<|endofblock|>", "<|endofmessage|>"),
        *("x = 1\n", "\n", " ", "é分½", "\\boxed{1}", "```\n", "\r\n", "</s>"),
    ]
)


def fenced_outputs(text: str) -> Iterator[bool]:
    """For each character of a solution, whether the kernel wrote it."""
    state = "prose"
    for line in re.split(r"(?<=\n)", text):
        fence, was = line.rstrip(), state
        if state in ("prose", "ran") and fence == "```output":
            state = "output"
        elif state in ("prose", "ran") and re.fullmatch(r"```(python|py|python3)[ \t\r\n\f\v]*", line):
            state = "code"
        elif state == "code" and fence == "```":
            state = "ran"
        elif (state == "output" and fence == "```") or (state == "ran" and fence):
            state = "prose"
        asked = was == "ran" and state == "output"  # the header that the model writes
        yield from ["output" in (was, state) and not asked] * len(line)


def block_outputs(text: str) -> Iterator[bool]:
    """For each character of a solution, whether the kernel wrote it."""
    state = "prose"
    for piece in re.split(r"(<\|code\|>|<\|execution\|>|<\|endofblock\|>)", text):
        was = state
        if state in ("prose", "ran") and piece == "<|code|>":
            state = "code"
        elif state in ("prose", "ran") and piece == "<|execution|>":
            state = "output"
        elif state == "code" and piece == "<|endofblock|>":
            state = "ran"
        elif (state == "output" and piece == "<|endofblock|>") or (state == "ran" and piece.strip()):
            state = "prose"
        asked = was == "ran" and state == "output"
        yield from ["output" in (was, state) and not asked] * len(piece)


OUTPUTS = {
    "fenced": (FENCED_PIECES, fenced_outputs),
    "blocks": (BLOCK_PIECES, block_outputs),
}


def reference_labels(
    row: Row, tokenizer: PreTrainedTokenizerFast, dialect: TextDialect, given: list[bool]
) -> list[int]:
    prompt = dialect.prompt(Transcript(question=row.question))
    whole = whole_text(row, tokenizer, dialect)
    kernels = [True] * len(prompt) + given + [False] * len(tokenizer.eos_token)
    assert len(kernels) == len(whole)
    found = tokenizer(whole, return_offsets_mapping=True)
    return [
        UNTRAINED if any(kernels[start:end]) or (token == tokenizer.bos_token_id and start == end) else token
        for token, (start, end) in zip(found["input_ids"], found["offset_mapping"], strict=True)
    ]


@st.composite
def written(draw: st.DrawFn, dialect: TextDialect) -> tuple[str, list[bool]]:
    """Draw a solution as the agent makes it, and which of its characters the kernel wrote."""
    transcript, given = Transcript(question="q"), list[bool]()
    for _ in range(draw(st.integers(0, 3))):
        program = draw(st.sampled_from(["print(1)", "x = '```'", "", "raise ValueError"]))
        plan = re.sub("[`<]", "", draw(TEXT))
        text = f"{plan}\n```python\n{program}\n```"
        if dialect.name == "blocks":
            text = f"<|text|>{plan}<|endofblock|><|code|>{program}<|endofblock|>"
        completion = Completion(
            text=text, finish_reason=FinishReason.STOP, prompt_tokens=1, completion_tokens=1
        )
        asked = dialect.with_completion(transcript, completion)
        stdout = draw(st.one_of(TEXT, FENCED_PIECES, BLOCK_PIECES, st.just("")))
        execution = Execution(status=ExecutionStatus.OK, stdout=stdout)
        answered = dialect.with_output(asked, execution, max_chars=100)
        given += [False] * (len(asked.text) - len(transcript.text))
        given += [True] * (len(answered.text) - len(asked.text))
        transcript = answered
    last = draw(st.sampled_from(["", "The answer is $\\boxed{1}$.", "é"]))
    return transcript.text + last, given + [False] * len(last)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("examples", EXAMPLES)
def test_labels_of_any_text_equal_the_reference(
    request: pytest.FixtureRequest, name: str, family: str, examples: int
) -> None:
    tokenizer, dialect = request.getfixturevalue(family), DIALECTS[name]
    pieces, outputs = OUTPUTS[name]

    @settings(deadline=None, max_examples=examples)
    @given(question=TEXT, solution=st.lists(st.one_of(pieces, TEXT), max_size=14).map("".join))
    def check(question: str, solution: str) -> None:
        row = Row(question=question, solution=solution)
        (encoded,), _ = encode([row], tokenizer, dialect, max_tokens=10_000)
        assert encoded.labels.tolist() == reference_labels(row, tokenizer, dialect, list(outputs(solution)))

    check()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("examples", EXAMPLES)
def test_labels_of_what_the_agent_writes_equal_the_reference(
    request: pytest.FixtureRequest, name: str, family: str, examples: int
) -> None:
    tokenizer, dialect = request.getfixturevalue(family), DIALECTS[name]

    @settings(deadline=None, max_examples=examples)
    @given(made=written(dialect))
    def check(made: tuple[str, list[bool]]) -> None:
        solution, given = made
        row = Row(question="q", solution=solution)
        (encoded,), _ = encode([row], tokenizer, dialect, max_tokens=10_000)
        assert encoded.labels.tolist() == reference_labels(row, tokenizer, dialect, given)

    check()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_begin_token_is_there_as_served_and_never_trained(
    request: pytest.FixtureRequest, family: str
) -> None:
    tokenizer = request.getfixturevalue(family)
    (row,), _ = encode([Row(question="q", solution="x")], tokenizer, FENCED, max_tokens=999)
    assert (row.ids[0] == tokenizer.bos_token_id) == (tokenizer.bos_token is not None)
    assert row.labels[0] == UNTRAINED
    assert row.labels[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_agent_writes_has_no_broken_prefix(request: pytest.FixtureRequest, family: str) -> None:
    tokenizer = request.getfixturevalue(family)
    outputs = ["1", "", "a\n\n", "\n\nb", " ```", "é分½", "  x  "]
    turns = [f"Add.\n```python\nprint(1)\n```\n```output\n{output}\n```\n" for output in outputs]
    row = Row(question="What is 1 + 1?\n", solution=f"{''.join(turns)}{TAIL}")
    assert len(list(served_prompts(row, FENCED))) == len(outputs) + 1
    assert broken_prefixes([row], tokenizer, FENCED) == []


def test_a_prefix_that_a_tokenizer_merges_is_reported(llama3_like: PreTrainedTokenizerFast) -> None:
    rows = [Row(question="q", solution="x"), Row(question="q", solution=f"\n{TAIL}")]
    assert [number for number, _ in broken_prefixes(rows, llama3_like, FENCED)] == [1]
