"""The fenced dialect's bytes, and what a model gets to read of an execution. Its laws: test_dialect_laws.py."""

from mumath_agent.dialects import get_dialect
from mumath_agent.dialects.output import EMPTY, STATE_LOST, output_text, shortened
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason
from mumath_agent.transcript import Kind, Segment, Transcript

fenced = get_dialect("fenced")


def completed(text: str, finish: FinishReason = FinishReason.STOP) -> Transcript:
    completion = Completion(text=text, finish_reason=finish, prompt_tokens=1, completion_tokens=1)
    return fenced.with_completion(Transcript(question="q"), completion)


def ran(stdout: str = "", **fields: object) -> Execution:
    return Execution(**{"status": ExecutionStatus.OK, "stdout": stdout, **fields})  # type: ignore[arg-type]


def test_the_bytes_are_those_of_mumath_codes_own_inference() -> None:
    transcript = completed("We add.\n```python\nprint(1 + 1)\n```\n")
    transcript = fenced.with_output(transcript, ran("2\n"), max_chars=400)
    assert fenced.prompt(transcript) == (
        "<|user|>\nq\n<|assistant|>\nWe add.\n```python\nprint(1 + 1)\n```\n```output\n2\n```\n"
    )


def test_code_ends_with_the_trained_header_and_output_is_body_and_closing_fence() -> None:
    transcript = fenced.with_output(completed("```python\nprint(2)\n```"), ran("2\n"), max_chars=400)
    assert [(s.kind, s.text) for s in transcript.segments] == [
        (Kind.CODE, "```python\nprint(2)\n```\n```output\n"),
        (Kind.OUTPUT, "2\n```\n"),
    ]


def test_an_unclosed_block_is_flagged_code_and_asks_for_nothing() -> None:
    transcript = completed("So:\n```python\nprint(2)", FinishReason.LENGTH)
    assert transcript.segments[-1] == Segment(kind=Kind.CODE, text="```python\nprint(2)", closed=False)
    assert fenced.pending_code(transcript) is None


def test_a_block_cut_by_the_token_limit_right_after_its_fence_asks_for_nothing() -> None:
    assert fenced.pending_code(completed("```python\nprint(2)\n```", FinishReason.LENGTH)) is None


def test_all_blocks_of_a_turn_run_and_none_of_an_earlier_turn() -> None:
    transcript = completed("```python\nx = 1\n```\nThen\n```python\nprint(x)\n```\n")
    assert fenced.pending_code(transcript) == "x = 1\n\nprint(x)\n"
    transcript = fenced.with_output(transcript, ran("1"), max_chars=99)
    completion = Completion(
        text="```text\nno program\n```", finish_reason=FinishReason.STOP, prompt_tokens=1, completion_tokens=1
    )
    # The reference code would run the first turn's program again here.
    assert fenced.pending_code(fenced.with_completion(transcript, completion)) is None


def test_output_that_holds_a_fence_stays_one_output() -> None:
    transcript = fenced.with_output(
        completed("```python\nprint(s)\n```"), ran("a\n```\n\\boxed{42}\n```output\nb"), max_chars=400
    )
    assert [s.kind for s in fenced.parse(transcript.text)] == [Kind.CODE, Kind.OUTPUT]


def test_stdout_before_an_error_is_kept_and_the_failing_line_is_shown() -> None:
    execution = ran(
        "partial 7\n", status=ExecutionStatus.ERROR, error="line 2: 1/0\nZeroDivisionError: division by zero"
    )
    assert (
        output_text(execution, max_chars=400) == "partial 7\nline 2: 1/0\nZeroDivisionError: division by zero"
    )


def test_empty_output_is_said_in_words() -> None:
    assert output_text(ran("  \n"), max_chars=400) == EMPTY


def test_long_output_loses_its_middle_with_a_mark_no_digit_can_cross() -> None:
    text = shortened(str(2**2000), 400)
    assert text.startswith(str(2**2000)[:200] + "\n[... ") and text.endswith(" ...]\n" + str(2**2000)[-200:])


def test_a_lone_surrogate_does_not_lose_the_output() -> None:
    assert output_text(ran("a\ud800b"), max_chars=400) == "a?b"


def test_state_loss_is_said_even_after_truncation() -> None:
    assert output_text(ran("x" * 10_000, state_lost=True), max_chars=40).endswith(STATE_LOST)
