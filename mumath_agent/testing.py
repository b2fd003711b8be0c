"""Provide test doubles: a model and a kernel that follow a script, and a model that repeats recorded completions.

They are for tests of code that uses this library, and for our own where the real thing would hide the point. They
implement the same protocols as the real ones; the scripted ones record what they were asked.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from types import TracebackType
from typing import Self

from mumath_agent.dialects import Fenced
from mumath_agent.errors import ModelError, ModelRefused
from mumath_agent.protocols import CompletionRequest, OnText, Prompt, TextDialect
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason
from mumath_agent.transcript import Kind, Segment, Transcript


@dataclass(kw_only=True)
class ScriptedModel:
    """A model that answers with the given texts in order, cut at stop strings like a real one; it raises exceptions."""

    texts: Iterable[str | Completion | Exception]
    name: str = "scripted"
    prompts: list[Prompt] = field(default_factory=list)
    """Every prompt that it was sent."""

    def __post_init__(self) -> None:
        """Start at the first text."""
        self._texts = iter(self.texts)

    async def warm_up(self) -> None:
        """Do nothing."""

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Return the next text.

        Raises:
            ModelError: the script has ended.
        """
        self.prompts.append(request.prompt)
        item = next(self._texts, None)
        if item is None:
            raise ModelError(f"the script ended after {len(self.prompts) - 1} completions")
        if isinstance(item, Exception):
            raise item
        completion = item if isinstance(item, Completion) else _stopped(item, request.stop)
        if on_text:
            on_text(completion.text)
        return completion

    async def aclose(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The completions that a model once wrote for a question."""

    question: str
    turns: tuple[Completion, ...]
    """A token count of 0 is unknown."""


@dataclass(kw_only=True)
class ReplayModel:
    """A model that answers each prompt with the completion that was recorded for it.

    The prompt alone decides which turn of which recording comes next: its question selects the recordings, and the rest
    must be what they wrote, apart from white space, with any output in place of each recorded one. So the model serves
    any number of attempts at once, in any order, through any client. Several recordings that fit take turns.

    A recording that broke off after a program continues with an empty completion, cut by the token limit. `max_tokens`
    and `sampling` have no effect. Token counts that weren't recorded are estimated as four characters per token.
    """

    recordings: Iterable[Recording]
    dialect: TextDialect = field(default_factory=Fenced)
    name: str = "replay"

    def __post_init__(self) -> None:
        """Index the recordings by their first prompt."""
        self._by_prompt: dict[str, list[Recording]] = {}
        for recording in self.recordings:
            first_prompt = self.dialect.prompt(Transcript(question=recording.question))
            self._by_prompt.setdefault(first_prompt, []).append(recording)
        self._served: Counter[str] = Counter()

    async def warm_up(self) -> None:
        """Do nothing."""

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Return the completion that was recorded for the prompt.

        Raises:
            ModelRefused: nothing was recorded for it.
        """
        if not isinstance(request.prompt, str):
            raise ModelRefused(
                f"{self.name} continues raw text and was sent messages; replay in a text dialect"
            )
        fitting = self._recorded_after(request.prompt)
        recorded = fitting[self._served[request.prompt] % len(fitting)]
        self._served[request.prompt] += 1
        completion = _counted(_cut(recorded, request.stop), request.prompt)
        if on_text and completion.text:
            on_text(completion.text)
        return completion

    async def aclose(self) -> None:
        """Do nothing."""

    def _recorded_after(self, prompt: str) -> list[Completion]:
        known = max(filter(prompt.startswith, self._by_prompt), key=len, default=None)
        if known is None:
            raise ModelRefused(f"nothing was recorded for the prompt that ends with {prompt[-60:]!r}")
        solution = self.dialect.parse(prompt.removeprefix(known))
        turns = (self._next_turn(recording, solution) for recording in self._by_prompt[known])
        if not (fitting := [turn for turn in turns if turn is not None]):
            raise ModelRefused(
                f"the recorded solution ended, or differs from the prompt that ends with {prompt[-60:]!r}"
            )
        return fitting

    def _next_turn(self, recording: Recording, solution: Sequence[Segment]) -> Completion | None:
        """Return the turn that follows `solution`, or None if `solution` differs from the recording or is all of it."""
        transcript = Transcript(question=recording.question)
        for turn in (*recording.turns, _BROKEN_OFF):
            start = len(transcript.segments)
            if start == len(solution):
                return turn
            transcript = self.dialect.with_completion(transcript, turn)
            end = len(transcript.segments)
            if _words(solution[start:end]) != _words(transcript.segments[start:]):
                return None
            answered = tuple(takewhile(lambda segment: segment.kind is Kind.OUTPUT, solution[end:]))
            if not answered:
                return None
            transcript = transcript.extended(*answered)  # what was printed, what the agent noted
        return None


@dataclass(kw_only=True)
class ScriptedExecutor:
    """A kernel that answers with the given executions in order; a plain string is what the program printed."""

    executions: Iterable[Execution | str]
    isolation: str = "scripted"
    programs: list[str] = field(default_factory=list)
    """Every program that it was given."""

    def __post_init__(self) -> None:
        """Start at the first execution."""
        self._executions = iter(self.executions)

    async def run(
        self, code: str, *, timeout_s: float, on_output: Callable[[str, str], None] | None = None
    ) -> Execution:
        """Return the next execution."""
        self.programs.append(code)
        item = next(self._executions)
        execution = item if isinstance(item, Execution) else Execution(status=ExecutionStatus.OK, stdout=item)
        if on_output and execution.stdout:
            on_output("stdout", execution.stdout)
        return execution

    async def restore(self, history: Sequence[tuple[str, Execution]]) -> bool:
        """Claim that the session is restored."""
        return True

    async def __aenter__(self) -> Self:
        """Return this executor."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing."""


_BROKEN_OFF = Completion(text="", finish_reason=FinishReason.LENGTH, prompt_tokens=0, completion_tokens=0)
_CHARS_PER_TOKEN = 4


def _stopped(text: str, stop: tuple[str, ...]) -> Completion:
    whole = Completion(text=text, finish_reason=FinishReason.STOP, prompt_tokens=0, completion_tokens=0)
    completion = _cut(whole, stop)
    return replace(completion, completion_tokens=len(completion.text.split()))


def _cut(completion: Completion, stop: tuple[str, ...]) -> Completion:
    """Return `completion` up to the first stop string in it."""
    found = [position for string in stop if (position := completion.text.find(string)) >= 0]
    if not found:
        return completion
    text = completion.text[: min(found)]
    return replace(completion, text=text, finish_reason=FinishReason.STOP, completion_tokens=0)


def _counted(completion: Completion, prompt: str) -> Completion:
    """Return `completion` with estimates for unknown token counts."""
    return replace(
        completion,
        prompt_tokens=completion.prompt_tokens or len(prompt) // _CHARS_PER_TOKEN,
        completion_tokens=completion.completion_tokens or len(completion.text) // _CHARS_PER_TOKEN,
    )


def _words(segments: Sequence[Segment]) -> list[tuple[Kind, list[str]]]:
    return [(segment.kind, segment.text.split()) for segment in segments]
