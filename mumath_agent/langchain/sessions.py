"""The living sessions of a tool: found by name, one caller at a time, idle ones ended.

A session begins with the first call that names it and ends when its conversation releases it, when nobody used it for
a while, or when too many wait idle. All of it belongs to the bridge's loop. Names, states and messages are the business
of `python.py` and `middleware.py`, what a session does that of `session.py`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, TypeVar

from mumath_agent.errors import KernelError
from mumath_agent.langchain.session import Cell, Program, Session, SessionHistory, SessionPolicy, Tell

T = TypeVar("T")

NAMES_REMEMBERED = 10_000
"""Of sessions that were ended without being asked to, so that whoever comes back is told."""


class Sessions:
    """The living sessions of one tool. All methods belong to the bridge's loop."""

    def __init__(self, policy: SessionPolicy) -> None:
        self._policy = policy
        self._living: dict[str, Session] = {}
        """The one used last stands last."""
        self._ended_unasked: deque[str] = deque(maxlen=NAMES_REMEMBERED)
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the living sessions."""
        return tuple(self._living)

    async def start(self, name: str) -> None:
        """Start a session's kernel in the background, so that the first program doesn't wait for it."""
        await _apart(self._start(name))

    async def run(
        self,
        name: str,
        program: Program,
        *,
        on_output: Tell | None = None,
        past: SessionHistory | None = None,
        had_one: bool = False,
    ) -> Cell:
        """Run a program in the session of that name.

        Without `past` the living session is taken as it is; if there is none but there was one (`had_one`, or it was
        ended for idleness), the execution says that its state was lost.

        Raises:
            KernelError: no kernel could be started.
        """
        listeners = [on_output] if on_output else []
        try:
            return await _apart(self._run(name, program, listeners, past, had_one))
        finally:
            listeners.clear()  # the kernel keeps the last cell, and with it whom it told

    async def release(self, name: str) -> None:
        """End a session, after what it is running; nothing if there is none."""
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

    async def _start(self, name: str) -> None:
        async with self._turn(name):
            return

    async def _run(
        self,
        name: str,
        program: Program,
        listeners: Sequence[Tell],
        past: SessionHistory | None,
        had_one: bool,
    ) -> Cell:
        async with self._turn(name) as session:
            if past is not None:
                done = await session.catch_up(past, program)
                return done or await session.run(program, listeners)
            if session.is_new and (had_one or name in self._ended_unasked):
                session.state_lost = True
            return await session.run(program, listeners)

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[Session]:
        """The session of that name, started, for this caller alone."""
        while True:
            session = self._living.setdefault(name, Session(name, self._policy))
            session.users += 1
            try:
                async with session.turn:
                    if self._living.get(name) is session:
                        await session.start()
                        yield session
                        return
                # It was ended while we stood in line.
            except KernelError:
                self._end_soon(session)  # the next call tries again with a new one
                raise
            finally:
                session.users -= 1
                self._rest(session)

    def _rest(self, session: Session) -> None:
        """After a turn: the session's time to be idle begins, and others may have to make room."""
        if session.users or self._living.get(session.name) is not session:
            return
        self._living[session.name] = self._living.pop(session.name)
        loop = asyncio.get_running_loop()
        session.timer = loop.call_later(self._policy.idle_s, self._end_unasked, session)
        unused = [one for one in self._living.values() if not one.users]
        for one in unused[: max(0, len(self._living) - self._policy.most)]:
            self._end_unasked(one)

    def _end_unasked(self, session: Session) -> None:
        if not session.is_new:
            self._ended_unasked.append(session.name)
        self._end_soon(session)

    def _end_soon(self, session: Session) -> None:
        self._forget(session)
        task = asyncio.create_task(session.close())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _forget(self, session: Session) -> None:
        if self._living.get(session.name) is session:
            del self._living[session.name]


async def _apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await `coroutine` without the caller's context variables.

    Timers and sockets keep the context they were made in. A session lives longer than the run that starts it, and must
    not keep that run's state alive.
    """
    return await asyncio.create_task(coroutine, context=Context())
