"""Answer one question in the background, from the model to what is kept; stop it, and decide on its programs."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mumath_agent.agent.solver import Solver
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.front.service import Earlier, in_conversation
from mumath_agent.front.web.choices import Solvers
from mumath_agent.front.web.conversations import Conversations
from mumath_agent.front.web.following import Following
from mumath_agent.front.web.history import Kept
from mumath_agent.front.web.solving import PageSolver, Records
from mumath_agent.front.web.views import AnswerView, Asked, with_solution
from mumath_agent.grading import Grader
from mumath_agent.kernels import KernelPool
from mumath_agent.problems import check_question
from mumath_agent.protocols import Executor
from mumath_agent.records import Problem
from mumath_agent.runs.page.highlight import colours
from mumath_agent.solutions import Attempts, Solution

if TYPE_CHECKING:
    from mumath_agent.agent.approval import Decision
    from mumath_agent.agent.attempt import Listener
    from mumath_agent.agent.attempts import OnEvent, SolvingEvent

MOST_ATTEMPTS = 16
DECIDE_S = 3600.0
"""An answer whose program nobody decides on for this long is stopped."""
_ASKED = "asked"


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


@dataclass(frozen=True, slots=True)
class Means:
    """What the answers of a server share."""

    solvers: Solvers
    conversations: Conversations
    grader: Grader
    pool: KernelPool


@dataclass(frozen=True, slots=True)
class _Waiting:
    program: str
    decision: "asyncio.Future[Decision]"


class Answering:
    """An answer under way."""

    def __init__(
        self, asked: Question, name: str, view: AnswerView, how: Attempts, earlier: list[Kept]
    ) -> None:
        """Describe it.

        Args:
            asked: the question.
            name: the conversation's.
            view: what pages are shown at first.
            how: how many attempts, and how they are counted.
            earlier: the answers before it in the conversation.
        """
        self.name, self.earlier = name, earlier
        self.following = Following(view)
        self.ended = asyncio.Event()
        self._asked, self._how = asked, how
        self._records = Records(self.following.kept)
        self._waiting: dict[str, _Waiting] = {}
        """Programs that wait for a person, by a token for each."""
        self.task: asyncio.Task[None] | None = None
        self._problem = self._put(())

    def stop(self) -> None:
        """End it now; what there is will be kept."""
        if self.task:
            self.task.cancel()

    def decide(self, token: str, decision: "Decision") -> None:
        """Decide on a program that waits.

        Raises:
            InputError: it doesn't wait any more.
        """
        waiting = self._waiting.get(token)
        if waiting is None or waiting.decision.done():
            raise InputError("this program doesn't wait for a decision any more")
        waiting.decision.set_result(decision)

    async def run(self, means: Means) -> Kept:
        """Answer to the end, and return what is to be kept, whatever has become of it."""
        solution, state, note = None, "done", ""
        try:
            solution = await self._solve(means)
        except asyncio.CancelledError:
            state = "stopped"
            if self.task:
                self.task.uncancel()
        except MuMathError as error:
            state, note = "failed", str(error)
        except Exception as error:  # a fault of ours: the page says so, and the server goes on
            state, note = "failed", f"{type(error).__name__}: {error}; this is a fault of mumath-agent"
        view = replace(self.following.view, state=state, asked=())
        with suppress(MuMathError, asyncio.CancelledError):  # somebody may stop it once more
            if any(attempt.state == "running" for attempt in view.attempts):
                await means.conversations.end(self.name)  # the kernel has ended with the program that it ran
            solution = solution or await self._of_ended(means)
        return _to_keep(replace(view, note=note or view.note), solution)

    def _put(self, programs: Sequence[str]) -> Problem:
        """Return the question with what was said before it, and what made the state of its Python session."""
        told = [Earlier(question=each.view.question, answer=_said(each)) for each in self.earlier]
        return Problem(id="question", question=in_conversation(self._asked.question, told, programs=programs))

    async def _solve(self, means: Means) -> Solution:
        async with AsyncExitStack() as using:
            self.following.note("Loading the model …")
            solver = await using.enter_async_context(means.solvers.use(self._asked.model))
            self.following.dialect = solver.dialect
            lent = await self._session(means.conversations, using)
            ask = self._ask if self._asked.approve else None
            asking = PageSolver.of(solver, ask=ask, lent=lent)
            return await self._solved(asking, self._how, means, self._heard)

    async def _of_ended(self, means: Means) -> Solution | None:
        """Return the solution of the attempts that ended before the others were stopped; none is made."""
        if not (kept := self._records.kept):
            return None
        async with means.solvers.use(self._asked.model) as solver:
            return await self._solved(solver, replace(self._how, number=len(kept)), means, lambda _: None)

    async def _solved(self, solver: Solver, how: Attempts, means: Means, hear: "OnEvent") -> Solution:
        """Make the attempts that there is no record of, and return the solution."""
        from mumath_agent.agent.attempts import solve_problem

        return await solve_problem(
            self._problem,
            solver,
            how,
            self._records,
            grader=means.grader,
            pool=means.pool,
            on_event=hear,
        )

    async def _session(self, conversations: Conversations, using: AsyncExitStack) -> Executor | None:
        """Return the conversation's Python session; None where several attempts each have a kernel of their own."""
        self.following.note("")
        if self._how.number > 1:
            self.following.note("Several attempts begin in new Python sessions." if self.earlier else "")
            return None
        before = [kept.solution for kept in self.earlier if kept.solution]
        session = conversations.session(self.name, before, self.following.note)
        kernel, programs = await using.enter_async_context(session)
        self._problem = self._put(programs)
        return kernel

    async def _ask(self, program: str, hear: "Listener") -> "Decision":
        """Show a program to the person, and wait for the decision."""
        token = secrets.token_urlsafe(12)
        loop = asyncio.get_running_loop()
        waiting = self._waiting[token] = _Waiting(program, loop.create_future())
        hear({"event": _ASKED, "text": token})  # it comes back with the number of the attempt
        giving_up = loop.call_later(DECIDE_S, self.stop)
        try:
            return await waiting.decision
        finally:
            giving_up.cancel()
            del self._waiting[token]
            self.following.answered(token)

    def _heard(self, event: "SolvingEvent") -> None:
        if event["event"] != _ASKED:
            self.following.heard(event)
            return
        from mumath_agent.agent.approval import visible

        token, sample = event["text"], event.get("sample", 0)
        program = self._waiting[token].program
        shown = visible(program)
        self.following.ask(
            Asked(token=token, sample=sample, program=program, visible=shown, colours=colours(shown))
        )


def _to_keep(view: AnswerView, solution: Solution | None) -> Kept:
    """Return an answer as it is kept: the solution has the attempts that ended, the view only the others."""
    if solution is None:
        return Kept(view=view, solution=None)
    made = {record.sample for record in solution.attempts}
    whole = with_solution(view, solution)
    others = tuple(each for each in whole.attempts if each.sample not in made)
    return Kept(view=replace(whole, attempts=others), solution=solution)


def _said(kept: Kept) -> str:
    return (kept.solution.answer if kept.solution else None) or "none was found"


__all__ = ["MOST_ATTEMPTS", "Answering", "Means", "Question"]
