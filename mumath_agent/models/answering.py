"""Put an answer together as it arrives: what a chat model thinks, what it says, which tools it calls.

A completion is text, and text that was shown is never taken back. So thoughts are shown by whole lines, in the form in
which they stay (`dialects/reasoning.py`); those that come after the first word come at the end.
"""

from collections.abc import Sequence

from mumath_agent.dialects.calls import with_calls
from mumath_agent.dialects.reasoning import thoughts_so_far, with_reasoning
from mumath_agent.models.stopping import TextUntilStop
from mumath_agent.protocols import ToolCall


class ArrivingAnswer:
    """An answer that arrives in pieces and ends before its first stop string; thoughts have none."""

    def __init__(self, stop: tuple[str, ...]) -> None:
        """Start with nothing."""
        self.said = TextUntilStop(stop)
        self._thought, self._late, self._shown = "", "", ""

    def think(self, piece: str) -> None:
        """Append to what the model thinks."""
        if self.said.text.strip():
            self._late += piece
            return
        self._thought += piece
        if "\n" in piece:
            self._shown = thoughts_so_far(self._thought)

    def say(self, piece: str) -> None:
        """Append to what the model says."""
        begins = not self.said.text.strip()
        self.said.add(piece)
        if begins and self.said.text.strip():
            self._shown = with_reasoning(self._thought, "")

    @property
    def settled(self) -> str:
        """What will stay as it is."""
        said = self.said.settled
        return self._shown + (said.lstrip("\r\n") if self._shown else said) if said.strip() else self._shown

    def whole(self, calls: Sequence[ToolCall], *, cut: bool) -> str:
        """Return all of it as text; `cut` says that the token limit ended it. Whoever is stopped calls nothing."""
        said = with_reasoning(self._thought, self.said.text)
        if late := with_reasoning(self._late, ""):
            said = f"{said.rstrip()}\n{late}"
        return with_calls(said, [] if self.said.stopped else list(calls), cut=cut)
