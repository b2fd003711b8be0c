"""Serve a model of ours at `POST /v1/completions`, for any client that speaks OpenAI's protocol.

Made for recordings: a client that drives a real server can be tested against what is known to come. It serves on this
machine only, knows plain and streamed answers and `GET /v1/models`, and answers what it can't read with a 400 and a
reason. It has no keys and no limits on clients, so it isn't meant for a network.
"""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mumath_agent.bridge import run_sync
from mumath_agent.errors import InputError, ModelRefused
from mumath_agent.protocols import CompletionModel, CompletionRequest
from mumath_agent.records import Completion

_MAX_BYTES = 10_000_000
_STALLED_S = 60.0


@contextmanager
def serving(model: CompletionModel, port: int = 0) -> Iterator[str]:
    """Serve `model` on a port of this machine (0: any free one) while the block runs; yield the base URL.

    Raises:
        InputError: the port can't be had.
    """
    handler = type("Handler", (_Handler,), {"model": model})
    try:
        server = _Server(("127.0.0.1", port), handler)
    except OSError as error:
        raise InputError(f"can't serve on port {port}: {error.strerror}; name another one") from None
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="replay-server", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what broke, unless it is the client's connection."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _STALLED_S
    model: CompletionModel

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            return self._refuse(HTTPStatus.NOT_FOUND, f"there is no {self.path} here")
        return self._send({"object": "list", "data": [{"id": self.model.name, "object": "model"}]})

    def do_POST(self) -> None:
        if self.path != "/v1/completions":
            return self._refuse(HTTPStatus.NOT_FOUND, f"there is no {self.path} here")
        try:
            body = self._body()
            completion = run_sync(self._completion(body))
        except (ValueError, TypeError, RecursionError, ModelRefused) as error:
            return self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        return self._stream(completion) if body.get("stream") else self._send(self._answer(completion))

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a replay is watched from its client."""

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length") or -1)
        if not 0 <= length <= _MAX_BYTES:
            raise ValueError(f"Content-Length has to be given and at most {_MAX_BYTES}")
        body = json.loads(self.rfile.read(length))
        if not isinstance(body, dict) or not isinstance(body.get("prompt"), str):
            raise ValueError("the body has to be a JSON object with one prompt, a string")
        return body

    async def _completion(self, body: dict[str, Any]) -> Completion:
        stop = body.get("stop") or ()
        return await self.model.complete(
            CompletionRequest(
                prompt=body["prompt"],
                stop=(stop,) if isinstance(stop, str) else tuple(map(str, stop)),
                max_tokens=int(body.get("max_tokens") or 16),
            )
        )

    def _answer(self, completion: Completion) -> dict[str, Any]:
        choice = {"index": 0, "text": completion.text, "finish_reason": completion.finish_reason.value}
        usage = {
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
            "total_tokens": completion.prompt_tokens + completion.completion_tokens,
        }
        return {"object": "text_completion", "model": self.model.name, "choices": [choice], "usage": usage}

    def _stream(self, completion: Completion) -> None:
        """Write one event with everything, then the end mark; the connection's end is the body's end."""
        event = json.dumps(self._answer(completion))
        self._write(HTTPStatus.OK, "text/event-stream", f"data: {event}\n\ndata: [DONE]\n\n")

    def _send(self, answer: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._write(status, "application/json", json.dumps(answer))

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._send({"error": {"message": message, "type": "invalid_request_error"}}, status)

    def _write(self, status: HTTPStatus, content_type: str, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
