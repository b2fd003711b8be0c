"""Be a Jupyter kernel in one thread: take requests, run cells, answer.

It speaks the Jupyter protocol (version 5.4) over ZeroMQ's wire format on sockets it was given; it opens none. While a
cell runs nothing else is served, not even heartbeats: whoever started the kernel watches whether it lives. Between
cells no thread exists that a cell didn't start, so the whole process can be copied.
"""

import os
import random
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from mumath_agent.sandbox.branch import GIVEN, BranchError, copy_process, settle_copy
from mumath_agent.sandbox.confine import MAX_OPEN_FILES
from mumath_agent.sandbox.messages import PROTOCOL, Message, Signer
from mumath_agent.sandbox.shell import Shell
from mumath_agent.sandbox.spec import KernelSpec
from mumath_agent.sandbox.streams import Stream, belong_to, belongs_to, start_threads_in_context
from mumath_agent.sandbox.zmtp import ProtocolError, Wire, encode

SOCKET_TYPES = {"shell": "ROUTER", "control": "ROUTER", "stdin": "ROUTER", "iopub": "XPUB", "hb": "REP"}
MAX_REQUEST_BYTES = 64 << 20
SEND_TIMEOUT_S = 5.0
"""A client that doesn't read for this long has lost its connection."""
MAX_SHOWN_BYTES, MAX_SHOWN = 16 << 20, 5000
"""How much one cell may show in total, in bytes, and in messages besides what it prints; the rest is dropped."""
INFO = {
    "status": "ok",
    "protocol_version": PROTOCOL,
    "implementation": "mumath",
    "implementation_version": "1",
    "language_info": {
        "name": "python",
        "version": sys.version.split()[0],
        "mimetype": "text/x-python",
        "file_extension": ".py",
        "codemirror_mode": {"name": "ipython", "version": 3},
        "pygments_lexer": "ipython3",
        "nbconvert_exporter": "python",
    },
    "banner": "",
    "help_links": [],
    "supported_features": [],
}


@dataclass(slots=True, eq=False)
class Peer:
    """A client's connection to one channel."""

    socket: socket.socket
    channel: str
    wire: Wire
    topics: set[bytes] = field(default_factory=set)
    """The topics it subscribed to (iopub only)."""


class KernelLoop:
    """Serves its clients until it is told to shut down or they are gone."""

    def __init__(
        self, shell: Shell, spec: KernelSpec, sockets: list[socket.socket], line: socket.socket
    ) -> None:
        """Run cells in `shell` for clients at `sockets`; over `line` the fork server asks for branches."""
        self._shell = shell
        self._server = os.getppid()
        self._cells = 0
        self._shown_bytes = self._shown = 0
        self._interruptible = False
        self._ended = False
        shell.publish = self.publish
        shell.max_output_chars = spec.max_output_chars
        self._streams = [
            Stream(1, spec.max_output_chars, lambda text: self._print("stdout", text)),
            Stream(2, spec.max_output_chars, lambda text: self._print("stderr", text)),
        ]
        self._streams[0].other, self._streams[1].other = self._streams[1], self._streams[0]
        sys.stdout, sys.stderr = self._streams
        start_threads_in_context()
        self._connect(spec, sockets, line)

    def _connect(self, spec: KernelSpec, sockets: list[socket.socket], line: socket.socket) -> None:
        self._signer = Signer(spec.key, "kernel")
        self._parent: Message = {}
        self._peers: list[Peer] = []
        self._private = not spec.listening
        self._line = line
        self._selector = selectors.PollSelector()
        self._selector.register(line, selectors.EVENT_READ)
        for channel, given in zip(spec.channels, sockets, strict=True):
            if spec.listening:
                given.setblocking(False)
                self._selector.register(given, selectors.EVENT_READ, channel)
            else:
                self._admit(channel, given)

    def serve(self) -> None:
        """Answer requests until the end."""
        signal.signal(signal.SIGINT, self._interrupt)
        while not self._ended:
            # A cell may have left a signal handler behind; what that raises here must not end the kernel.
            with suppress(Exception, KeyboardInterrupt):
                for key, _ in self._selector.select():
                    match key.data:
                        case str():
                            self._accept(key.data, key.fileobj)
                        case Peer():
                            self._receive(key.data)
                        case _:
                            if self._branch():
                                break  # the remaining events are the origin's

    # What comes in

    def _accept(self, channel: str, listener: Any) -> None:
        connection, _ = listener.accept()
        self._admit(channel, connection)

    def _admit(self, channel: str, connection: socket.socket) -> None:
        connection.settimeout(SEND_TIMEOUT_S)
        peer = Peer(connection, channel, Wire(SOCKET_TYPES[channel], max_bytes=MAX_REQUEST_BYTES))
        self._peers.append(peer)
        self._selector.register(connection, selectors.EVENT_READ, peer)
        self._transmit(peer, peer.wire.opening)

    def _receive(self, peer: Peer) -> None:
        try:
            data = peer.socket.recv(1 << 16)
            messages = peer.wire.decode(data)
        except (OSError, ProtocolError):
            data, messages = b"", []
        if not data:
            self._dismiss(peer)
        for frames in messages:
            if peer.channel == "hb":
                self._transmit(peer, encode(frames))
            elif peer.channel == "iopub":
                self._subscribe(peer, frames[0])
            else:
                self._answer(peer, frames)

    def _dismiss(self, peer: Peer) -> None:
        if peer in self._peers:
            self._peers.remove(peer)
            self._selector.unregister(peer.socket)
            peer.socket.close()
        if self._private:
            self._ended = True  # its one client is gone

    def _subscribe(self, peer: Peer, request: bytes) -> None:
        if request.startswith(b"\x01"):
            peer.topics.add(request[1:])
            content = {"subscription": request[1:].decode("utf-8", "replace")}
            self._send([peer], "iopub_welcome", content, {}, topic=request[1:])
        else:
            peer.topics.discard(request[1:])

    def _answer(self, peer: Peer, frames: list[bytes]) -> None:
        try:
            request = self._signer.unpack(frames)
        except ValueError:
            return
        kind = request["header"].get("msg_type", "")
        handle: Callable[[Message], Message] | None = getattr(self, f"_on_{kind}", None)
        if handle is None or not kind.endswith("_request"):
            return
        if kind == "execute_request":
            self._cells += 1  # before the parent: whoever sees the new one no longer belongs to the cell
        belong_to(self._cells)
        self._parent = request["header"]
        self.publish("status", {"execution_state": "busy"})
        reply = handle(request["content"])
        # Idle first: a client that has the reply then knows that everything else was sent.
        self.publish("status", {"execution_state": "idle"})
        self._send([peer], kind.replace("_request", "_reply"), reply, self._parent)

    # Requests

    def _on_execute_request(self, content: Message) -> Message:
        if not (content.get("silent") or self._private):  # our own client knows what it sent
            shown = {"code": content["code"], "execution_count": self._cells}
            self.publish("execute_input", shown)
        error = self._run(content["code"], silent=bool(content.get("silent")))
        self._shell.execution_count = self._cells + 1
        outcome = error or {"payload": [], "user_expressions": {}}
        return {"status": "error" if error else "ok", "execution_count": self._cells} | outcome

    def _on_kernel_info_request(self, _content: Message) -> Message:
        return INFO

    def _on_complete_request(self, content: Message) -> Message:
        end = content["cursor_pos"]
        text, matches = self._shell.complete("", content["code"][:end], end)
        span = {"cursor_start": end - len(text), "cursor_end": end}
        return {"status": "ok", "matches": matches, "metadata": {}} | span

    def _on_inspect_request(self, content: Message) -> Message:
        name = content["code"][: content["cursor_pos"]].split()[-1:]
        found = bool(name) and self._shell.object_inspect(name[0])["found"]  # type: ignore[no-untyped-call]
        data = self._shell.object_inspect_mime(name[0]) if found else {}  # type: ignore[no-untyped-call]
        return {"status": "ok", "found": found, "data": data, "metadata": {}}

    def _on_is_complete_request(self, content: Message) -> Message:
        status, indent = self._shell.input_transformer_manager.check_complete(content["code"])
        return {"status": status} | ({"indent": " " * (indent or 0)} if status == "incomplete" else {})

    def _on_history_request(self, _content: Message) -> Message:
        return {"status": "ok", "history": []}

    def _on_comm_info_request(self, _content: Message) -> Message:
        return {"status": "ok", "comms": {}}

    def _on_interrupt_request(self, _content: Message) -> Message:
        return {"status": "ok"}  # this was read, so nothing runs

    def _on_shutdown_request(self, content: Message) -> Message:
        self._ended = True
        return {"status": "ok", "restart": bool(content.get("restart"))}

    # Branches

    def _branch(self) -> bool:
        """Copy this process, as the server asks; return whether this is the copy."""
        if not self._line.recv(64):
            self._selector.unregister(self._line)
            return False
        random_state = random.getstate()
        try:
            self._check_alone()
            if not copy_process(self._server):
                return False
        except BranchError as error:
            self._line.send(str(error).encode())
            return False
        try:
            random.setstate(random_state)  # Python reseeds after a fork; a branch goes on as its origin would
            settle_copy()
            line, *sockets = (socket.socket(fileno=descriptor) for descriptor in GIVEN if descriptor > 2)
            self._connect(KernelSpec.from_bytes(line.recv(1 << 16)), sockets, line)
        except BaseException:
            os._exit(1)
        return True

    def _check_alone(self) -> None:
        """Check that this process can be copied soundly.

        A copy would have other threads' locks but not the threads, and files that two processes write to.

        Raises:
            BranchError: it has threads running or files open.
        """
        if threading.active_count() > 1:
            raise BranchError("it has threads running")
        ours = {self._line.fileno(), *(peer.socket.fileno() for peer in self._peers)}
        for descriptor in set(range(3, MAX_OPEN_FILES)) - ours:
            with suppress(OSError):
                os.fstat(descriptor)
                raise BranchError("it has files open")

    # One cell

    def _run(self, code: str, *, silent: bool) -> Message | None:
        """Run a cell; return the error it ended in, if any."""
        self._shown_bytes = self._shown = 0
        self._shell.last_error = None
        sys.stdout, sys.stderr = self._streams  # an earlier cell may have changed these
        for stream in self._streams:
            stream.begin(self._cells)
        signal.signal(signal.SIGINT, self._interrupt)  # and this
        try:
            self._interruptible = True
            self._shell.run_cell(code, silent=silent, store_history=False)  # type: ignore[no-untyped-call]
            self._interruptible = False
        except BaseException:  # an interrupt that came too late for the cell
            self._interruptible = False
            self._shell.showtraceback()
        for stream in self._streams:
            stream.finish()
        return self._shell.last_error

    def _interrupt(self, *_: Any) -> None:
        if self._interruptible:
            raise KeyboardInterrupt

    # What goes out

    def publish(self, kind: str, content: Message) -> None:
        """Send a message to all subscribers, unless a thread that outlived its cell asks for it."""
        parent = self._parent  # first, so that a thread whose cell ends now doesn't speak for the next one
        if not belongs_to(self._cells):
            return
        if kind != "status":
            for stream in self._streams:
                stream.flush()  # keep the order: what was printed before comes before
        self._send(self._peers, kind, content, parent, topic=kind.encode())

    def _print(self, name: str, text: str) -> None:
        """Send what a stream has gathered, whichever thread makes it do so: it took in only its cell's text."""
        self._send(self._peers, "stream", {"name": name, "text": text}, self._parent, topic=b"stream")

    def _send(
        self, peers: list[Peer], kind: str, content: Message, parent: Message, topic: bytes | None = None
    ) -> None:
        """Send to `peers`; with a topic, only to those that subscribed to it."""
        if topic is not None and kind not in ("status", "stream", "error"):
            self._shown += 1
            if self._shown > MAX_SHOWN:
                return
        frames = self._signer.pack(self._signer.header(kind), content, parent)
        data = encode(frames if topic is None else [topic, *frames])
        if topic is not None and topic != b"status":
            self._shown_bytes += len(data)
            if self._shown_bytes > MAX_SHOWN_BYTES:
                return
        for peer in list(peers):
            if topic is None or any(topic.startswith(wanted) for wanted in peer.topics):
                self._transmit(peer, data)

    def _transmit(self, peer: Peer, data: bytes) -> None:
        try:
            with _undisturbed():
                peer.socket.sendall(data)
        except OSError:
            self._dismiss(peer)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Block signals, so that no handler a cell has set leaves half a message on the wire."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_SIGNALS = set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, signal.SIGABRT}
