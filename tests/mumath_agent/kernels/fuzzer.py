"""Send random messages on every socket that a kernel was born with: a kernel runs the text of this module as a program.

ZMTP and Jupyter's protocol on the two channels to the agent, and anything on the line to the fork server: well formed,
truncated, reordered, oversized, urgent, half-closed. The same seed sends the same.
"""

import json
import os
import random
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Any

KINDS = (
    *("stream", "stream", "display_data", "update_display_data", "execute_result", "error", "iopub_welcome"),
    *("input_request", "comm_open", "clear_output", "", "x" * 5000),
)
ENDINGS = ("status", "execute_reply", "kernel_info_reply")
KEYS = (
    *("name", "text", "data", "metadata", "transient", "traceback", "ename", "evalue", "execution_state"),
    *("status", "execution_count", "payload", "image/png", "text/plain", "code", "msg_id", "msg_type", ""),
)
WORDS = (
    *("stdout", "stderr", "ok", "error", "idle", "busy", "", "SystemExit", "MemoryError", "iVBORw0KGgo="),
    *("\x1b[2J\x1b]0;t\x07", "\x00\x9b", "\u202e999", "\u200b\U000e0041", "<|im_end|>", "[TOOL_CALLS]"),
    *("\ud800", "é😀", "x\n" * 2000, "<script>"),
)
TEXTS = (
    *(b"NaN", b"1e999", b"9" * 5000, b'"\xff"', b"[" * 200 + b"]" * 200, b'{"a":1,"a":{}}', b"-", b""),
    *(
        b"true",
        b'{"text":"\\ud800"}',
        b"[" + b"{}," * 20_000 + b"{}]",
        b'{"name":"stdout","text":"',
        b"{}" * 3,
    ),
)
HUGE = (0, 1, 255, 1 << 16, (6 << 20) - 1, 6 << 20, 1 << 31, 1 << 50, (1 << 64) - 1)
TO_SERVER = (b"listener", b"none", b"branch", b"{}", b'{"exit": 0}', b"x" * 70_000, b"\x00", b"it has ended")


class Fuzzer:
    """Draws messages for one kernel, and sends them."""

    def __init__(self, kernel: Any, seed: str) -> None:
        """Attack what is around `kernel`, as `seed` says."""
        self._kernel = kernel
        self._random = random.Random(seed)
        self._wires = [kernel._line, *(peer.socket for peer in kernel._peers)]
        odds: tuple[tuple[float, float], ...] = ((0, 0), (0, 0.002), (0.003, 0), (0.02, 0.02), (0.4, 0.1))
        self._wrong, self._deed = self._random.choice(odds)
        self._ending = self._random.choice((0, 0, 0, 0.003, 0.1))
        """How likely is what breaks a connection or ends a cell: most messages should come after others that count."""
        self._ways = (
            *(self._unsigned, self._truncated, self._flipped, self._reordered, self._nested, self._oversized),
            *(self._many_frames, self._commands, self._junk),
        )
        self._deeds = (self._send_urgent, self._close_half, self._send_descriptors, self._close_it)

    def attack(self, count: int) -> None:
        """Send `count` messages, some of them from a thread that outlives the program."""
        later = self._random.choice((0, 0, 0, count // 5))
        for _ in range(count - later):
            self.send()
        threading.Thread(target=self._send_slowly, args=(later,)).start()

    def _send_slowly(self, count: int) -> None:
        for _ in range(count):
            self.send()
            time.sleep(0.001)

    def send(self) -> None:
        """Send one message, or do something else to a socket."""
        draw = self._random.random
        wire = self._random.choices(self._wires, (1, 6, 3)[: len(self._wires)])[0]
        with suppress(OSError, MemoryError):
            if draw() < self._deed:
                self._random.choice(self._deeds)(wire)
            elif wire is self._wires[0]:
                wire.sendall(self._random.choice((*TO_SERVER, self._junk())))
            elif draw() < 0.02:
                os.write(self._random.choice((1, 2)), self._junk())
            else:
                wrong = draw() < self._wrong
                self._write(wire, self._random.choice(self._ways)() if wrong else _encoded(self._message()))

    def _write(self, wire: socket.socket, data: bytes) -> None:
        """Send it in one piece, or as a few."""
        cut = self._random.randrange(len(data) + 1) if self._random.random() < 0.1 else len(data)
        for piece in (data[:cut], data[cut:]):
            wire.sendall(piece)

    # Messages

    def _value(self, depth: int = 0) -> Any:
        draw = self._random
        match draw.randrange(8 if depth < 4 else 5):
            case 0 | 1:
                return draw.choice(WORDS)
            case 2:
                return draw.choice((0, 1, -1, 1.5, 1 << 70, True, None))
            case 3:
                return draw.choice(WORDS) * draw.randrange(4)
            case 4:
                return None
            case 5:
                return [self._value(depth + 1) for _ in range(draw.randrange(5))]
            case _:
                return {draw.choice(KEYS): self._value(depth + 1) for _ in range(draw.randrange(6))}

    def _part(self) -> bytes:
        if self._random.random() < 0.03:
            return self._random.choice(TEXTS)
        return json.dumps({self._random.choice(KEYS): self._value() for _ in range(4)}).encode()

    def _message(self) -> list[bytes]:
        """Return the frames of a message that is signed with the right key, whatever it says."""
        kind = self._random.choice(ENDINGS if self._random.random() < self._ending else KINDS)
        # Also the right kind with the right shape, or all that is interesting would be dropped.
        texts = {"name": self._random.choice(("stdout", "stderr")), "text": self._random.choice(WORDS)}
        content = (
            json.dumps(texts).encode() if kind == "stream" and self._random.random() < 0.7 else self._part()
        )
        header = json.dumps({"msg_type": kind, "msg_id": self._random.choice(WORDS)}).encode()
        parent = json.dumps(self._kernel._parent).encode() if self._random.random() < 0.8 else self._part()
        parts = [header if self._random.random() < 0.97 else self._part(), parent, b"{}", content]
        frames = [b"<IDS|MSG>", self._kernel._signer._signature(parts), *parts]
        return [kind.encode(), *frames] if self._random.random() < 0.9 else frames

    def _unsigned(self) -> bytes:
        return _encoded([self._junk() if self._random.random() < 0.5 else part for part in self._message()])

    def _truncated(self) -> bytes:
        data = _encoded(self._message())
        return data[: self._random.randrange(len(data))]

    def _flipped(self) -> bytes:
        data = bytearray(_encoded(self._message()))
        for _ in range(self._random.randrange(1, 9)):
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        return bytes(data)

    def _reordered(self) -> bytes:
        frames = self._message() + self._message()
        self._random.shuffle(frames)
        return _encoded(frames)

    def _nested(self) -> bytes:
        inner, outer = _encoded(self._message()), _encoded(self._message())
        cut = self._random.randrange(len(outer))
        return outer[:cut] + inner + outer[cut:]

    def _oversized(self) -> bytes:
        size = self._random.choice(HUGE)
        return struct.pack(">BQ", self._random.choice((2, 3, 6, 7, 0xFA)), size) + bytes(min(size, 1 << 17))

    def _many_frames(self) -> bytes:
        return _frame(b"", 1) * self._random.choice((2, 63, 64, 65, 5000))

    def _commands(self) -> bytes:
        name = self._random.choice((b"READY", b"ERROR", b"PING", b"SUBSCRIBE", b"CANCEL", b"", b"\xff" * 9))
        body = bytes([len(name)]) + name + self._random.choice((b"", b"\xff", self._junk()[:200]))
        return _frame(body, 4) * self._random.choice((1, 1, 50, 101, 1000))

    def _junk(self) -> bytes:
        return self._random.randbytes(self._random.choice((1, 2, 9, 64, 1000, 20_000)))

    # What isn't a message

    def _send_urgent(self, wire: socket.socket) -> None:
        wire.send(b"!", socket.MSG_OOB)

    def _close_half(self, wire: socket.socket) -> None:
        wire.shutdown(self._random.choice((socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR)))

    def _send_descriptors(self, wire: socket.socket) -> None:
        data = self._random.choice((b"listener", b"none", b"x", _encoded(self._message())))
        socket.send_fds(
            wire, [data], [self._random.choice((0, 1, 2, wire.fileno()))] * self._random.choice((1, 2, 50))
        )

    def _close_it(self, wire: socket.socket) -> None:
        if self._random.random() < 0.1:
            os.close(wire.fileno())


def _encoded(frames: list[bytes]) -> bytes:
    return b"".join(_frame(body, int(n < len(frames) - 1)) for n, body in enumerate(frames))


def _frame(body: bytes, flags: int) -> bytes:
    if len(body) < 256:
        return bytes((flags, len(body))) + body
    return struct.pack(">BQ", flags | 2, len(body)) + body
