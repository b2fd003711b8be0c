"""The bytes of MathCoder's dialect. Its laws: test_dialect_laws.py."""

import json
import os
from itertools import groupby
from pathlib import Path
from typing import cast

import anyio
import pytest

from mumath_agent.agent.graph import Handles, State, graph, trajectory
from mumath_agent.dialects import get_dialect
from mumath_agent.dialects.blocks import block, last_block
from mumath_agent.records import (
    Completion,
    Execution,
    ExecutionStatus,
    FinishReason,
    Limits,
    StopReason,
    Trajectory,
)
from mumath_agent.testing import ScriptedExecutor, ScriptedModel
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
        (block("code", "x = 1") + block("text", "So") + block("code", "x"), FinishReason.STOP, "x = 1"),
        (block("code", "x") + "\n", FinishReason.STOP, "x"),
        (block("code", ""), FinishReason.STOP, ""),
        (block("code", "x"), FinishReason.LENGTH, "x"),
        (block("code", "x") + block("text", "It is 3."), FinishReason.STOP, "x"),
        (block("code", "x") + "<|execution|>9<|endofblock|>", FinishReason.STOP, "x"),
        (block("code", "x") + "<|text|>It is, it is, it", FinishReason.LENGTH, "x"),
        (block("text", "So") + block("text", "3"), FinishReason.STOP, None),
        ("<|code|>x", FinishReason.STOP, None),
        (block("text", "<|co de|>x"), FinishReason.STOP, None),
        ("", FinishReason.STOP, None),
    ],
)
def test_a_program_runs_as_soon_as_its_block_is_closed(
    text: str, finish: FinishReason, program: str | None
) -> None:
    assert blocks.pending_code(completed(text, finish)) == program


def test_what_is_written_behind_a_program_before_its_output_is_cut_off() -> None:
    transcript = completed(block("text", "Add.") + block("code", "1 + 1") + block("text", "It is 3."))
    transcript = blocks.with_output(transcript, printed("2"), max_chars=400)
    assert transcript.text == block("text", "Add.") + block("code", "1 + 1") + block("execution", "2")


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


DATA = Path(os.environ.get("MUMATH_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
RECORDED = "transcripts/mathcoder-cl-34b.minival.jsonl"
INVENTED = block("text", "It printed $\\boxed{INVENTED}$.") + block("code", "INVENTED") + "<|endofmessage|>"


def attempt_of(texts: list[str | Completion], outputs: list[str], limits: Limits) -> Trajectory:
    """Make an attempt in which the model writes these turns and the programs print these outputs."""
    handles = Handles(
        model=ScriptedModel(texts=texts),
        kernel=ScriptedExecutor(executions=outputs),
        dialect=blocks,
        limits=limits,
    )

    async def run() -> Trajectory:
        return trajectory(cast("State", await graph.ainvoke({"question": "q"}, context=handles)))

    return anyio.run(run)


def test_text_without_end_is_ended_by_the_token_limit() -> None:
    """MathCoder's client would ask for another block, up to 32 times."""
    endless = Completion(
        text=block("text", "Let us see.") * 90,
        finish_reason=FinishReason.LENGTH,
        prompt_tokens=1,
        completion_tokens=1024,
    )
    attempt = attempt_of([endless], [], Limits())
    assert attempt.stop_reason is StopReason.MAX_TOKENS and attempt.answer is None


def test_programs_without_end_are_ended_by_the_turn_limit() -> None:
    attempt = attempt_of([block("code", "x")] * 9, ["1"] * 9, Limits(max_turns=4))
    assert attempt.stop_reason is StopReason.MAX_TURNS and len(attempt.executions) == 3


@pytest.mark.data
def test_recorded_solutions_keep_their_programs_and_every_output_stays_with_its_own() -> None:
    """Also where the model, which no client stops at a block's end, goes on with an output it makes up."""
    if not (DATA / RECORDED).is_file():
        pytest.skip(f"no {DATA / RECORDED}: set MUMATH_DATA to a folder that has it")
    rows = [json.loads(line) for line in (DATA / RECORDED).read_text("utf-8").splitlines()]
    recorded = [[(part["role"], part["content"]) for part in row["debug_result"][2:]] for row in rows]
    runaway = [parts for parts in recorded if len(parts) > 12]
    late = [
        parts for parts in recorded if any("imeout" in text for role, text in parts if role == "execution")
    ]
    assert len(runaway) > 30 and len(late) > 5
    for parts in (*runaway[::8], *late[:4], *recorded[:10]):
        _replay(parts)


def _replay(parts: list[tuple[str, str]]) -> None:
    programs = [text for role, text in parts if role == "code"]
    turns = ["".join(block(*part) for part in turn) for is_output, turn in _turns(parts) if not is_output]
    texts = [f"{turn}{INVENTED}" if "<|code|>" in turn else turn for turn in turns]
    outputs = [f"output {number}" for number, _ in enumerate(programs)]
    attempt = attempt_of([*texts, ""], outputs, Limits(max_turns=len(turns) + 1))
    segments = attempt.transcript.segments
    ran = [_program(segment.text) for segment in segments if segment.kind is Kind.CODE]
    shown = [segment.text for segment in segments if segment.kind is Kind.OUTPUT]
    assert ran == programs
    assert shown == [f"{output}<|endofblock|>" for output in outputs]
    assert "INVENTED" not in attempt.transcript.text


def _turns(parts: list[tuple[str, str]]) -> "groupby[bool, tuple[str, str]]":
    return groupby(parts, key=lambda part: part[0] == "execution")


def _program(code: str) -> str:
    return code.removeprefix("<|code|>").removesuffix("<|endofblock|><|execution|>")
