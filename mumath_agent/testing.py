"""Public doubles: a model and a kernel that follow a script, and a model that repeats what another one wrote.

For tests of code that uses this library, and for ours where the real part would hide the point. They implement the
same protocols as the real ones; the scripted ones record what they were asked.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from mumath_agent.dialects import Fenced
from mumath_agent.errors import ModelError, ModelRefused
from mumath_agent.protocols import CompletionRequest, OnText, TextDialect
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason, Prompt
from mumath_agent.transcript import Kind, Segment, Transcript


@dataclass(kw_only=True)
class ScriptedModel:
    """A model that answers the given texts in turn, cut at stop strings like a real one."""

    texts: Iterable[str | Completion | Exception]
    name: str = "scripted"
    prompts: list[Prompt] = field(default_factory=list)
    """Every prompt it was sent."""

    def __post_init__(self) -> None:
        self._texts = iter(self.texts)

    async def warm_up(self) -> None:
        return None

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        self.prompts.append(request.prompt)
        item = next(self._texts, None)
        if item is None:
            raise ModelError(f"the script has ended after {len(self.prompts) - 1} completions")
        if isinstance(item, Exception):
            raise item
        completion = item if isinstance(item, Completion) else _stopped(item, request.stop)
        if on_text:
            on_text(completion.text)
        return completion

    async def aclose(self) -> None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a model once wrote for a question."""

    question: str
    turns: tuple[Completion, ...]
    """Token counts of 0 are unknown ones."""


@dataclass(kw_only=True)
class ReplayModel:
    """A model that answers each prompt with what was recorded in its place.

    The prompt alone says which turn of which recording comes next: its question finds the recordings, and what follows
    has to be what they wrote, white space aside, with any output in the place of each recorded one. So it serves any
    number of attempts at once, in any order, through any client. Several recordings that fit are served in turn.

    A recording that broke off after a program goes on with an empty completion, cut by the token limit. `max_tokens`
    and `sampling` change nothing. Where token counts were not recorded, they are a guess: four characters a token.
    """

    recordings: Iterable[Recording]
    dialect: TextDialect = field(default_factory=Fenced)
    name: str = "replay"

    def __post_init__(self) -> None:
        self._by_prompt: dict[str, list[Recording]] = {}
        for recording in self.recordings:
            first_prompt = self.dialect.prompt(Transcript(question=recording.question))
            self._by_prompt.setdefault(first_prompt, []).append(recording)
        self._served: Counter[str] = Counter()

    async def warm_up(self) -> None:
        return None

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """See `CompletionModel.complete`.

        Raises:
            ModelRefused: nothing recorded follows `prompt`.
        """
        if not isinstance(request.prompt, str):
            raise ModelRefused(f"{self.name} repeats text and was sent messages; replay in a dialect of text")
        fitting = self._recorded_after(request.prompt)
        recorded = fitting[self._served[request.prompt] % len(fitting)]
        self._served[request.prompt] += 1
        completion = _counted(_cut(recorded, request.stop), request.prompt)
        if on_text and completion.text:
            on_text(completion.text)
        return completion

    async def aclose(self) -> None:
        return None

    def _recorded_after(self, prompt: str) -> list[Completion]:
        known = max(filter(prompt.startswith, self._by_prompt), key=len, default=None)
        if known is None:
            raise ModelRefused(f"nothing is recorded for the prompt that ends in {prompt[-60:]!r}")
        solution = self.dialect.parse(prompt.removeprefix(known))
        turns = (self._next_turn(recording, solution) for recording in self._by_prompt[known])
        if not (fitting := [turn for turn in turns if turn is not None]):
            raise ModelRefused(f"the recorded solution is over, or another one than in {prompt[-60:]!r}")
        return fitting

    def _next_turn(self, recording: Recording, solution: Sequence[Segment]) -> Completion | None:
        """The turn that follows `solution`; None if that is not what was recorded, or the end of it."""
        transcript = Transcript(question=recording.question)
        for turn in (*recording.turns, _BROKEN_OFF):
            start = len(transcript.segments)
            if start == len(solution):
                return turn
            transcript = self.dialect.with_completion(transcript, turn)
            end = len(transcript.segments)
            if _words(solution[start:end]) != _words(transcript.segments[start:]):
                return None
            output = solution[end : end + 1]
            if not output or output[0].kind is not Kind.OUTPUT:
                return None
            transcript = transcript.extended(*output)
        return None


@dataclass(kw_only=True)
class ScriptedExecutor:
    """A kernel that answers the given executions in turn; a plain string is what the program printed."""

    executions: Iterable[Execution | str]
    isolation: str = "scripted"
    programs: list[str] = field(default_factory=list)
    """Every program it was given."""

    def __post_init__(self) -> None:
        self._executions = iter(self.executions)

    async def run(
        self, code: str, *, timeout_s: float, on_output: Callable[[str, str], None] | None = None
    ) -> Execution:
        self.programs.append(code)
        item = next(self._executions)
        execution = item if isinstance(item, Execution) else Execution(status=ExecutionStatus.OK, stdout=item)
        if on_output and execution.stdout:
            on_output("stdout", execution.stdout)
        return execution

    async def restore(self, history: Sequence[tuple[str, Execution]]) -> bool:
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None


_BROKEN_OFF = Completion(text="", finish_reason=FinishReason.LENGTH, prompt_tokens=0, completion_tokens=0)
_CHARS_PER_TOKEN = 4


def _stopped(text: str, stop: tuple[str, ...]) -> Completion:
    whole = Completion(text=text, finish_reason=FinishReason.STOP, prompt_tokens=0, completion_tokens=0)
    completion = _cut(whole, stop)
    return replace(completion, completion_tokens=len(completion.text.split()))


def _cut(completion: Completion, stop: tuple[str, ...]) -> Completion:
    """`completion` as far as the first stop string in it."""
    found = [position for string in stop if (position := completion.text.find(string)) >= 0]
    if not found:
        return completion
    text = completion.text[: min(found)]
    return replace(completion, text=text, finish_reason=FinishReason.STOP, completion_tokens=0)


def _counted(completion: Completion, prompt: str) -> Completion:
    """`completion` with a guess in the place of token counts nobody knows."""
    return replace(
        completion,
        prompt_tokens=completion.prompt_tokens or len(prompt) // _CHARS_PER_TOKEN,
        completion_tokens=completion.completion_tokens or len(completion.text) // _CHARS_PER_TOKEN,
    )


def _words(segments: Sequence[Segment]) -> list[tuple[Kind, list[str]]]:
    return [(segment.kind, segment.text.split()) for segment in segments]
