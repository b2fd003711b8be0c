"""Keep the last transcripts, so that a client can read how an answer was found: each under an id nobody can guess."""

import secrets
from collections import OrderedDict

from mumath_agent.records import RunRecord
from mumath_agent.runs.display import as_markdown, solution_markdown
from mumath_agent.solutions import Solution

MOST = 64
_ID_BYTES = 18


class Transcripts:
    """The last transcripts of a server, each for its owner."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: OrderedDict[tuple[str, str], str] = OrderedDict()

    def keep(self, owner: str, result: RunRecord | Solution) -> str:
        """Keep a result as a page of Markdown, without figures; return its id."""
        name = secrets.token_urlsafe(_ID_BYTES)
        self._kept[owner, name] = (
            solution_markdown(result) if isinstance(result, Solution) else as_markdown(result)
        )
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return name

    def read(self, owner: str, name: str) -> str | None:
        """Return what is kept for the owner under that id, if anything is."""
        return self._kept.get((owner, name))
