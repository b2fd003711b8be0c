"""Serve completions at so many tokens a second, in a process of its own: `with serving(...) as url`.

At every step, each request gets its next token in an event of its own, as vLLM's continuous batching sends them, down
to the size and the keys of the events; all get the same text. No time goes into a model, so what is measured beside it
is the client. It serves on this machine only, and understands no other requests than our client's.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mumath_agent.errors import MuMathError

NAME = "simulated"
ENDING = " The answer is $\\boxed{4}$."
"""The last token of every text."""
_BACKLOG = 2048
"""uvicorn's, so vLLM's. If more connections are made at once than this, some are tried again only seconds later."""
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def serving(*, step_s: float, tokens: int) -> Iterator[str]:
    """Serve completions of `tokens` tokens, one every `step_s` seconds; yield the base URL."""
    command = [sys.executable, "-m", "benchmarks.perf.token_server", str(step_s), str(tokens)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            if not (port := server.stdout.readline().strip()):
                raise MuMathError("the simulated server did not start; its error stands above")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


class _Connection(asyncio.Protocol):
    """Answers one request after the other: the list of models, or a stream of tokens."""

    def __init__(self, streams: dict["_Connection", int]) -> None:
        self._streams = streams
        """How many tokens each stream has got."""
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, end, body = self._unread.partition(b"\r\n\r\n")
        if not end or len(body) < _content_length(head):
            return
        self._unread = b""
        if head.startswith(b"GET"):
            models = json.dumps({"data": [{"id": NAME}]}).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(models), models))
        else:
            self._transport.write(_HEAD)
            self._streams[self] = 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._streams.pop(self, None)

    def send(self, data: bytes) -> None:
        self._transport.write(data)


def _content_length(head: bytes) -> int:
    lengths = (
        line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    return int(next(lengths, b"0"))


async def _serve(step_s: float, tokens: int) -> None:
    streams: dict[_Connection, int] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(streams), "127.0.0.1", 0, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    token, last = (
        _event(" word", None),
        _event(ENDING, "stop") + _usage(tokens) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n",
    )
    at = loop.time()
    while True:
        at += step_s
        await asyncio.sleep(at - loop.time())
        for connection, sent in list(streams.items()):
            if sent + 1 < tokens:
                streams[connection] = sent + 1
                connection.send(token)
            else:
                del streams[connection]
                connection.send(last)


def _event(text: str, finish: str | None) -> bytes:
    choice = {
        "index": 0,
        "text": text,
        "logprobs": None,
        "finish_reason": finish,
        "stop_reason": None,
        "token_ids": None,
        "prompt_logprobs": None,
        "prompt_token_ids": None,
    }
    return _data([choice], None)


def _usage(tokens: int) -> bytes:
    return _data([], {"prompt_tokens": 20, "total_tokens": 20 + tokens, "completion_tokens": tokens})


def _data(choices: list[dict[str, object]], usage: dict[str, int] | None) -> bytes:
    event = {
        "id": "cmpl-8f14e45fceea167a5a36dedd4bea2543",
        "object": "text_completion",
        "created": 1767225600,
        "model": NAME,
        "choices": choices,
        "usage": usage,
    }
    return _chunk(f"data: {json.dumps(event, separators=(',', ':'))}\n\n".encode())


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), int(sys.argv[2])))
