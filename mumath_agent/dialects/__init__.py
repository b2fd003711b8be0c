"""How a model family writes a transcript.

A dialect owns the marks: it renders the prompt, names the stop strings, cuts a completion into segments and writes
an execution as an OUTPUT segment. Everything else in the house handles segments and never sees a fence.

Adding a family means adding one module here and a line to `_DIALECTS`.
"""

from typing import Protocol

from mumath_agent.dialects.blocks import Blocks
from mumath_agent.dialects.fenced import Fenced
from mumath_agent.errors import InputError
from mumath_agent.records import Completion, Execution
from mumath_agent.transcript import Segment, Transcript


class Dialect(Protocol):
    """The seam between transcripts and the text a model reads and writes."""

    @property
    def name(self) -> str: ...

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings that end a completion; excluded from its text."""
        ...

    def prompt(self, transcript: Transcript) -> str:
        """The whole text sent to the model for its next turn; a prefix of every later turn's prompt."""
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


_DIALECTS: dict[str, Dialect] = {"fenced": Fenced(), "blocks": Blocks()}


def get_dialect(name: str) -> Dialect:
    """The dialect called `name`.

    Raises:
        InputError: there is none of that name.
    """
    if name not in _DIALECTS:
        raise InputError(f"unknown dialect {name!r}; known: {', '.join(sorted(_DIALECTS))}")
    return _DIALECTS[name]


__all__ = ["Blocks", "Dialect", "Fenced", "get_dialect"]
