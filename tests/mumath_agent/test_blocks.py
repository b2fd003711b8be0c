"""Laws 1-5 for MathCoder's dialect: what it makes of any text, and of what a model and a kernel wrote in turn."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mumath_agent.dialects import get_dialect
from mumath_agent.dialects.blocks import block, last_block
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason
from mumath_agent.transcript import Kind, Segment, Transcript

blocks = get_dialect("blocks")

PIECES = [
    "<|text|>", "<|code|>", "<|execution|>", "<|endofblock|>", "<|endofmessage|>", "<|user|>", "<|assistant|>",
    "<|system|>", "</s>", "<|", "|>", "<|exec", "ution|>", "endofblock|>", "print(1)", "\n", " ", "é", "\u2028", "<",
]  # fmt: skip
texts = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=16).map("".join))
completions = st.builds(
    Completion,
    # A model's text ends before the stop strings, so it never holds one.
    text=texts.map(lambda text: text.split("<|execution|>")[0].split("<|endofmessage|>")[0]),
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
conversations = st.lists(st.tuples(completions, executions), max_size=4)


def completed(text: str, finish: FinishReason = FinishReason.STOP) -> Transcript:
    completion = Completion(text=text, finish_reason=finish, prompt_tokens=1, completion_tokens=1)
    return blocks.with_completion(Transcript(question="q"), completion)


def printed(text: str) -> Execution:
    return Execution(status=ExecutionStatus.OK, stdout=text)


def played(turns: list[tuple[Completion, Execution]]) -> list[Transcript]:
    """The transcript after each step of a conversation, as the graph would build it."""
    transcript = Transcript(question="How many?")
    steps = [transcript]
    for completion, execution in turns:
        transcript = blocks.with_completion(transcript, completion)
        steps.append(transcript)
        if blocks.pending_code(transcript) is None:
            break
        transcript = blocks.with_output(transcript, execution, max_chars=80)
        steps.append(transcript)
    return steps


@given(texts)
@example("<|code|>x<|endofblock|><|execution|>1<|endofblock|><|text|>so<|endofblock|><|endofmessage|>")
def test_parsing_is_lossless_for_every_string(text: str) -> None:
    assert "".join(segment.text for segment in blocks.parse(text)) == text


@given(texts)
def test_no_segment_is_empty_and_rationale_never_follows_rationale(text: str) -> None:
    segments = blocks.parse(text)
    assert all(segment.text for segment in segments)
    kinds = [segment.kind for segment in segments]
    assert (Kind.RATIONALE, Kind.RATIONALE) not in pairwise(kinds)


@given(conversations)
def test_each_prompt_is_a_prefix_of_the_next(turns: list[tuple[Completion, Execution]]) -> None:
    prompts = [blocks.prompt(transcript) for transcript in played(turns)]
    assert all(later.startswith(earlier) for earlier, later in pairwise(prompts))


@given(conversations)
def test_the_whole_text_parses_into_the_segments_it_was_built_from(
    turns: list[tuple[Completion, Execution]],
) -> None:
    """So output can't forge structure, and training masks equal what happened at run time."""
    transcript = played(turns)[-1]
    assert blocks.parse(transcript.text) == transcript.segments


@given(executions)
def test_an_output_is_one_block_whatever_it_says(execution: Execution) -> None:
    transcript = blocks.with_output(completed(block("code", "x")), execution, max_chars=400)
    output = transcript.segments[-1]
    assert (output.kind, output.closed) == (Kind.OUTPUT, True)
    assert [output.text.count(mark) for mark in ("<|", "<|endofblock|>")] == [output.text.count("<|"), 1]
    assert not any(mark in output.text for mark in PIECES[:3] + PIECES[4:9])


def test_the_bytes_are_those_of_mathcoders_own_inference() -> None:
    transcript = completed("<|text|>We add.<|endofblock|><|code|>1 + 1<|endofblock|>")
    transcript = blocks.with_output(transcript, printed("2\n"), max_chars=400)
    assert blocks.prompt(transcript) == (
        "<|system|><|text|>Below is a math problem. Please solve it step by step.<|endofblock|><|endofmessage|>"
        "<|user|><|text|>q<|endofblock|><|endofmessage|><|assistant|>"
        "<|text|>We add.<|endofblock|><|code|>1 + 1<|endofblock|><|execution|>2<|endofblock|>"
    )


def test_a_program_ends_with_the_mark_that_asks_for_its_output() -> None:
    transcript = blocks.with_output(completed(block("code", "2")), printed("2"), max_chars=400)
    assert [(s.kind, s.text) for s in transcript.segments] == [
        (Kind.CODE, "<|code|>2<|endofblock|><|execution|>"),
        (Kind.OUTPUT, "2<|endofblock|>"),
    ]


@pytest.mark.parametrize(
    ("text", "finish", "program"),
    [
        (block("code", "x = 1\nx"), FinishReason.STOP, "x = 1\nx"),
        (block("text", "So") + block("code", "x"), FinishReason.STOP, "x"),
        (block("code", "x = 1") + block("text", "So") + block("code", "x"), FinishReason.STOP, "x = 1\nx"),
        (block("code", "x") + "\n", FinishReason.STOP, "x"),
        (block("code", ""), FinishReason.STOP, ""),
        (block("code", "x"), FinishReason.LENGTH, None),
        (block("code", "x") + block("text", "It is 3."), FinishReason.STOP, None),
        ("<|code|>x", FinishReason.STOP, None),
        (block("text", "<|co de|>x"), FinishReason.STOP, None),
        ("", FinishReason.STOP, None),
    ],
)
def test_a_program_runs_exactly_when_the_model_asks_for_its_output(
    text: str, finish: FinishReason, program: str | None
) -> None:
    assert blocks.pending_code(completed(text, finish)) == program


def test_a_program_of_an_earlier_turn_is_not_run_again() -> None:
    transcript = blocks.with_output(completed(block("code", "x = 1")), printed("1"), max_chars=99)
    completion = Completion(
        text=block("code", "x"), finish_reason=FinishReason.STOP, prompt_tokens=1, completion_tokens=1
    )
    assert blocks.pending_code(blocks.with_completion(transcript, completion)) == "x"


def test_an_unclosed_program_is_flagged() -> None:
    transcript = completed("So: <|code|>print(2", FinishReason.LENGTH)
    assert transcript.segments[-1] == Segment(kind=Kind.CODE, text="<|code|>print(2", closed=False)


def test_output_the_model_made_up_is_no_request() -> None:
    transcript = completed("<|execution|>5<|endofblock|><|text|>So 5.<|endofblock|>")
    assert [s.kind for s in transcript.segments] == [Kind.OUTPUT, Kind.RATIONALE]
    assert blocks.pending_code(transcript) is None


@pytest.mark.parametrize(
    ("text", "last"),
    [
        (block("text", "It is \\boxed{3}.") + block("text", " 3\n"), "3"),
        (block("code", "x") + "<|execution|>5<|endofblock|>", "5"),
        (block("text", "3") + "<|text|>cut of", "3"),
        ("no block", ""),
        ("", ""),
    ],
)
def test_the_last_closed_block_is_mathcoders_answer_slot(text: str, last: str) -> None:
    assert last_block(Transcript(question="q", segments=blocks.parse(text))) == last
