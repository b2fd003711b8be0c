"""Keep the live Python sessions of a server's clients, each under a handle that can't be guessed.

A session belongs to the owner that began it (a key, a client): for anybody else its handle doesn't exist. It ends when
its owner ends it, when it wasn't used for a while, when there are too many and its owner has the most, when memory is
needed for those in use, and when the server closes. Whoever has it in use has it alone, and keeps it for as long as
that takes.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from mumath_agent.agent.solver import AttemptOptions
from mumath_agent.errors import InputError
from mumath_agent.front.places import Busy
from mumath_agent.kernels import JupyterExecutor, KernelPool

_HANDLE_BYTES = 18
_SHOWN_CHARS = 40


class SessionGone(InputError):
    """There is no such session, or none of this owner: both are told the same."""

    def __init__(self, handle: str) -> None:
        """Name the handle, and say what may have become of it."""
        super().__init__(
            f"there is no session {handle[:_SHOWN_CHARS]!r}: it was ended, wasn't used for long, or had to make room; "
            "begin a new one"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """How many sessions may live, and for how long."""

    most: int = 32
    idle_s: float = 900.0
    """A session that wasn't used for this many seconds is ended."""


@dataclass(slots=True, eq=False)
class _Session:
    handle: str
    owner: str
    kernel: JupyterExecutor
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    """Those that have it in use or wait for it."""
    timer: asyncio.TimerHandle | None = None
    is_new: bool = True
    """Nobody has used it; it has no kernel."""


class Sessions:
    """The live sessions of a server, for one event loop; an async context manager that ends them all."""

    def __init__(self, options: AttemptOptions, limits: SessionLimits | None = None) -> None:
        """Begin without sessions; `options` say how programs run in them."""
        self.limits = limits or SessionLimits()
        self.pool = KernelPool(options.sandbox)
        self._options = options
        self._living: dict[str, _Session] = {}
        """By handle, in the order of their last use."""
        self._ending: set[asyncio.Task[None]] = set()

    def has(self, handle: str, owner: str) -> bool:
        """Tell whether the owner has a session by that handle."""
        session = self._living.get(handle)
        return session is not None and session.owner == owner

    def __len__(self) -> int:
        """Return how many live."""
        return len(self._living)

    async def __aenter__(self) -> Self:
        """Open the pool of kernels."""
        await self.pool.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all sessions, also those in use."""
        for session in tuple(self._living.values()):
            self._end_soon(session)
        while self._ending:
            await asyncio.wait(self._ending)
        await self.pool.__aexit__(None, None, None)

    async def begin(self, owner: str) -> str:
        """Begin a session and return its handle; its kernel starts with its first program.

        Raises:
            Busy: there are too many, and all are in use.
        """
        self._make_room(owner)
        kernel = self._options.new_kernel(self.pool)
        session = _Session(secrets.token_urlsafe(_HANDLE_BYTES), owner, kernel)
        self._living[session.handle] = session
        await kernel.__aenter__()
        self._rest(session)
        return session.handle

    @asynccontextmanager
    async def use(self, handle: str, owner: str) -> AsyncIterator[JupyterExecutor]:
        """Yield a session's kernel, for this caller alone.

        Raises:
            SessionGone: there is none of this owner by that handle, or it was ended before it was our turn.
        """
        session = self._found(handle, owner)
        if session.timer:
            session.timer.cancel()
        session.users += 1
        try:
            async with session.turn:
                self._found(handle, owner)
                if session.is_new:
                    session.is_new = False
                    self.free_memory()
                yield session.kernel
        finally:
            session.users -= 1
            self._rest(session)

    async def end(self, handle: str, owner: str) -> None:
        """End a session now; a program that runs in it is stopped.

        Raises:
            SessionGone: there is none of this owner by that handle.
        """
        await asyncio.shield(self.end_soon(handle, owner))

    def end_soon(self, handle: str, owner: str) -> "asyncio.Task[None]":
        """Begin to end a session, and return the task that does it; raises what `end` raises."""
        return self._end_soon(self._found(handle, owner))

    def free_memory(self) -> None:
        """Where there is no memory for another kernel, end the sessions that nobody uses: it mustn't wait for them."""
        if not self.pool.has_room():
            for session in tuple(self._living.values()):
                if not session.users:
                    self._end_soon(session)

    def _found(self, handle: str, owner: str) -> _Session:
        if not self.has(handle, owner):
            raise SessionGone(handle)
        return self._living[handle]

    def _make_room(self, owner: str) -> None:
        """End the oldest session that isn't in use, of the owner that has the most, if there are too many."""
        if len(self._living) < self.limits.most:
            return
        owned = Counter([owner, *(one.owner for one in self._living.values())])
        unused = [one for one in self._living.values() if not one.users]
        if not unused:
            raise Busy(f"all {len(self._living)} Python sessions are in use")
        self._end_soon(max(unused, key=lambda one: owned[one.owner]))  # the first of equals

    def _rest(self, session: _Session) -> None:
        """Start the idle timer of a session that nobody uses."""
        if session.users or self._living.get(session.handle) is not session:
            return
        self._living[session.handle] = self._living.pop(session.handle)
        loop = asyncio.get_running_loop()
        session.timer = loop.call_later(self.limits.idle_s, self._end_soon, session)

    def _end_soon(self, session: _Session) -> "asyncio.Task[None]":
        self._living.pop(session.handle, None)
        if session.timer:
            session.timer.cancel()
        task = asyncio.create_task(session.kernel.__aexit__(None, None, None))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task
