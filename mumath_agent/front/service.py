"""Answer the questions of a server's clients: one solver for all, a place for each, and Python sessions that last.

question ─▶ a place ─▶ one attempt in the client's session, or several in kernels of their own ─▶ record
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from textwrap import indent
from typing import TYPE_CHECKING, TypeVar

from mumath_agent.agent.solver import Solver, SolverOptions, open_solver
from mumath_agent.concurrency import map_each
from mumath_agent.dialects.output import plain
from mumath_agent.errors import InputError
from mumath_agent.front.places import Places
from mumath_agent.front.sessions import SessionLimits, Sessions
from mumath_agent.grading import Grader
from mumath_agent.problems import MAX_QUESTION_CHARS, check_question
from mumath_agent.records import Problem, RunRecord, Sampling
from mumath_agent.solutions import Attempts, Solution

if TYPE_CHECKING:
    from mumath_agent.agent.attempt import Reviewer
    from mumath_agent.agent.attempts import SolvingEvent
    from mumath_agent.agent.events import Event

T = TypeVar("T")

MOST_ATTEMPTS = 16
"""Attempts at one question, however they are asked for."""
TICK_S = 5.0
"""How often a client that waits is told that it isn't forgotten."""

_EARLIER = "Earlier in this conversation:\n\n"
_HELD = "The Python session still holds what these programs defined:\n\n"
_NOW = "Now answer this question: "

OnEvent = Callable[[int, str, str], None]
"""Told the number of the attempt, from 0, what happens in it, and its text: see `agent.events.Event`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a client asks for."""

    question: str
    owner: str
    """Whose session it is."""
    session: str | None = None
    """The handle of the Python session; without it, a new kernel for this question."""
    attempts: int = 1
    sampling: Sampling | None = None
    """The client's own, in the place of the server's."""
    max_new_tokens: int | None = None
    """Tokens per completion, if less than the server allows."""

    def __post_init__(self) -> None:
        """Refuse what can't be answered.

        Raises:
            InputError: the question can't be asked, or so often.
        """
        check_question(self.question)
        if not 1 <= self.attempts <= MOST_ATTEMPTS:
            raise InputError(f"{self.attempts} attempts were asked for; 1 to {MOST_ATTEMPTS} are possible")


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A turn of a conversation that was before the question."""

    question: str
    answer: str


class Service:
    """The solver of a server, its places and its sessions; an async context manager, for one event loop."""

    def __init__(
        self,
        options: SolverOptions | Solver,
        how: Attempts | None = None,
        *,
        places: Places | None = None,
        sessions: SessionLimits | None = None,
        on_notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Describe it: how questions are solved, how many at a time, and how many sessions live.

        A solver that is given in the place of options stays open in the end.
        """
        self.options, self.how = options, how or Attempts()
        self.places = places or Places(at_once=8, waiting=64)
        self.sessions = Sessions(options, sessions)
        self._grader = Grader(workers=2)
        self._on_notice = on_notice
        self._opened: asyncio.Task[Solver] | None = None
        self._stack = AsyncExitStack()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Service"]:
        """Hold the kernels and, once it was asked for, the model, for the block."""
        async with self.sessions, self._grader:
            try:
                yield self
            finally:
                if self._opened is not None:
                    self._opened.cancel()
                    await asyncio.wait({self._opened})
                await self._stack.aclose()

    @property
    def is_ready(self) -> bool:
        """Whether the model is loaded."""
        opened = self._opened
        return opened is not None and opened.done() and not opened.cancelled() and opened.exception() is None

    async def solver(self) -> Solver:
        """Return the solver, which is opened once; after a failure the next caller tries again.

        Raises:
            InputError, ModelError: there is no model; see `open_solver`.
        """
        if self._opened is None or (self._opened.done() and not self.is_ready):
            self._opened = asyncio.create_task(self._open())
        return await asyncio.shield(self._opened)

    async def answer(
        self, asked: Asked, on_event: OnEvent = lambda *_: None, review: "Reviewer | None" = None
    ) -> RunRecord | Solution:
        """Answer a question: with one attempt in the client's session, or with several, of which the votes decide.

        The caller has taken one of the `places`. A single attempt's programs are reviewed, if there is a reviewer.

        Raises:
            SessionGone: the client has no such session.
            MuMathError: there is no model.
        """
        solver = self._with_wishes(await self.solver(), asked)
        problem = Problem(id="question", question=asked.question)
        if not self.is_one(asked.attempts):
            return await self._voted(problem, solver, asked.attempts, on_event)
        if asked.session is None:
            return await self._attempt(problem, solver, 0, on_event, review)
        async with self.sessions.use(asked.session, asked.owner) as kernel:
            tell = partial(_tell, on_event, 0)
            return await solver.solve(problem, kernel=kernel, on_event=tell, review=review)

    def is_one(self, attempts: int) -> bool:
        """Tell whether a question asked with so many attempts gets a single one."""
        return attempts == 1 and self.how.is_one

    async def several(self, asked: Asked, on_event: OnEvent = lambda *_: None) -> list[RunRecord]:
        """Make several attempts at a question, each for itself, and return all of them; the caller has a place."""
        from mumath_agent.agent.attempts import batch_of
        from mumath_agent.agent.batch import Sample

        problem = Problem(id="question", question=asked.question)
        solver = self._with_wishes(await self.solver(), asked)
        batch = batch_of([problem], solver, Attempts(number=asked.attempts, seed=self.how.seed))

        async def attempt(number: int) -> RunRecord:
            sample = Sample(problem=problem, number=number)
            record = await self._attempt(problem, batch.solver_for(sample), number, on_event)
            return replace(record, sample=number)

        return await map_each(range(asked.attempts), attempt, concurrency=asked.attempts)

    async def _attempt(
        self,
        problem: Problem,
        solver: Solver,
        number: int,
        on_event: OnEvent,
        review: "Reviewer | None" = None,
    ) -> RunRecord:
        self.sessions.free_memory()
        async with solver.new_kernel(self.sessions.pool) as kernel:
            tell = partial(_tell, on_event, number)
            return await solver.solve(problem, kernel=kernel, on_event=tell, review=review)

    async def _voted(self, problem: Problem, solver: Solver, number: int, on_event: OnEvent) -> Solution:
        from mumath_agent.agent.attempts import solve_problem

        self.sessions.free_memory()
        return await solve_problem(
            problem,
            solver,
            replace(self.how, number=number if number > 1 else self.how.number),
            grader=self._grader,
            pool=self.sessions.pool,
            on_event=lambda event: _tell(on_event, event.get("sample", 0), event),
        )

    def _with_wishes(self, solver: Solver, asked: Asked) -> Solver:
        limits = solver.limits
        if asked.max_new_tokens is not None:
            limits = replace(limits, max_new_tokens=min(limits.max_new_tokens, asked.max_new_tokens))
        return replace(solver, limits=limits, sampling=asked.sampling or solver.sampling)

    async def _open(self) -> Solver:
        # LangGraph takes a second to import.
        await asyncio.to_thread(import_module, "mumath_agent.agent.attempts")
        if isinstance(self.options, Solver):
            return self.options
        return await self._stack.enter_async_context(open_solver(self.options, self._on_notice))


def _tell(on_event: OnEvent, number: int, event: "Event | SolvingEvent") -> None:
    on_event(number, event["event"], event["text"])


def in_conversation(
    question: str, earlier: Sequence[Earlier], instructions: str = "", programs: Sequence[str] = ()
) -> str:
    """Return a question that can be understood by itself; what is oldest is left out if all is too long.

    Args:
        question: the client's last one.
        earlier: the turns before it.
        instructions: what the model is told beforehand.
        programs: those that made the state of the Python session in which it is answered.
    """
    head = f"{instructions.strip()}\n\n" if instructions.strip() else ""
    if len(head) + len(question) > MAX_QUESTION_CHARS:
        head = ""
    room = MAX_QUESTION_CHARS - len(head) - len(question) - len(_EARLIER + _HELD + _NOW)
    ran = _latest([f"{indent(plain(program).strip(), '    ')}\n\n" for program in programs], room // 4)
    turns = [f"{_asked(turn.question)}Answer: {turn.answer.strip()}\n\n" for turn in earlier]
    told = _latest(turns, room - len(ran))
    if not (told or ran):
        return head + question
    return f"{head}{_EARLIER * bool(told)}{told}{_HELD * bool(ran)}{ran}{_NOW}{question}"


def _asked(question: str) -> str:
    """Return the line of a question; a conversation may begin with the assistant."""
    return f"Question: {question.strip()}\n" if question.strip() else ""


def _latest(texts: Sequence[str], room: int) -> str:
    """Return as many of the last texts as there is room for."""
    kept: list[str] = []
    for text in reversed(texts):
        if (room := room - len(text)) < 0:
            break
        kept.append(text)
    return "".join(reversed(kept))


async def with_ticks(
    work: Callable[[], Awaitable[T]], tick: Callable[[], object], every_s: float = TICK_S
) -> T:
    """Return what `work` returns, and call `tick` now and then until it does."""

    async def ticking() -> None:
        while True:
            await asyncio.sleep(every_s)
            tick()

    ticker = asyncio.create_task(ticking())
    try:
        return await work()
    finally:
        ticker.cancel()


__all__ = ["MOST_ATTEMPTS", "Asked", "Earlier", "OnEvent", "Service", "in_conversation", "with_ticks"]
