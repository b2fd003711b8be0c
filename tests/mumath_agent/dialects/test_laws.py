"""Check laws 1 to 5 for every dialect: what it makes of any text, and of what a model and a kernel wrote in turn.

Conversations take long to draw, so the default run draws few; many are a slow test.
"""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mumath_agent.dialects import get_dialect
from mumath_agent.dialects.fenced import harmless
from mumath_agent.dialects.output import STATE_LOST, output_text
from mumath_agent.protocols import Dialect, Prompt
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason
from mumath_agent.transcript import Kind, Transcript

LINES = [
    "```python", "```py", "```output", "```", "``` ", "```json", " ```", "````", "print(1)", "x = '```'", "",
    "so \\boxed{3}", "<|user|>", "<|assistant|>", "</s>", "text\r", "\u2028", "\x0c", "é", "``",
    "~~~python", "~~~", "``` Python", "````python", "  ```py", "1. ```python", "```Output", "'''python", "'''",
    "<code>", "</code>", "<think>", "</think>", "Question: a", "x: ```python", "```tool_call",
    '{"name": "x", "arguments": ""}', "<tool_call>", "</tool_call>", "<|channel|>final<|message|>", ">>> print(1)",
]  # fmt: skip
MARKS = [
    "<|text|>", "<|code|>", "<|execution|>", "<|endofblock|>", "<|endofmessage|>", "<|user|>", "<|assistant|>",
    "<|system|>", "</s>", "<|", "|>", "<|exec", "ution|>", "endofblock|>", "print(1)", "\n", " ", "é", "\u2028", "<",
]  # fmt: skip
SPECIAL = [mark for mark in MARKS if mark.startswith("<|") and mark.endswith("|>")] + ["</s>"]
lines = st.lists(st.sampled_from(LINES), max_size=14)
texts = st.one_of(
    st.text(),
    lines.map("\n".join),
    lines.map(lambda some: "\n".join(some) + "\n"),
    st.lists(st.sampled_from(MARKS), max_size=16).map("".join),
)
completions = st.builds(
    Completion,
    text=texts,
    finish_reason=st.sampled_from(FinishReason),
    prompt_tokens=st.just(1),
    completion_tokens=st.just(1),
)
executions = st.builds(
    Execution,
    status=st.sampled_from(ExecutionStatus),
    stdout=texts,
    stderr=texts,
    result=st.none() | texts,
    error=st.none() | texts,
    state_lost=st.booleans(),
)
Turns = list[tuple[Completion, Execution]]
conversations = st.lists(st.tuples(completions, executions), max_size=4)

TEXT_DIALECTS = ["fenced", "fenced-qwen", "fenced-numina", "blocks"]
every_dialect = pytest.mark.parametrize(
    "dialect",
    [get_dialect(name) for name in (*TEXT_DIALECTS, "chat", "chat-examples", "tools")],
    ids=lambda dialect: dialect.name,
)


def played(dialect: Dialect, turns: Turns) -> list[Transcript]:
    """Return the transcript after each step of a conversation, as the graph would build it."""
    transcript = Transcript(question="How many?")
    steps = [transcript]
    for completion, execution in turns:
        transcript = dialect.with_completion(transcript, stopped(dialect, completion))
        steps.append(transcript)
        if dialect.pending_code(transcript) is None:
            break
        transcript = dialect.with_output(transcript, execution, max_chars=80)
        steps.append(transcript)
    return steps


def stopped(dialect: Dialect, completion: Completion) -> Completion:
    """End a model's text before the stop strings, so that it never holds one."""
    text = completion.text
    for string in dialect.stop:
        text = text.split(string)[0]
    return replace(completion, text=text)


def begins(earlier: Prompt, later: Prompt) -> bool:
    if isinstance(earlier, str) or isinstance(later, str):
        return isinstance(earlier, str) and isinstance(later, str) and later.startswith(earlier)
    return later.messages[: len(earlier.messages)] == earlier.messages and later.tool == earlier.tool


@every_dialect
@given(text=texts)
@example(text="```python\nprint(1)\n```\n```output\n1\n```\n")
@example(text="```python\r\nprint(1)\r\n```\r\n```output\r\n1\r\n```\r\n")
@example(text="<|code|>x<|endofblock|><|execution|>1<|endofblock|><|text|>so<|endofblock|><|endofmessage|>")
def test_parsing_is_lossless_for_every_string(dialect: Dialect, text: str) -> None:
    assert "".join(segment.text for segment in dialect.parse(text)) == text


@every_dialect
@given(text=texts)
def test_no_segment_is_empty_and_rationale_never_follows_rationale(dialect: Dialect, text: str) -> None:
    segments = dialect.parse(text)
    assert all(segment.text for segment in segments)
    kinds = [segment.kind for segment in segments]
    assert (Kind.RATIONALE, Kind.RATIONALE) not in pairwise(kinds)


def each_prompt_is_a_prefix_of_the_next(dialect: Dialect, turns: Turns) -> None:
    prompts = [dialect.prompt(transcript) for transcript in played(dialect, turns)]
    assert all(begins(earlier, later) for earlier, later in pairwise(prompts))


def the_whole_text_parses_into_the_segments_it_was_built_from(dialect: Dialect, turns: Turns) -> None:
    """So output can't forge structure, and training masks equal what happened at run time."""
    transcript = played(dialect, turns)[-1]
    assert dialect.parse(transcript.text) == transcript.segments


def exactly_what_the_kernel_wrote_is_untrained(dialect: Dialect, turns: Turns) -> None:
    transcript = played(dialect, turns)[-1]
    untrained = "".join(
        transcript.text[span.start : span.end] for span in transcript.spans if not span.trained
    )
    outputs = "".join(segment.text for segment in transcript.segments if segment.kind is Kind.OUTPUT)
    assert untrained == outputs
    assert transcript.spans == () or transcript.spans[-1].end == len(transcript.text)


LAWS_OF_CONVERSATIONS = [
    each_prompt_is_a_prefix_of_the_next,
    the_whole_text_parses_into_the_segments_it_was_built_from,
    exactly_what_the_kernel_wrote_is_untrained,
]


@every_dialect
@settings(max_examples=60, deadline=None)
@given(turns=conversations)
def test_conversations(dialect: Dialect, turns: Turns) -> None:
    for law in LAWS_OF_CONVERSATIONS:
        law(dialect, turns)


@pytest.mark.slow
@every_dialect
@settings(max_examples=1500, deadline=None)
@given(turns=conversations)
def test_many_conversations(dialect: Dialect, turns: Turns) -> None:
    for law in LAWS_OF_CONVERSATIONS:
        law(dialect, turns)


@given(texts)
def test_harmless_text_holds_neither_a_fence_line_nor_a_special_token(text: str) -> None:
    body = harmless(text)
    assert not any(line.startswith("```") for line in body.split("\n"))
    assert not any(mark in body for mark in SPECIAL)


@given(executions, st.integers(min_value=20, max_value=400))
def test_output_text_is_short_plain_and_never_empty(execution: Execution, limit: int) -> None:
    text = output_text(execution, max_chars=limit)
    assert text.strip()
    assert len(text) <= limit + 50 + len(STATE_LOST)
    assert "\r" not in text and "\x1b" not in text
    text.encode("utf-8")
    assert (STATE_LOST in text) == execution.state_lost or STATE_LOST in execution.stdout
