"""Speak ZeroMQ's wire format (ZMTP 3.0, mechanism NULL), without sockets: bytes in, messages out.

libzmq moves messages on threads of its own. A kernel that speaks the format itself needs no thread, so `fork` can copy
it with all its state; and a client that speaks it waits on one descriptor in its event loop. Source:
rfc.zeromq.org/spec/23.
"""

import struct
from typing import Final

_GREETING: Final = b"\xff" + bytes(8) + b"\x7f" + bytes([3, 0]) + b"NULL".ljust(20, b"\0") + bytes(32)
_MAX_FRAMES = 64
_MAX_COMMANDS = 100
"""How many commands may come in one portion of what is received; each takes time and says nothing."""
_MORE, _LONG, _COMMAND = 1, 2, 4


class ProtocolError(Exception):
    """Raised when the other side speaks something else, or sends more than it may."""


class Wire:
    """One side of one connection.

    Send `opening` first, then what `encode` makes of each message; feed everything received to `decode`.
    """

    def __init__(self, socket_type: str, *, max_bytes: int) -> None:
        """Be a socket of type `socket_type` ("ROUTER", "SUB", ...) and take messages of at most `max_bytes`."""
        self.opening = _GREETING + _ready(socket_type)
        self._max_bytes = max_bytes
        self._received = bytearray()
        self._greeted = False
        self._frames: list[bytes] = []
        self._frames_bytes = 0

    def decode(self, data: bytes) -> list[list[bytes]]:
        """Take in `data` and return the messages it completes, each as its frames.

        Raises:
            ProtocolError: this connection can't be used any more.
        """
        self._received += data
        if not self._greeted and not self._read_greeting():
            return []
        messages: list[list[bytes]] = []
        position = commands = 0
        while (frame := self._frame_at(position)) is not None:
            flags, start, end = frame
            body, position = bytes(self._received[start:end]), end
            if flags & _COMMAND:
                if body.startswith(b"\x05ERROR"):
                    raise ProtocolError(f"the other side refused: {body[7:207].decode('ascii', 'replace')}")
                commands += 1
                if commands > _MAX_COMMANDS:
                    raise ProtocolError(f"the other side sends more than {_MAX_COMMANDS} commands at once")
                continue  # READY; its properties don't matter here
            self._frames.append(body)
            self._frames_bytes += len(body)
            if len(self._frames) > _MAX_FRAMES:
                raise ProtocolError(f"the other side sends a message of more than {_MAX_FRAMES} parts")
            if not flags & _MORE:
                messages.append(self._frames)
                self._frames, self._frames_bytes = [], 0
        del self._received[:position]
        return messages

    def _read_greeting(self) -> bool:
        if len(self._received) < len(_GREETING):
            return False
        version, mechanism = self._received[10], bytes(self._received[12:32]).rstrip(b"\0")
        if self._received[0] != 0xFF or version < 3 or mechanism != b"NULL":
            raise ProtocolError("the other side doesn't speak ZMTP 3 without authentication")
        del self._received[: len(_GREETING)]
        self._greeted = True
        return True

    def _frame_at(self, position: int) -> tuple[int, int, int] | None:
        """Return flags, start and end of the frame at `position`; None while it isn't complete."""
        left = len(self._received) - position
        if left < 2:
            return None
        flags = self._received[position]
        if flags & _LONG:
            if left < 9:
                return None
            (size,) = struct.unpack_from(">Q", self._received, position + 1)
            start = position + 9
        else:
            size, start = self._received[position + 1], position + 2
        if self._frames_bytes + size > self._max_bytes:
            raise ProtocolError(f"the other side sends a message of more than {self._max_bytes:,} bytes")
        return (flags, start, start + size) if start + size <= len(self._received) else None


def encode(frames: list[bytes]) -> bytes:
    """Return the bytes of one message."""
    last = len(frames) - 1
    return b"".join(_frame(body, _MORE if n < last else 0) for n, body in enumerate(frames))


def _frame(body: bytes, flags: int) -> bytes:
    if len(body) < 256:
        return bytes((flags, len(body))) + body
    return struct.pack(">BQ", flags | _LONG, len(body)) + body


def _ready(socket_type: str) -> bytes:
    properties = b"\x0bSocket-Type" + struct.pack(">I", len(socket_type)) + socket_type.encode()
    return _frame(b"\x05READY" + properties, _COMMAND)
