"""Where a text ends: at its first stop string.

Used for every model, also where the server cuts by itself: servers differ, and what is shown while it
arrives must never have to be taken back.
"""


class TextUntilStop:
    """A text that arrives in pieces. How it is cut into pieces never changes where it ends.

    The first stop string is the one that is complete first, as if the text came character by character.
    """

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = tuple(filter(None, stop))
        self._reach = max(map(len, self._stop), default=1) - 1
        self.text = ""
        """Everything before the stop string."""
        self.stopped = False
        """A stop string was met; further pieces are ignored."""

    def add(self, piece: str) -> None:
        """Take the next piece."""
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
        """The text without an ending that may turn out to be the beginning of a stop string."""
        if self.stopped:
            return self.text
        return self.text[: len(self.text) - max(map(self._begun, self._stop), default=0)]

    def _begun(self, stop: str) -> int:
        """How many characters of `stop` the text ends with."""
        lengths = range(min(len(stop) - 1, len(self.text)), 0, -1)
        return next((n for n in lengths if self.text.endswith(stop[:n])), 0)
