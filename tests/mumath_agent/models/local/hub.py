"""A hub of our own: a real HTTP server that says what huggingface_hub asks for, and fails in every way it is told to.

HEAD /owner/repo/resolve/REVISION/FILE   commit, ETag, size, and a redirect to the server that has the content
GET the same                             the redirect
GET /content/FILE                        the content, from where a Range says
GET /api/models/owner/repo               the list of files
"""

import hashlib
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

COMMIT = "c0ffee" + "0" * 34


class Hub:
    """What the hub has, how it misbehaves, and what it was asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.sha256: dict[str, str] = {}
        """Other checksums than the true ones."""
        self.status = 0
        """Answer every request for a file or list with this."""
        self.error_code = ""
        """Beside the status: how the hub names the error."""
        self.content_status = 0
        """Answer requests for content with this, once."""
        self.breaks_after: list[int] = []
        """For each next request: break off the content after so many bytes."""
        self.resets = False
        """Break off with a reset instead of an orderly end."""
        self.holds_after: int | None = None
        """Send so many bytes of the content, then nothing until `goes_on`."""
        self.goes_on = Event()
        self.holding = Event()
        self.ranges: list[str] = []
        """The Range of each request for content, empty where there was none."""
        self.keys: list[str] = []
        """What the requests for content said of the user."""
        self.takes_ranges = True
        self.is_hub = True
        self.url = ""

    def head(self, file: str) -> dict[str, str]:
        """Return what the hub says of a file."""
        content = self.files[file]
        etag = self.sha256.get(file) or hashlib.sha256(content).hexdigest()
        about = {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        about |= {"X-Repo-Commit": COMMIT} if self.is_hub else {}
        return about | {"Location": f"{self.url.replace('127.0.0.1', 'localhost')}/content/{file}"}


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve the hub on a port of this machine."""

    class Handler(_Handler):
        to = hub

    server = _Server(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        hub.goes_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients are killed here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    to: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._resolve()

    def do_GET(self) -> None:
        if self.path.startswith("/content/"):
            self._content(self.path.removeprefix("/content/"))
        elif self.path.startswith("/api/models/"):
            self._list()
        else:
            self._resolve()

    def _resolve(self) -> None:
        file = self.path.rpartition("/")[2]
        if not self._failed():
            if file in self.to.files:
                self._answer(302, self.to.head(file))
            else:
                self._answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})

    def _list(self) -> None:
        if not self._failed():
            if not self.to.is_hub:
                self._answer(200, {"Content-Type": "text/html"}, b"<html>Welcome to the hotel</html>")
                return
            siblings = [{"rfilename": name} for name in self.to.files]
            about = {"id": "me/tiny", "siblings": siblings, "private": False, "downloads": 0, "tags": []}
            self._answer(200, {"Content-Type": "application/json"}, json.dumps(about).encode())

    def _failed(self) -> bool:
        if self.to.status:
            self._answer(self.to.status, {"X-Error-Code": self.to.error_code} if self.to.error_code else {})
        return bool(self.to.status)

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _content(self, file: str) -> None:
        hub, content, asked = self.to, self.to.files[file], self.headers.get("Range", "")
        hub.ranges.append(asked)
        hub.keys.append(self.headers.get("Authorization", ""))
        if hub.content_status:
            status, hub.content_status = hub.content_status, 0
            self._answer(status, {})
            return
        begin = int(asked.removeprefix("bytes=").partition("-")[0]) if asked and hub.takes_ranges else 0
        rest = content[begin:]
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if hub.holds_after is not None:
            self.wfile.write(rest[: hub.holds_after])
            hub.holding.set()
            hub.goes_on.wait()
            rest = rest[hub.holds_after :]
        if hub.breaks_after:
            self.wfile.write(rest[: hub.breaks_after.pop(0)])
            self.close_connection = True
            if hub.resets:  # closing with this option sends a reset
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        self.wfile.write(rest)
