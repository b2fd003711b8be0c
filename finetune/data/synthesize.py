"""Solutions by a teacher: every question, several samples, through the project's own solver and graph.

    questions ─▶ batch of attempts (`mumath_agent.agent.batch`) ─▶ RunRecords, graded where the answer is known

A teacher is any model of the library. One that never saw the format gets a few-shot prompt (`few_shot`); one that was
trained in it, as MathCoder's first model was to make its second set, gets the prompt it was trained with (`trained`).
Solutions in words, for stage 1, come from a teacher the same way, or from the questions that bring one
(`recorded_rationales`). Programs that failed and the correction that followed stay in the text. What is good enough to
train on is for `select`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from finetune.data.records import Question, SolutionFormat
from mumath_agent.dialects import Fenced
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.problems import read_text
from mumath_agent.protocols import TextDialect
from mumath_agent.records import Completion, Execution, FinishReason, Problem, RunRecord
from mumath_agent.testing import Recording, ReplayModel
from mumath_agent.transcript import Segment, Transcript

PROMPTS = Path(__file__).parent / "prompts"
_PROMPT_FILES = {SolutionFormat.CODE: "solve_with_code.md", SolutionFormat.COT: "solve_in_words.md"}
_COMMENT = re.compile(r"\A\s*<!--.*?-->\s*", re.DOTALL)
_NEXT_EXAMPLE = ("\n---", "\nQuestion:")
_MARKS = re.compile(r"<<[^<>]*>>")
_FINAL = re.compile(r"\n*####.*\Z", re.DOTALL)


class BudgetSpent(MuMathError):
    """The teacher wrote as many tokens as it was allowed to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompted:
    """The fenced dialect under a prompt of its own, with or without programs; implements `dialects.TextDialect`.

    What is written and kept is the fenced dialect's; the prompt is sent and forgotten.
    """

    instructions: str
    """With "{question}" in it."""
    runs_programs: bool
    ends: tuple[str, ...] = ()
    """What a model writes where the solution is over, besides its end token."""
    name: str = "fenced"

    @property
    def stop(self) -> tuple[str, ...]:
        return (*Fenced().stop, *self.ends) if self.runs_programs else self.ends

    def prompt(self, transcript: Transcript) -> str:
        return self.instructions.replace("{question}", transcript.question) + transcript.text

    def parse(self, text: str) -> tuple[Segment, ...]:
        return Fenced().parse(text)

    def with_completion(self, transcript: Transcript, completion: Completion) -> Transcript:
        if not transcript.segments:  # the prompt ends with a newline, and many a model begins with another
            completion = replace(completion, text=completion.text.lstrip())
        if self.runs_programs:
            return Fenced().with_completion(transcript, completion)
        return transcript.extended(*self.parse(completion.text.rstrip()))

    def pending_code(self, transcript: Transcript) -> str | None:
        return Fenced().pending_code(transcript) if self.runs_programs else None

    def with_output(self, transcript: Transcript, execution: Execution, *, max_chars: int) -> Transcript:
        return Fenced().with_output(transcript, execution, max_chars=max_chars)


def few_shot(format: SolutionFormat, path: Path | None = None) -> TextDialect:
    """The prompt for a teacher that was not trained in the format; `path` is a file of one's own.

    Raises:
        InputError: the file can't be read, or has no place for the question.
    """
    file = path or prompt_file(format)
    text = _COMMENT.sub("", read_text(file)).rstrip("\n") + "\n"
    if text.count("{question}") != 1:
        raise InputError(f"{file} must have {{question}} in it, once: where the question goes")
    return Prompted(instructions=text, runs_programs=format is SolutionFormat.CODE, ends=_NEXT_EXAMPLE)


def trained(format: SolutionFormat) -> TextDialect:
    """The prompt of a model that was trained in the format."""
    if format is SolutionFormat.CODE:
        return Fenced()
    return Prompted(instructions=Fenced().prompt(Transcript(question="{question}")), runs_programs=False)


def prompt_file(format: SolutionFormat) -> Path:
    return PROMPTS / _PROMPT_FILES[format]


def recorded_rationales(questions: Iterable[Question]) -> tuple[tuple[Problem, ...], ReplayModel]:
    """A teacher that repeats the solutions which questions bring, and the problems it has one for."""
    told = [question for question in questions if question.rationale and question.problem.target]
    recordings = [
        Recording(question=question.problem.question, turns=(_said(question),)) for question in told
    ]
    model = ReplayModel(
        recordings=recordings, dialect=trained(SolutionFormat.COT), name="the questions' own solutions"
    )
    return tuple(question.problem for question in told), model


def within_budget(tokens: int | None) -> Callable[[RunRecord], None]:
    """Counts what the teacher wrote, and raises `BudgetSpent` when it was more than `tokens`."""
    written = 0

    def count(record: RunRecord) -> None:
        nonlocal written
        written += sum(completion.completion_tokens for completion in record.trajectory.completions)
        if tokens is not None and written > tokens:
            raise BudgetSpent(
                f"the teacher wrote {written:,} tokens, allowed were {tokens:,}; "
                "the same command with a larger --budget goes on from here"
            )

    return count


def _said(question: Question) -> Completion:
    """A rationale as a model would give it: without calculator marks, with its answer in a box."""
    text = _FINAL.sub("", _MARKS.sub("", question.rationale or "")).strip()
    if "\\boxed" not in text:
        text = f"{text}\nThe answer is $\\boxed{{{question.problem.target}}}$."
    return Completion(text=text, finish_reason=FinishReason.STOP, prompt_tokens=0, completion_tokens=0)
