"""How a model family writes a transcript.

A dialect owns the marks: it renders the prompt, names the stop strings, cuts a completion into segments and writes
an execution as an OUTPUT segment. Everything else in the house handles segments and never sees a fence.

    fenced, fenced-qwen, fenced-numina   fenced.py: MuMath-Code and ToRA, and those that took over their fences
    blocks                               blocks.py: MathCoder
    chat, tools                          chat.py: any chat model, by its words or by tool calls

Adding a family means adding one module or one template here and a line to `_DIALECTS`; docs/dialects.md shows it.
"""

from collections.abc import Mapping
from typing import Protocol

from mumath_agent.dialects.blocks import Blocks
from mumath_agent.dialects.chat import Chat, ChatInText
from mumath_agent.dialects.fenced import NUMINA, QWEN, Fenced
from mumath_agent.errors import InputError
from mumath_agent.records import Completion, Execution, Prompt
from mumath_agent.transcript import Segment, Transcript


class Dialect(Protocol):
    """The seam between transcripts and what a model reads and writes."""

    @property
    def name(self) -> str:
        """What records call it; `get_dialect` knows it by this name."""
        ...

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings that end a completion; excluded from its text."""
        ...

    def prompt(self, transcript: Transcript) -> Prompt:
        """All that is sent to the model for its next turn; a prefix of every later turn's prompt."""
        ...

    def parse(self, text: str) -> tuple[Segment, ...]:
        """Cut the text of a solution. Lossless: the joined segments are `text`, for every string."""
        ...

    def with_completion(self, transcript: Transcript, completion: Completion) -> Transcript:
        """Append what the model wrote. Only the new text is parsed, never the history."""
        ...

    def pending_code(self, transcript: Transcript) -> str | None:
        """The program of the last turn if the transcript ends with a request for its output, else None."""
        ...

    def with_output(self, transcript: Transcript, execution: Execution, *, max_chars: int) -> Transcript:
        """Append what the kernel answered, so written that it can't be taken for anything but output."""
        ...


class TextDialect(Dialect, Protocol):
    """A dialect whose prompt is raw text: what its models are trained on, byte for byte."""

    def prompt(self, transcript: Transcript) -> str: ...


_TEXT: tuple[TextDialect, ...] = (Fenced(), Fenced(template=QWEN), Fenced(template=NUMINA), Blocks())
_ALL: tuple[Dialect, ...] = (*_TEXT, Chat(), Chat(tool=True))
_DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in _ALL}


def get_dialect(name: str) -> Dialect:
    """The dialect called `name`.

    Raises:
        InputError: there is none of that name.
    """
    if name not in _DIALECTS:
        raise InputError(f"unknown dialect {name!r}; known: {', '.join(_DIALECTS)}")
    return _DIALECTS[name]


def get_text_dialect(name: str) -> TextDialect:
    """The dialect that transcripts of `name` are trained in: itself, or the fenced one, in which chats are kept.

    Raises:
        InputError: there is none of that name.
    """
    known = get_dialect(name)
    return next((dialect for dialect in _TEXT if dialect.name == known.name), Fenced())


def get_replay_dialect(name: str) -> TextDialect:
    """The dialect that recordings made in `name` are read with again: a chat's needs no messages then.

    Raises:
        InputError: there is none of that name.
    """
    known = get_dialect(name)
    return ChatInText(known) if isinstance(known, Chat) else get_text_dialect(name)


def request_fields(dialect: Dialect) -> Mapping[str, object]:
    """What a request to a server must carry besides, so that special tokens which are marks stay in its text."""
    if isinstance(dialect, Blocks):
        return {"skip_special_tokens": False, "spaces_between_special_tokens": False}
    return {}


__all__ = [
    "Blocks",
    "Chat",
    "Dialect",
    "Fenced",
    "TextDialect",
    "get_dialect",
    "get_replay_dialect",
    "get_text_dialect",
    "request_fields",
]
