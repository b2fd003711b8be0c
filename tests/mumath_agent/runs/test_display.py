"""An attempt as text and as Markdown: prices stay prices, formulas become formulas, programs and outputs are apart."""

from dataclasses import replace

import nbformat
import pytest

from mumath_agent.commands.terminal import result_line
from mumath_agent.records import (
    Answer,
    AnswerSource,
    Completion,
    Execution,
    ExecutionStatus,
    FinishReason,
    Limits,
    Problem,
    RunRecord,
    Sampling,
    Settings,
    StopReason,
    Trajectory,
    from_json,
    to_json,
)
from mumath_agent.runs.display import readable
from mumath_agent.runs.notebook import notebook_text
from mumath_agent.runs.wording import report
from mumath_agent.transcript import Kind, Segment, Transcript


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "I buy 3 coffees at $4 each and a muffin for $3.",
            r"I buy 3 coffees at \$4 each and a muffin for \$3.",
        ),
        ("It costs $5, or $10.50 in all.", r"It costs \$5, or \$10.50 in all."),
        ("She pays $3 and $4", r"She pays \$3 and \$4"),
        ("$20 - $5 = $15", r"\$20 - \$5 = \$15"),
        ("already \\$4 and \\$5", "already \\$4 and \\$5"),
        ("<think>\nAt $5.\n2 of them.\n</think>\nSo 10.", "> At \\$5.\n> 2 of them.\n\nSo 10."),
        ("only one $ here", r"only one \$ here"),
        ("Let $x^2$ be $3x + 4$.", "Let $x^2$ be $3x + 4$."),
        ("$$x$$ is $12$.", "$$x$$ is $12$."),
        ("$7$ apples at $2", r"$7$ apples at \$2"),
        (r"$\boxed{5}$, \(a\) and \[b\]", r"$\boxed{5}$, $a$ and $$b$$"),
        ("no dollar", "no dollar"),
    ],
)
def test_prices_are_escaped_and_formulas_are_not(text: str, shown: str) -> None:
    assert readable(text) == shown


PROGRAM = "So:\n```python\nprint(6 * 7)\n```\n```output\n"


def record(stop: StopReason = StopReason.ANSWERED, dialect: str = "fenced") -> RunRecord:
    return RunRecord(
        problem=Problem(id="p", question="6 times $7?"),
        settings=Settings(model="m", dialect=dialect, limits=Limits(), sampling=Sampling()),
        isolation="full",
        version="0",
        trajectory=Trajectory(
            transcript=Transcript(
                question="6 times $7?",
                segments=(
                    Segment(kind=Kind.RATIONALE, text="So:\n"),
                    Segment(kind=Kind.CODE, text=PROGRAM.removeprefix("So:\n")),
                    Segment(kind=Kind.OUTPUT, text="42\n```\n"),
                    Segment(kind=Kind.RATIONALE, text="It is $\\boxed{42}$."),
                ),
            ),
            completions=tuple(
                Completion(text=text, finish_reason=FinishReason.STOP, prompt_tokens=1, completion_tokens=1)
                for text in ("So:\n```python\nprint(6 * 7)\n```\n", "It is $\\boxed{42}$.")
            ),
            executions=(
                Execution(
                    status=ExecutionStatus.OK, stdout="42\n", artefacts=("data:image/png;base64,AA==",)
                ),
            ),
            answer=Answer(text="42", found_in=AnswerSource.BOXED) if stop is StopReason.ANSWERED else None,
            stop_reason=stop,
        ),
    )


def test_a_record_prints_as_the_command_line_does() -> None:
    assert str(record()) == f"{PROGRAM}42\n```\nIt is $\\boxed{{42}}$.\n\nAnswer: 42"


def test_a_record_shows_itself_in_jupyter() -> None:
    assert record()._repr_markdown_().split("\n\n") == [
        r"**Problem.** 6 times \$7?",
        "So:",
        "```python\nprint(6 * 7)\n```",
        "```text\n42\n```",
        "![figure](data:image/png;base64,AA==)",
        "It is $\\boxed{42}$.",
        "**Answer: 42**",
    ]


def test_what_a_model_says_of_itself_stands_at_the_answer() -> None:
    shown = replace(record(), caution="A toy.")
    assert str(shown).endswith("\n\nA toy.\nAnswer: 42")
    assert shown._repr_markdown_().endswith("**Answer: 42**\n\nA toy.")


DOUBT = "This answer is doubtful: when the model is as unsure as here, it is right about 25 % of the time."


@pytest.mark.parametrize(("confidence", "doubt"), [(0.25, DOUBT), (0.5, ""), (0.9, ""), (None, "")])
def test_every_surface_says_that_an_answer_is_doubtful(confidence: float | None, doubt: str) -> None:
    shown = replace(record(), caution="A toy.", confidence=confidence)
    known = f"A toy. {DOUBT}" if doubt else "A toy."
    assert str(shown).endswith(f"\n\n{known}\nAnswer: 42")
    assert shown._repr_markdown_().endswith(f"**Answer: 42**\n\n{known}")
    assert known in nbformat.reads(notebook_text(shown), as_version=4).cells[-1].source
    assert report(shown).startswith(f"Answer: 42\n{known}\n")
    assert result_line(shown) == f"p: Answer: 42{' (doubtful)' if doubt else ''}"
    assert from_json(RunRecord, to_json(shown)) == shown


def test_in_jupyter_both_streams_are_in_their_order() -> None:
    of = record()
    ran = Execution(
        status=ExecutionStatus.OK,
        stdout="a\nc\n",
        stderr="b\nd\n",
        stream_order=(("stdout", 2), ("stderr", 2), ("stdout", 2)),
    )
    shown = replace(of, trajectory=replace(of.trajectory, executions=(ran,)))
    assert "```text\na\nb\nc\nd\n```" in shown._repr_markdown_()


def test_a_record_of_an_unknown_dialect_is_shown_as_it_is() -> None:
    assert "print(6 * 7)" in record(dialect="my-own")._repr_markdown_()


def test_an_attempt_without_an_answer_says_why() -> None:
    shown = record(StopReason.MAX_TURNS)
    assert (shown.answer, shown.ok) == (None, False)
    assert str(shown).endswith("No answer: the model reached the limit of turns without an answer")
