"""Take questions, and know each one that is being answered.

    ask ─▶ Answering, a task of its own ─▶ Following ─▶ pages
                 ▲ stop, decide                └──────▶ history

An answer doesn't depend on the page that asked: it goes on while a page is closed or read again.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mumath_agent.agent.solver import SolverOptions
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.front.places import Busy
from mumath_agent.front.sessions import Sessions
from mumath_agent.front.web.answering import Answering, Means, Question
from mumath_agent.front.web.choices import Choice, Solvers
from mumath_agent.front.web.conversations import Conversations
from mumath_agent.front.web.history import History, Kept
from mumath_agent.front.web.views import AnswerView, new_view
from mumath_agent.grading import Grader
from mumath_agent.solutions import Attempts

if TYPE_CHECKING:
    from mumath_agent.agent.approval import Decision

MOST_ANSWERS = 8
"""How many questions are answered at a time."""
_EVERY_S = 0.08


class Desk:
    """The questions of a server, for one event loop; an async context manager that ends them all."""

    def __init__(
        self, solvers: Solvers, sessions: Sessions, grader: Grader, history: History, how: Attempts
    ) -> None:
        """Begin without a question; `how` says what votes count and what ends attempts early."""
        self.solvers, self.history, self.how = solvers, history, how
        self._means = Means(solvers, Conversations(sessions), grader, sessions.pool)
        self._answering: dict[str, Answering] = {}
        """By conversation."""

    async def __aenter__(self) -> Self:
        """Return this."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop all that is under way."""
        for each in (ending := tuple(self._answering.values())):
            each.stop()
        for each in ending:
            await each.ended.wait()

    def ask(self, asked: Question) -> str:
        """Begin to answer, and return the conversation's name.

        Raises:
            InputError: there is no such model or conversation, or it is being answered.
            Busy: too many questions are.
        """
        choice = self.solvers.choice(asked.model)
        name = asked.conversation or secrets.token_urlsafe(12)
        earlier = self.history.conversation(name) if asked.conversation else []
        if asked.conversation and not earlier:
            raise InputError("there is no such conversation; it may have been removed")
        if name in self._answering:
            raise InputError("the question before this one is still being answered; wait, or stop it")
        if len(self._answering) >= MOST_ANSWERS:
            raise Busy(f"{len(self._answering)} questions are being answered")
        view = new_view(
            id=secrets.token_urlsafe(12),
            question=asked.question,
            model=choice.label,
            number=asked.attempts,
            asked_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self.history.keep(name, len(earlier), Kept(view=view, solution=None))
        answering = Answering(asked, name, view, replace(self.how, number=asked.attempts), earlier)
        self._answering[name] = answering
        answering.task = asyncio.create_task(self._answer(answering))
        answering.task.add_done_callback(lambda _: self._ended(answering))
        return name

    def stop(self, name: str) -> None:
        """Stop what is under way in a conversation; do nothing if nothing is."""
        if answering := self._answering.get(name):
            answering.stop()

    def decide(self, name: str, token: str, decision: "Decision") -> None:
        """Decide on a program that waits.

        Raises:
            InputError: it doesn't wait any more.
        """
        if (answering := self._answering.get(name)) is None:
            raise InputError("this program doesn't wait for a decision any more")
        answering.decide(token, decision)

    def conversation(self, name: str) -> list[AnswerView]:
        """Return the answers of a conversation as they are now, in order."""
        views = [kept.whole for kept in self.history.conversation(name)]
        if views and views[-1].state == "running":
            answering = self._answering.get(name)
            views[-1] = answering.following.view if answering else replace(views[-1], state="interrupted")
        return views

    async def watch(self, name: str) -> AsyncIterator[list[AnswerView]]:
        """Yield the answers of a conversation, again whenever one has changed, until nothing is under way."""
        while answering := self._answering.get(name):
            earlier = [kept.whole for kept in answering.earlier]
            async for view in answering.following.views(_EVERY_S):
                if answering.ended.is_set():
                    break
                yield [*earlier, view]
        yield self.conversation(name)

    def forget(self, name: str) -> None:
        """Remove a conversation.

        Raises:
            InputError: it is being answered, or the file can't be written.
        """
        if name in self._answering:
            raise InputError("stop the answer before you remove the conversation")
        self.history.forget(name)

    async def _answer(self, answering: Answering) -> None:
        kept = await answering.run(self._means)
        with suppress(MuMathError):  # a full disk, say: the page then calls it interrupted
            self.history.keep(answering.name, len(answering.earlier), kept)

    def _ended(self, answering: Answering) -> None:
        del self._answering[answering.name]
        answering.ended.set()
        answering.following.tell()


@asynccontextmanager
async def opened_desk(
    choices: tuple[Choice, ...], options: SolverOptions, how: Attempts, history: History
) -> AsyncIterator[Desk]:
    """Open a desk with its models and Python sessions, for the block."""
    async with (
        Sessions(options) as sessions,
        Grader(workers=2) as grader,
        Solvers(choices) as solvers,
        Desk(solvers, sessions, grader, history, how) as desk,
    ):
        yield desk


__all__ = ["Desk", "opened_desk"]
