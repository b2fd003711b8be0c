"""Follow a text that arrives in pieces: end it at its first stop string, and pass on what is new.

Every model uses this, also where the server applies stop strings itself: servers differ, and text that was shown while
it arrived must never be taken back.
"""

from collections.abc import Callable


class TextUntilStop:
    """A text that arrives in pieces and ends before its first stop string, however it was cut into pieces.

    The first stop string is the one that is complete first, as if the text came character by character.
    """

    def __init__(self, stop: tuple[str, ...]) -> None:
        """Start with an empty text; empty stop strings are ignored."""
        self._stop = tuple(filter(None, stop))
        self._reach = max(map(len, self._stop), default=1) - 1
        self.text = ""
        """Everything before the stop string."""
        self.stopped = False
        """Whether a stop string was found; further pieces are ignored."""

    def add(self, piece: str) -> None:
        """Append the next piece."""
        if self.stopped:
            return
        start = max(0, len(self.text) - self._reach)
        self.text += piece
        # (end, start) of each stop string's first occurrence
        found = [(at + len(s), at) for s in self._stop if (at := self.text.find(s, start)) >= 0]
        if found:
            self.text, self.stopped = self.text[: min(found)[1]], True

    @property
    def settled(self) -> str:
        """The text without an ending that could still become a stop string."""
        if self.stopped:
            return self.text
        return self.text[: len(self.text) - max(map(self._begun, self._stop), default=0)]

    def _begun(self, stop: str) -> int:
        """Return how many characters of `stop` the text ends with."""
        lengths = range(min(len(stop) - 1, len(self.text)), 0, -1)
        return next((n for n in lengths if self.text.endswith(stop[:n])), 0)


def new_text_only(on_text: Callable[[str], None] | None) -> Callable[[str], None]:
    """Return a function that takes the text so far and passes to `on_text` only what is beyond the longest so far."""
    told = 0

    def tell(so_far: str) -> None:
        nonlocal told
        if on_text and len(so_far) > told:
            news, told = so_far[told:], len(so_far)
            on_text(news)

    return tell
