"""Keep the live Python sessions of a server's clients, each under a handle that can't be guessed.

A session belongs to the owner that began it (a key, a client): for anybody else its handle doesn't exist. It ends when
its owner ends it, when it wasn't used for a while, when its owner or all together have begun too many others, and when
the server closes. Whoever has it in use has it alone, and keeps it for as long as that takes.
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
    most_per_owner: int = 8
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
                yield session.kernel
        finally:
            session.users -= 1
            self._rest(session)

    async def end(self, handle: str, owner: str) -> None:
        """End a session now; a program that runs in it is stopped.

        Raises:
            SessionGone: there is none of this owner by that handle.
        """
        await asyncio.shield(self._end_soon(self._found(handle, owner)))

    def _found(self, handle: str, owner: str) -> _Session:
        session = self._living.get(handle)
        if session is None or session.owner != owner:
            raise SessionGone(handle)
        return session

    def _make_room(self, owner: str) -> None:
        """End sessions that aren't in use, for one more of this owner."""
        if sum(one.owner == owner for one in self._living.values()) >= self.limits.most_per_owner:
            self._end_one([one for one in self._living.values() if one.owner == owner])
        if len(self._living) >= self.limits.most:
            owned = Counter(one.owner for one in self._living.values())
            self._end_one(sorted(self._living.values(), key=lambda one: -owned[one.owner]))

    def _end_one(self, sessions: list[_Session]) -> None:
        unused = next((one for one in sessions if not one.users), None)
        if unused is None:
            raise Busy(f"all {len(sessions)} Python sessions are in use")
        self._end_soon(unused)

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
