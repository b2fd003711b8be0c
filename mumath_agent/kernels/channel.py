"""Exchange messages with a kernel over one connection, without ever waiting for it."""

import asyncio
import socket
from collections.abc import Callable

from mumath_agent.sandbox.zmtp import ProtocolError, Wire

MAX_MESSAGE_BYTES = 6 << 20
PORTION_BYTES, MAX_PORTIONS = 1 << 16, 8
"""How much is read from a connection at once, and how many such portions without looking at the clock: more than a
connection holds whose other side has ended."""
MAX_EAGER, PAUSE_S = 500, 0.005
"""How many portions are read as they come, and how long later ones gather: a kernel that sends a byte at a time would
wake our loop for each, and keep it from other kernels."""
MAX_EMPTY = 100
"""How often a connection may turn out to hold nothing when the event loop says that it holds something."""


class Channel:
    """One connection to a kernel, read as data comes and written as far as there is room."""

    def __init__(
        self,
        socket_type: str,
        connection: socket.socket,
        on_data: Callable[[int], None],
        on_message: Callable[[list[bytes]], None],
        on_closed: Callable[[], None],
        on_violation: Callable[[str], None],
    ) -> None:
        """Read `connection` in the running event loop.

        Args:
            socket_type: our side's ZeroMQ type, "SUB" or "DEALER".
            connection: one end of a socket pair.
            on_data: called with the number of bytes of each portion, before its messages; it may close the channel.
            on_message: called with the frames of each message.
            on_closed: called when the other side has closed the connection.
            on_violation: called with the reason when the other side breaks the protocol; the channel is closed then.
        """
        self._socket = connection
        self._socket.setblocking(False)
        self._wire = Wire(socket_type, max_bytes=MAX_MESSAGE_BYTES)
        self._on_data = on_data
        self._on_message = on_message
        self._on_closed = on_closed
        self._on_violation = on_violation
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._open = True
        self._empty = self._portions = 0
        self._loop.add_reader(connection.fileno(), self._on_readable)
        self.write(self._wire.opening)

    def be_eager(self) -> None:
        """Read the next portions as they come, because something was asked."""
        self._portions = 0

    def write(self, data: bytes) -> None:
        """Send what can be sent now, and the rest when there is room."""
        if not self._open:
            return
        if not self._unsent:
            try:
                data = data[self._socket.send(data) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:  # the other side doesn't read any more
                self.close()
                self._on_closed()
                return
        if data:
            self._unsent += data
            self._loop.add_writer(self._socket.fileno(), self._flush)

    def receive_all(self) -> None:
        """Take in what has arrived; of a stream that doesn't end, a bounded part."""
        for _ in range(MAX_PORTIONS):
            if not (self._open and self._receive()):
                break

    def close(self) -> None:
        """Close the connection. Calling it again does nothing."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()

    def _flush(self) -> None:
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            self._on_closed()
            return
        if not self._unsent:
            self._loop.remove_writer(self._socket.fileno())

    def _on_readable(self) -> None:
        """Take in a portion. What makes a connection readable without any data is an urgent byte, which stays."""
        if not self._receive() and self._open:
            self._empty += 1
            if self._empty > MAX_EMPTY:
                self.close()
                self._on_violation("it sends urgent bytes")
        self._portions += 1
        if self._portions > MAX_EAGER and self._open:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.call_later(PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._open:
            self._loop.add_reader(self._socket.fileno(), self._on_readable)

    def _receive(self) -> bool:
        """Take in one portion; return False if there was none."""
        try:
            data = self._socket.recv(PORTION_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            self._on_closed()
            return False
        self._on_data(len(data))
        if not self._open:
            return False
        try:
            for frames in self._wire.decode(data):
                if self._open:
                    self._on_message(frames)
        except ProtocolError as error:
            self.close()
            self._on_violation(str(error))
        return True
