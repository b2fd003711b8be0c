"""The bytes of MathCoder's dialect. Its laws: test_dialect_laws.py."""

import pytest

from mumath_agent.dialects import get_dialect
from mumath_agent.dialects.blocks import block, last_block
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason
from mumath_agent.transcript import Kind, Segment, Transcript

blocks = get_dialect("blocks")


def completed(text: str, finish: FinishReason = FinishReason.STOP) -> Transcript:
    completion = Completion(text=text, finish_reason=finish, prompt_tokens=1, completion_tokens=1)
    return blocks.with_completion(Transcript(question="q"), completion)


def printed(text: str) -> Execution:
    return Execution(status=ExecutionStatus.OK, stdout=text)


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
