"""Recognise a conversation that a client goes on with, and bring back its Python session.

The API has no conversations: a client sends all messages each time. So a session is found by what was said: a digest of
the client's key and of what user and assistant said up to and with the last answer. It is taken by whoever goes on
first; two clients that said the same up to there have two sessions. Whoever changes that, or repeats a turn, begins a
new one.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mumath_agent.front.api.requests import ChatMessage
from mumath_agent.front.sessions import Sessions
from mumath_agent.kernels.recovery import in_last_session
from mumath_agent.records import RunRecord
from mumath_agent.runs.executed import session_of

_MOST_PROGRAMS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A conversation's session."""

    handle: str
    owner: str
    programs: tuple[str, ...] = ()
    """Those that made its state, of which a model sees nothing else."""

    def after(self, record: RunRecord) -> "Kept":
        """Return the session after an attempt in it."""
        cells = session_of(record).cells
        began_anew = any(cell.execution.state_lost for cell in cells)
        ran = tuple(cell.code for cell in in_last_session(cells))
        return replace(self, programs=ran if began_anew else (*self.programs, *ran)[-_MOST_PROGRAMS:])


class Conversations:
    """The sessions of conversations that may go on."""

    def __init__(self, sessions: Sessions) -> None:
        """Begin with none."""
        self._sessions = sessions
        self._waiting: dict[str, list[Kept]] = {}
        """By digest."""

    async def take(self, owner: str, messages: Sequence[ChatMessage]) -> Kept:
        """Return the session that belongs to these messages, or a new one.

        Raises:
            Busy: there are too many sessions, and all are in use.
        """
        answers = [place for place, message in enumerate(messages) if message.role == "assistant"]
        digest = _digest(owner, messages[: answers[-1] + 1] if answers else ())
        found = [kept for kept in self._waiting.pop(digest, []) if self._sessions.has(kept.handle, owner)]
        if not found:
            return Kept(handle=await self._sessions.begin(owner), owner=owner)
        if found[:-1]:
            self._waiting[digest] = found[:-1]
        return found[-1]

    def keep(self, kept: Kept, messages: Sequence[ChatMessage], answer: str) -> None:
        """Remember the session for whoever goes on behind this answer."""
        if len(self._waiting) > 2 * self._sessions.limits.most:
            self._forget_ended()
        said = [*messages, ChatMessage(role="assistant", content=answer)]
        self._waiting.setdefault(_digest(kept.owner, said), []).append(kept)

    def _forget_ended(self) -> None:
        for digest, found in list(self._waiting.items()):
            living = [kept for kept in found if self._sessions.has(kept.handle, kept.owner)]
            if living:
                self._waiting[digest] = living
            else:
                del self._waiting[digest]


def _digest(owner: str, messages: Sequence[ChatMessage]) -> str:
    said = [owner, *([message.role, message.text.strip()] for message in messages)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
