"""The three things the agent's loop needs from outside: a model, a dialect and a Python session.

    prompt ─ CompletionModel ─▶ completion ─ Dialect ─▶ transcript, program ─ Executor ─▶ execution

Each is a protocol, so anything with these methods will do. `mumath_agent.models`, `mumath_agent.dialects` and
`mumath_agent.kernels` hold the ones that come with the library; `mumath_agent.testing` has scripted ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from mumath_agent.records import Completion, Execution, Sampling
from mumath_agent.transcript import Segment, Transcript

OnText = Callable[[str], None]
"""Called with each new piece of text as it arrives."""


class Role(StrEnum):
    """Who says a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    """The output of the program in the message before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call of a tool, as the model wrote it."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to a chat model, or of it."""

    role: Role
    text: str
    code: str | None = None
    """The program the assistant gave to its tool, where it called it."""
    reasoning: str = ""
    """What the assistant thought before it said this."""
    failed_calls: tuple[ToolCall, ...] = ()
    """The assistant's calls that can't be run; the tool's next messages answer them, before the program's output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The messages a chat model is sent in the place of raw text."""

    messages: tuple[Message, ...]
    tool: bool = False
    """The model is given one tool, `python(code)`, and programs go to and fro as calls of it."""
    begin: str = ""
    """What the model's answer begins with; it is part of the completion. Only some servers can continue a message."""


Prompt = str | Conversation
"""The prompt a model continues: raw text, which it is trained on byte for byte, or the messages of a chat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """What a model is asked for: to continue `prompt` until a stop string, its end token or `max_tokens` tokens."""

    prompt: Prompt
    """Raw text, or the messages of a chat."""
    stop: tuple[str, ...] = ()
    """Strings that end the completion and aren't part of its text."""
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    logprobs: bool = False
    """Fill `Completion.logprob`, if the model can; one that has it for nothing may do so unasked."""
    tokens: bool = False
    """Fill `Completion.token_ids` and `token_logprobs`, if the model can."""
    prompt_ids: tuple[int, ...] | None = None
    """The prompt in token ids: continue exactly these. Only models that can fill `token_ids` look at it."""


class CompletionModel(Protocol):
    """A language model that continues a prompt. All methods belong to one event loop."""

    @property
    def name(self) -> str:
        """The name written into records, e.g. the one a server serves the model by."""
        ...

    async def warm_up(self) -> None:
        """Load what the first completion needs, or find out early that there will be none. Optional to call.

        Raises:
            ModelUnreachable, ModelRefused: as `complete` would.
        """
        ...

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Continue the prompt.

        The pieces that `on_text` gets add up to the completion's text, unless a broken stream had to be tried again.
        Cancelling the call ends the generation.

        Raises:
            ModelUnreachable: nothing answered, or the answer broke off, also after retries.
            ModelRefused: the request can't be served as it is (wrong model name, prompt of the wrong kind).
        """
        ...

    async def aclose(self) -> None:
        """Release connections, threads and memory."""
        ...


class Dialect(Protocol):
    """How a model family writes a transcript."""

    @property
    def name(self) -> str:
        """The name records have for it; `get_dialect` knows it by this name."""
        ...

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings that end a completion; excluded from its text."""
        ...

    @property
    def nudges(self) -> int:
        """How often an attempt is nudged, where `Limits.max_nudges` doesn't say."""
        ...

    def prompt(self, transcript: Transcript) -> Prompt:
        """Return all that is sent to the model for its next turn: a prefix of every later turn's prompt."""
        ...

    def parse(self, text: str) -> tuple[Segment, ...]:
        """Cut the text of a solution. Lossless: the joined segments are `text`, for every string."""
        ...

    def with_completion(self, transcript: Transcript, completion: Completion) -> Transcript:
        """Append what the model wrote. Only the new text is parsed, never the history."""
        ...

    def pending_code(self, transcript: Transcript) -> str | None:
        """Return the program of the last turn if the transcript ends with a request for its output, else None."""
        ...

    def with_output(self, transcript: Transcript, execution: Execution, *, max_chars: int) -> Transcript:
        """Append what the kernel answered, written so that it can't be taken for anything but output."""
        ...

    def with_note(self, transcript: Transcript, note: str) -> Transcript:
        """Append a note of the agent's to the model, in the form of an output."""
        ...


class TextDialect(Dialect, Protocol):
    """A dialect whose prompt is raw text: what its models are trained on, byte for byte."""

    def prompt(self, transcript: Transcript) -> str:
        """See `Dialect.prompt`."""
        ...


class ExecutedCell(NamedTuple):
    """A program and what it did."""

    code: str
    execution: Execution


class Executor(Protocol):
    """A Python session for the programs of one attempt; an async context manager that owns the session."""

    @property
    def isolation(self) -> str:
        """The level of isolation its programs run at; "none" means with the user's own rights."""
        ...

    async def run(
        self, code: str, *, timeout_s: float, on_output: Callable[[str, str], None] | None = None
    ) -> Execution:
        """Run one program to its end or its time limit. What the program does wrong is data, never an exception.

        `on_output` is called with "stdout" or "stderr" and each piece of text as it is printed.

        Raises:
            KernelError: no kernel could be started to run it.
        """
        ...

    async def restore(self, history: Sequence[ExecutedCell]) -> bool:
        """Bring a session that has run nothing yet to where `history` had brought another one; return whether it is.

        A session that ran something is left alone. If what was there can't be had again, the next execution says that
        state was lost.

        Raises:
            KernelError: no kernel could be started to do it.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
