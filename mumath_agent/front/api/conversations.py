"""Recognise a conversation that a client goes on with, and bring back its Python session.

The API has no conversations: a client sends all messages each time. So a session is found by what was said: a digest of
the client's key and of all messages up to and with the last answer. It is taken by whoever goes on first; two clients
that said the same up to there have two sessions. Who has changed a message, or repeats a turn, begins a new one.
"""

import hashlib
import json
from collections.abc import Sequence

from mumath_agent.front.api.requests import ChatMessage
from mumath_agent.front.sessions import Sessions


class Conversations:
    """The sessions of conversations that may go on."""

    def __init__(self, sessions: Sessions) -> None:
        """Begin with none."""
        self._sessions = sessions
        self._waiting: dict[str, list[tuple[str, str]]] = {}
        """Handles and owners, by digest."""

    async def take(self, owner: str, messages: Sequence[ChatMessage]) -> str:
        """Return the handle of the session that belongs to these messages, or of a new one.

        Raises:
            Busy: there are too many sessions, and all are in use.
        """
        found = self._waiting.pop(_digest(owner, messages[:-1]), [])
        while found:
            handle, _ = found.pop()
            if self._sessions.has(handle, owner):
                if found:
                    self._waiting[_digest(owner, messages[:-1])] = found
                return handle
        return await self._sessions.begin(owner)

    def keep(self, handle: str, owner: str, messages: Sequence[ChatMessage], answer: str) -> None:
        """Remember the session for whoever goes on behind this answer."""
        if len(self._waiting) > 2 * self._sessions.limits.most:
            self._forget_ended()
        said = [*messages, ChatMessage(role="assistant", content=answer)]
        self._waiting.setdefault(_digest(owner, said), []).append((handle, owner))

    def _forget_ended(self) -> None:
        for digest, found in list(self._waiting.items()):
            living = [each for each in found if self._sessions.has(*each)]
            if living:
                self._waiting[digest] = living
            else:
                del self._waiting[digest]


def _digest(owner: str, messages: Sequence[ChatMessage]) -> str:
    said = [owner, *([message.role, message.text.strip()] for message in messages)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
