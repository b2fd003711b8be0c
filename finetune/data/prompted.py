"""Speak to a teacher that solves: the prompts of synthesis, with examples or as the format is trained.

A teacher that never saw the format gets a few-shot prompt (`few_shot`). One that was trained in it, as MathCoder's
first model was to make its second set, gets the prompt it was trained with (`trained`). Either way what it writes is
kept in the fenced dialect, and the prompt is forgotten.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from finetune.data.records import SolutionFormat
from mumath_agent.dialects import Fenced
from mumath_agent.errors import InputError
from mumath_agent.problems import read_text
from mumath_agent.protocols import TextDialect
from mumath_agent.records import Completion, Execution
from mumath_agent.transcript import Segment, Transcript

PROMPTS = Path(__file__).parent / "prompts"
_PROMPT_FILES = {SolutionFormat.CODE: "solve_with_code.md", SolutionFormat.COT: "solve_in_words.md"}
_COMMENT = re.compile(r"\A\s*<!--.*?-->\s*", re.DOTALL)
_NEXT_EXAMPLE = ("\n---", "\nQuestion:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompted:
    """The fenced dialect under a prompt of its own, with or without programs; implements `TextDialect`."""

    instructions: str
    """The prompt, with "{question}" in it."""
    runs_programs: bool
    ends: tuple[str, ...] = ()
    """Strings a model writes where the solution is over, besides its end token."""
    name: str = "fenced"
    nudges: int = 0

    @property
    def stop(self) -> tuple[str, ...]:
        """See `Dialect.stop`."""
        return (*Fenced().stop, *self.ends) if self.runs_programs else self.ends

    def prompt(self, transcript: Transcript) -> str:
        """See `Dialect.prompt`."""
        return self.instructions.replace("{question}", transcript.question) + transcript.text

    def parse(self, text: str) -> tuple[Segment, ...]:
        """See `Dialect.parse`."""
        return Fenced().parse(text)

    def with_completion(self, transcript: Transcript, completion: Completion) -> Transcript:
        """See `Dialect.with_completion`."""
        if not transcript.segments:  # the prompt ends with a newline, and many a model begins with another
            completion = replace(completion, text=completion.text.lstrip())
        if self.runs_programs:
            return Fenced().with_completion(transcript, completion)
        return transcript.extended(*self.parse(completion.text.rstrip()))

    def pending_code(self, transcript: Transcript) -> str | None:
        """See `Dialect.pending_code`."""
        return Fenced().pending_code(transcript) if self.runs_programs else None

    def with_output(self, transcript: Transcript, execution: Execution, *, max_chars: int) -> Transcript:
        """See `Dialect.with_output`."""
        return Fenced().with_output(transcript, execution, max_chars=max_chars)

    def with_note(self, transcript: Transcript, note: str) -> Transcript:
        """See `Dialect.with_note`."""
        return Fenced().with_note(transcript, note)


def few_shot(format: SolutionFormat, path: Path | None = None) -> TextDialect:
    """Return the prompt for a teacher that wasn't trained in the format; `path` is a file of one's own.

    Raises:
        InputError: the file can't be read, or has no place for the question.
    """
    file = path or prompt_file(format)
    text = _COMMENT.sub("", read_text(file)).rstrip("\n") + "\n"
    if text.count("{question}") != 1:
        raise InputError(f"{file} must have {{question}} in it, once: where the question goes")
    return Prompted(instructions=text, runs_programs=format is SolutionFormat.CODE, ends=_NEXT_EXAMPLE)


def trained(format: SolutionFormat) -> TextDialect:
    """Return the prompt of a model that was trained in the format."""
    if format is SolutionFormat.CODE:
        return Fenced()
    return Prompted(instructions=Fenced().prompt(Transcript(question="{question}")), runs_programs=False)


def prompt_file(format: SolutionFormat) -> Path:
    """Return the file of the few-shot prompt that comes with the project."""
    return PROMPTS / _PROMPT_FILES[format]
