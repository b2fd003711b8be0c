"""Take questions, answer them in the background, and know each one that is under way.

    ask ─▶ task: solver, session ─▶ Following ─▶ history
            ▲ stop, decide

An answer doesn't depend on the page that asked: it goes on while a page is closed or read again.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mumath_agent.errors import InputError, MuMathError
from mumath_agent.front.places import Busy
from mumath_agent.front.service import Earlier, in_conversation
from mumath_agent.front.sessions import SessionGone, Sessions
from mumath_agent.front.web.choices import Solvers
from mumath_agent.front.web.following import Following
from mumath_agent.front.web.history import History, Kept
from mumath_agent.front.web.solving import PageSolver, Records, ran_before, solved
from mumath_agent.front.web.views import AnswerView, Asked, new_view, with_solution
from mumath_agent.problems import check_question
from mumath_agent.protocols import Executor
from mumath_agent.records import Problem
from mumath_agent.runs.page.highlight import colours
from mumath_agent.solutions import Attempts, Solution

if TYPE_CHECKING:
    from mumath_agent.agent.approval import Decision
    from mumath_agent.agent.attempt import Listener
    from mumath_agent.agent.attempts import SolvingEvent

MOST_ATTEMPTS = 16
MOST_ANSWERS = 8
"""How many questions are answered at a time."""
DECIDE_S = 3600.0
"""An answer whose program nobody decides on for this long is stopped."""
_EVERY_S = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person asks."""

    question: str
    model: str
    attempts: int = 1
    approve: bool = False
    """Ask before each program."""
    conversation: str | None = None
    """The conversation it goes on with."""

    def __post_init__(self) -> None:
        """Refuse what can't be asked.

        Raises:
            InputError: says why.
        """
        check_question(self.question)
        if not 1 <= self.attempts <= MOST_ATTEMPTS:
            raise InputError(f"attempts is {self.attempts}; it must be between 1 and {MOST_ATTEMPTS}")


@dataclass(slots=True, eq=False)
class _Answering:
    """An answer under way."""

    conversation: str
    place: int
    how: Attempts
    asked: Question
    problem: Problem
    earlier: list[Kept]
    following: Following
    records: Records
    waiting: dict[str, "_Waiting"] = field(default_factory=dict)
    """Programs that wait for a person, by a token for each."""
    task: asyncio.Task[None] | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class _Waiting:
    program: str
    decision: "asyncio.Future[Decision]"


class Desk:
    """The questions of a server, for one event loop; an async context manager that ends them all."""

    def __init__(self, solvers: Solvers, sessions: Sessions, history: History, how: Attempts) -> None:
        """Begin without a question; `how` says what votes count and what ends attempts early."""
        self.solvers, self.sessions, self.history, self.how = solvers, sessions, history, how
        self._answering: dict[str, _Answering] = {}
        """By conversation."""
        self._handles: dict[str, str] = {}
        """The Python session of each conversation that has a live one."""

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
        tasks = [each.task for each in self._answering.values() if each.task]
        for each in tuple(self._answering.values()):
            self._stop(each)
        if tasks:
            await asyncio.wait(tasks)

    def ask(self, asked: Question) -> str:
        """Begin to answer, and return the conversation's name.

        Raises:
            InputError: there is no such model or conversation, or it is being answered.
            Busy: too many questions are.
        """
        choice = self.solvers.choice(asked.model)
        conversation = asked.conversation or secrets.token_urlsafe(12)
        earlier = self.history.conversation(conversation) if asked.conversation else []
        if asked.conversation and not earlier:
            raise InputError("there is no such conversation; it may have been removed")
        if conversation in self._answering:
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
        told = [Earlier(question=each.view.question, answer=_said(each)) for each in earlier]
        following = Following(view)
        answering = _Answering(
            conversation=conversation,
            place=len(earlier),
            how=replace(self.how, number=asked.attempts),
            asked=asked,
            problem=Problem(id="question", question=in_conversation(asked.question, told)),
            earlier=earlier,
            following=following,
            records=Records(following.kept),
        )
        self._keep(answering, view)
        self._answering[conversation] = answering
        answering.task = asyncio.create_task(self._answer(answering))
        return conversation

    def stop(self, conversation: str) -> None:
        """Stop what is under way in a conversation; do nothing if nothing is."""
        if answering := self._found(conversation):
            self._stop(answering)

    def decide(self, conversation: str, token: str, decision: "Decision") -> None:
        """Decide on a program that waits.

        Raises:
            InputError: it doesn't wait any more.
        """
        answering = self._found(conversation)
        waiting = answering.waiting.get(token) if answering else None
        if waiting is None or waiting.decision.done():
            raise InputError("this program doesn't wait for a decision any more")
        waiting.decision.set_result(decision)

    def conversation(self, id: str) -> list[AnswerView]:
        """Return the answers of a conversation as they are now, in order."""
        views = [kept.whole for kept in self.history.conversation(id)]
        if views and views[-1].state == "running":
            answering = self._found(id)
            views[-1] = answering.following.view if answering else replace(views[-1], state="interrupted")
        return views

    async def watch(self, id: str) -> AsyncIterator[list[AnswerView]]:
        """Yield the answers of a conversation, again whenever one has changed, until nothing is under way."""
        while answering := self._found(id):
            earlier = [kept.whole for kept in answering.earlier]
            async for view in answering.following.views(_EVERY_S):
                if answering.ended.is_set():
                    break
                yield [*earlier, view]
        yield self.conversation(id)

    def forget(self, id: str) -> None:
        """Remove a conversation; what is under way in it is stopped.

        Raises:
            InputError: the file can't be written.
        """
        if self._found(id):
            raise InputError("stop the answer before you remove the conversation")
        self._handles.pop(id, None)
        self.history.forget(id)

    def _found(self, conversation: str) -> _Answering | None:
        return self._answering.get(conversation)

    def _stop(self, answering: _Answering) -> None:
        if answering.task:
            answering.task.cancel()

    async def _answer(self, answering: _Answering) -> None:
        """Answer a question to its end; whatever becomes of it is kept."""
        solution, state, note = None, "done", ""
        try:
            solution = await self._solve(answering)
        except asyncio.CancelledError:
            state = "stopped"
            if answering.task:
                answering.task.uncancel()
            await self._end_broken_session(answering)
        except MuMathError as error:
            state, note = "failed", str(error)
        except Exception as error:  # a fault of ours: the page says so, and the server goes on
            state, note = "failed", f"{type(error).__name__}: {error}; this is a fault of mumath-agent"
        try:
            if solution is None and answering.records.kept:
                with suppress(MuMathError, asyncio.CancelledError):
                    solution = await self._of_kept(answering)
            view = replace(answering.following.view, state=state, asked=())
            self._keep(answering, replace(view, note=note or view.note), solution)
        finally:
            del self._answering[answering.conversation]
            answering.ended.set()
            answering.following.tell()

    async def _solve(self, answering: _Answering) -> Solution:
        asked, following = answering.asked, answering.following
        async with AsyncExitStack() as using:
            following.note("Loading the model …")
            solver = await using.enter_async_context(self.solvers.use(asked.model))
            following.dialect = solver.dialect
            lent = await self._session(answering, using)
            ask = partial(self._ask, answering) if asked.approve else None
            return await solved(
                answering.problem,
                PageSolver.of(solver, ask=ask, lent=lent),
                answering.how,
                answering.records,
                partial(self._heard, answering),
            )

    async def _of_kept(self, answering: _Answering) -> Solution:
        """Return the solution of the attempts that ended before the others were stopped; none is made."""
        kept = answering.records.kept
        async with self.solvers.use(answering.asked.model) as solver:
            how = replace(answering.how, number=len(kept))
            return await solved(answering.problem, solver, how, answering.records, lambda _: None)

    async def _session(self, answering: _Answering, using: AsyncExitStack) -> Executor | None:
        """Return the conversation's Python session; None where several attempts each have a kernel of their own."""
        following, id = answering.following, answering.conversation
        following.note("")
        if answering.how.number > 1:
            if answering.earlier:
                following.note("Several attempts begin in new Python sessions.")
            return None
        with suppress(SessionGone):
            return await using.enter_async_context(self.sessions.use(self._handles.get(id, ""), _OWNER))
        self._handles[id] = handle = await self.sessions.begin(_OWNER)
        kernel = await using.enter_async_context(self.sessions.use(handle, _OWNER))
        before = ran_before([kept.solution for kept in answering.earlier if kept.solution])
        if before:
            following.note("Running the programs before this question again …")
            is_there = await kernel.restore(before)
            following.note(_RESTORED if is_there else _LOST)
        return kernel

    async def _end_broken_session(self, answering: _Answering) -> None:
        """End a session in which a program was stopped: with its kernel, all that it held is gone.

        The next question begins a new one, in which what ran before runs again.
        """
        if any(attempt.state == "running" for attempt in answering.following.view.attempts):
            with suppress(SessionGone):
                await self.sessions.end(self._handles.pop(answering.conversation, ""), _OWNER)

    async def _ask(self, answering: _Answering, program: str, hear: "Listener") -> "Decision":
        """Show a program to the person, and wait for the decision."""
        token = secrets.token_urlsafe(12)
        waiting = _Waiting(program, asyncio.get_running_loop().create_future())
        answering.waiting[token] = waiting
        hear({"event": _ASKED, "text": token})  # it comes back with the number of the attempt
        giving_up = asyncio.get_running_loop().call_later(DECIDE_S, self._stop, answering)
        try:
            return await waiting.decision
        finally:
            giving_up.cancel()
            del answering.waiting[token]
            answering.following.answered(token)

    def _heard(self, answering: _Answering, event: "SolvingEvent") -> None:
        if event["event"] != _ASKED:
            answering.following.heard(event)
            return
        from mumath_agent.agent.approval import visible

        token, sample = event["text"], event.get("sample", 0)
        program = answering.waiting[token].program
        shown = visible(program)
        answering.following.ask(
            Asked(token=token, sample=sample, program=program, visible=shown, colours=colours(shown))
        )

    def _keep(self, answering: _Answering, view: AnswerView, solution: Solution | None = None) -> None:
        if solution:  # its attempts are in there
            made = {record.sample for record in solution.attempts}
            whole = with_solution(view, solution)
            view = replace(whole, attempts=tuple(each for each in whole.attempts if each.sample not in made))
        kept = Kept(view=view, solution=solution)
        self.history.keep(answering.conversation, answering.place, kept)


_ASKED, _OWNER = "asked", "page"
_RESTORED = "The earlier programs were run again: the Python session holds what it held."
_LOST = "The Python session before this question couldn't be brought back; this one began empty."


def _said(kept: Kept) -> str:
    return (kept.solution.answer if kept.solution else None) or "none was found"


__all__ = ["Desk", "Question"]
