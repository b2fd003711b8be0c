"""Laws 1-5: what the fenced dialect makes of any text, and of what a model and a kernel wrote in turn."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from mumath_agent.dialects import get_dialect
from mumath_agent.dialects.fenced import harmless
from mumath_agent.dialects.output import EMPTY, STATE_LOST, output_text, shortened
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason
from mumath_agent.transcript import Kind, Segment, Transcript

fenced = get_dialect("fenced")

LINES = [
    "```python", "```py", "```output", "```", "``` ", "```json", " ```", "````", "print(1)", "x = '```'", "",
    "so \\boxed{3}", "<|user|>", "<|assistant|>", "</s>", "text\r", "\u2028", "\x0c", "é", "``",
]  # fmt: skip
texts = st.one_of(
    st.text(),
    st.lists(st.sampled_from(LINES), max_size=14).map("\n".join),
    st.lists(st.sampled_from(LINES), max_size=14).map(lambda lines: "\n".join(lines) + "\n"),
)
completions = st.builds(
    Completion,
    # A model's text ends before the stop string, so it never holds it.
    text=texts.map(lambda text: text.split("```output")[0]),
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


def completed(text: str, finish: FinishReason = FinishReason.STOP) -> Transcript:
    completion = Completion(text=text, finish_reason=finish, prompt_tokens=1, completion_tokens=1)
    return fenced.with_completion(Transcript(question="q"), completion)


def ran(stdout: str = "", **fields: object) -> Execution:
    return Execution(**{"status": ExecutionStatus.OK, "stdout": stdout, **fields})  # type: ignore[arg-type]


def played(turns: list[tuple[Completion, Execution]]) -> list[Transcript]:
    """The transcript after each step of a conversation, as the graph would build it."""
    transcript = Transcript(question="How many?")
    steps = [transcript]
    for completion, execution in turns:
        transcript = fenced.with_completion(transcript, completion)
        steps.append(transcript)
        if fenced.pending_code(transcript) is None:
            break
        transcript = fenced.with_output(transcript, execution, max_chars=80)
        steps.append(transcript)
    return steps


@given(texts)
@example("```python\nprint(1)\n```\n```output\n1\n```\n")
@example("```python\r\nprint(1)\r\n```\r\n```output\r\n1\r\n```\r\n")
def test_parsing_is_lossless_for_every_string(text: str) -> None:
    assert "".join(segment.text for segment in fenced.parse(text)) == text


@given(texts)
def test_no_segment_is_empty_and_rationale_never_follows_rationale(text: str) -> None:
    segments = fenced.parse(text)
    assert all(segment.text for segment in segments)
    kinds = [segment.kind for segment in segments]
    assert (Kind.RATIONALE, Kind.RATIONALE) not in pairwise(kinds)


@given(st.lists(st.tuples(completions, executions), max_size=4))
def test_each_prompt_is_a_prefix_of_the_next(turns: list[tuple[Completion, Execution]]) -> None:
    prompts = [fenced.prompt(transcript) for transcript in played(turns)]
    assert all(later.startswith(earlier) for earlier, later in pairwise(prompts))


@given(st.lists(st.tuples(completions, executions), max_size=4))
def test_the_whole_text_parses_into_the_segments_it_was_built_from(
    turns: list[tuple[Completion, Execution]],
) -> None:
    """So output can't forge structure, and training masks equal what happened at run time."""
    transcript = played(turns)[-1]
    assert fenced.parse(transcript.text) == transcript.segments


@given(st.lists(st.tuples(completions, executions), max_size=4))
def test_exactly_what_the_kernel_wrote_is_untrained(turns: list[tuple[Completion, Execution]]) -> None:
    transcript = played(turns)[-1]
    untrained = "".join(
        transcript.text[span.start : span.end] for span in transcript.spans if not span.trained
    )
    outputs = "".join(segment.text for segment in transcript.segments if segment.kind is Kind.OUTPUT)
    assert untrained == outputs
    assert transcript.spans == () or transcript.spans[-1].end == len(transcript.text)


@given(texts)
def test_harmless_text_holds_neither_a_fence_line_nor_a_special_token(text: str) -> None:
    body = harmless(text)
    assert not any(line.startswith("```") for line in body.split("\n"))
    assert not any(mark in body for mark in ("<|user|>", "<|assistant|>", "</s>"))


@given(executions, st.integers(min_value=20, max_value=400))
def test_output_text_is_short_plain_and_never_empty(execution: Execution, limit: int) -> None:
    text = output_text(execution, max_chars=limit)
    assert text.strip()
    assert len(text) <= limit + 50 + len(STATE_LOST)
    assert "\r" not in text and "\x1b" not in text
    text.encode("utf-8")
    assert (STATE_LOST in text) == execution.state_lost or STATE_LOST in execution.stdout


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
