"""Keep the living sessions of a tool: find them by name, one caller at a time, and end idle ones.

A session begins with the first call that names it and ends when its conversation releases it, when it wasn't used for
a while, or when too many are idle. All of it belongs to the bridge's loop. `python_tool.py` and `middleware.py` know
about names, states and messages, `session.py` about what a session does.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, TypeVar

from mumath_agent.errors import KernelError
from mumath_agent.langchain.session import (
    OnOutput,
    Program,
    PythonSession,
    SessionCell,
    SessionHistory,
    SessionPolicy,
)

T = TypeVar("T")

NAMES_REMEMBERED = 10_000
"""How many names of sessions that were ended for idleness are kept, so that a caller who comes back is told."""


class SessionPool:
    """The living sessions of one tool. All methods belong to the bridge's loop."""

    def __init__(self, policy: SessionPolicy) -> None:
        """Begin without sessions; `policy` says how they are made and how long they live."""
        self._policy = policy
        self._living: dict[str, PythonSession] = {}
        """By name, in the order of their last use."""
        self._ended_unasked: deque[str] = deque(maxlen=NAMES_REMEMBERED)
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the living sessions."""
        return tuple(self._living)

    async def start(self, name: str, *, is_lost: bool = False) -> None:
        """Start a session's kernel in the background, so that the first program doesn't wait for it.

        `is_lost` says of a new session that the conversation had another before, which can't be brought back.
        """
        await _without_context(self._start(name, is_lost))

    async def run(
        self,
        name: str,
        program: Program,
        *,
        on_output: OnOutput | None = None,
        past: SessionHistory | None = None,
        had_session: bool = False,
    ) -> SessionCell:
        """Run a program in the session of that name.

        Args:
            name: the session's name; it is started if it doesn't live.
            program: what to run.
            on_output: called with what the program prints.
            past: what ran before; the session is brought there. Without it, the living session is taken as it is.
            had_session: the conversation had a session before. If that lives no more, the execution says that its
                state was lost; the same is said after a session that was ended for idleness.

        Raises:
            KernelError: no kernel could be started.
        """
        listeners = [on_output] if on_output else []
        try:
            return await _without_context(self._run(name, program, listeners, past, had_session))
        finally:
            listeners.clear()  # the kernel keeps its last cell, and with it the listener of a cancelled call

    async def release(self, name: str) -> None:
        """End a session, after what it is running; do nothing if there is none."""
        if session := self._living.get(name):
            async with session.turn:
                self._forget(session)
                await session.close()

    async def aclose(self) -> None:
        """End all sessions."""
        for name in self.names:
            await self.release(name)
        while self._ending:
            await asyncio.wait(self._ending)

    async def _start(self, name: str, is_lost: bool) -> None:
        async with self._turn(name) as session:
            session.state_lost = session.state_lost or (is_lost and session.is_new)

    async def _run(
        self,
        name: str,
        program: Program,
        listeners: Sequence[OnOutput],
        past: SessionHistory | None,
        had_session: bool,
    ) -> SessionCell:
        async with self._turn(name) as session:
            if past is not None:
                done = await session.catch_up(past, program)
                return done or await session.run(program, listeners)
            if session.is_new and (had_session or name in self._ended_unasked):
                session.state_lost = True
            return await session.run(program, listeners)

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[PythonSession]:
        """Yield the session of that name, started, for this caller alone."""
        while True:
            session = self._living.setdefault(name, PythonSession(name, self._policy))
            session.users += 1
            try:
                async with session.turn:
                    if self._living.get(name) is session:
                        await session.start()
                        yield session
                        return
                # It was ended while we waited for our turn.
            except KernelError:
                self._end_soon(session)  # the next call tries again with a new one
                raise
            finally:
                session.users -= 1
                self._rest(session)

    def _rest(self, session: PythonSession) -> None:
        """After a turn, start the session's idle timer, and end others if there are too many."""
        if session.users or self._living.get(session.name) is not session:
            return
        self._living[session.name] = self._living.pop(session.name)
        loop = asyncio.get_running_loop()
        session.timer = loop.call_later(self._policy.idle_s, self._end_unasked, session)
        unused = [one for one in self._living.values() if not one.users]
        for one in unused[: max(0, len(self._living) - self._policy.max_sessions)]:
            self._end_unasked(one)

    def _end_unasked(self, session: PythonSession) -> None:
        if not session.is_new:
            self._ended_unasked.append(session.name)
        self._end_soon(session)

    def _end_soon(self, session: PythonSession) -> None:
        self._forget(session)
        task = asyncio.create_task(session.close())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _forget(self, session: PythonSession) -> None:
        if self._living.get(session.name) is session:
            del self._living[session.name]


async def _without_context(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await `coroutine` without the caller's context variables.

    Timers and sockets keep the context they were made in. A session lives longer than the run that starts it, and must
    not keep that run's state alive.
    """
    return await asyncio.create_task(coroutine, context=Context())
