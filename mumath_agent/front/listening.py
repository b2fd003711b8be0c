"""Listen at an address until the user ends the server; what is answered then gets a moment to end."""

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from threading import current_thread, main_thread
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from mumath_agent.errors import InputError

GRACE_S = 3
"""Seconds that answers under way are given when the server ends; then they are cancelled."""
HEAD_S = 20.0
"""A connection that hasn't said what it wants at two looks, so many seconds apart, is closed."""
_IDLE_S = 30  # clients give up idle connections after 5 s or 15 s: who is later than they cuts no request off
_MOST_CONNECTIONS = 1000
_ENDS = (signal.SIGINT, signal.SIGTERM)


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; port 0 is any free one.

    Raises:
        InputError: it can't be had.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
        with suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(socket.SOMAXCONN)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"can't listen at {host}:{port}: {why}; choose another --port or --host") from None
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the address of a socket as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def until_signal(work: Coroutine[Any, Any, None]) -> bool:
    """Await `work`; SIGINT and SIGTERM end the waiting, whatever it is blocked in. Return whether one did."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in _ENDS:
        loop.add_signal_handler(number, stop.set)
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return True
        await working
        return False
    finally:
        stopping.cancel()
        for number in _ENDS:
            loop.remove_signal_handler(number)


class _Impatient(H11Protocol):
    """A connection that has a limit for the time in which a request's head must come."""

    _looking: asyncio.TimerHandle
    _idle: object = ()
    """The request after which it was seen idle; None if it was before the first."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look after it."""
        super().connection_made(transport)
        self._looking = self.loop.call_later(HEAD_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        self._looking.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        is_idle = self.conn.their_state is h11.IDLE and (self.cycle is None or self.cycle.response_complete)
        if is_idle and self._idle is self.cycle:
            self.transport.close()
        self._idle = self.cycle if is_idle else ()
        self._looking = self.loop.call_later(HEAD_S, self._look)


class Listening(uvicorn.Server):
    """A server on one socket. It ends with the task that runs it, or with `stop`."""

    def __init__(self, app: ASGIApp, on_listening: Callable[[], None] = lambda: None) -> None:
        """Serve `app`; nothing is written to the terminal. Who is told that it listens may end it from then on."""
        self._on_listening = on_listening
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=_IDLE_S,
                timeout_graceful_shutdown=GRACE_S,
                proxy_headers=False,
                http=_Impatient,  # h11 is the one that bounds a request's head
                ws="none",
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self._on_listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on SIGINT and SIGTERM, which is how a server normally ends; a second SIGINT doesn't wait."""
        if current_thread() is not main_thread():
            yield
            return
        handlers = {number: signal.signal(number, self.handle_exit) for number in _ENDS}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """Take no more requests, and end after those that are answered."""
        self.should_exit = True
