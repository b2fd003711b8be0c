"""Listen at an address until the user ends the server; what is answered then gets a moment to end."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import current_thread, main_thread

import uvicorn
from starlette.types import ASGIApp

from mumath_agent.errors import InputError

GRACE_S = 3
"""Seconds that answers under way are given when the server ends; then they are cancelled."""
_MOST_CONNECTIONS = 1000


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


class Listening(uvicorn.Server):
    """A server on one socket. It ends with the task that runs it, or with `stop`."""

    def __init__(self, app: ASGIApp) -> None:
        """Serve `app`; nothing is written to the terminal."""
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_graceful_shutdown=GRACE_S,
                proxy_headers=False,
                ws="none",
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on SIGINT and SIGTERM, which is how a server normally ends; a second SIGINT doesn't wait."""
        if current_thread() is not main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        handlers = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """Take no more requests, and end after those that are answered."""
        self.should_exit = True
