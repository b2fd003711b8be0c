"""A server for the doctor to examine: healthy, but for the faults it is given.

It speaks HTTP as vLLM does and writes numbers, one a token, a thousand a second. A real vLLM can't be made to have most
of the faults; that it has none of them is tested in `test_vllm.py`.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import takewhile
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.toy import TOY

KEY = "sk-right"
BLOCK = 16
TOKEN_S = 0.001


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(TOY / "tokenizer.json"))


class Simulated(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, faults: frozenset[str], root: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults = faults
        self.root = root
        self.running = self.written = self.cached = 0
        self.seen: list[list[int]] = []
        self.lock = threading.Lock()

    def models(self) -> dict[str, Any]:
        model = {"id": "mumath", "root": self.root, "max_model_len": 256 if "short" in self.faults else 4096}
        if "reticent" in self.faults:
            model = {"id": "mumath"}
        if "babble" in self.faults:
            return {"data": "mumath"}
        return {"data": [model] if "two models" not in self.faults else [model, model | {"id": "other"}]}

    def ids(self, prompt: str) -> list[int]:
        ids: list[int] = tokenizer().encode(prompt).ids
        return [0, *ids] if "other tokenizer" in self.faults else ids

    def read(self, ids: list[int]) -> int:
        """Return how many of the ids a cache of whole blocks has; they are in it from now on."""
        common = max((_common(ids, earlier) for earlier in self.seen), default=0)
        self.seen.append(ids)
        hits = 0 if "no cache" in self.faults else min(common, len(ids) - 1) // BLOCK * BLOCK
        self.cached += hits
        return hits

    def metrics(self) -> str:
        return (
            f'vllm:num_requests_running{{engine="0"}} {self.running}.0\n'
            f'vllm:generation_tokens_total{{engine="0"}} {self.written}.0\n'
            f'vllm:prefix_cache_hits_total{{engine="0"}} {self.cached}.0\n'
        )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that left."""


def _common(ids: list[int], others: list[int]) -> int:
    """Count the ids that are the same from the beginning on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ids, others, strict=False)))


class Handler(BaseHTTPRequestHandler):
    server: Simulated

    def do_GET(self) -> None:
        faults = self.server.faults
        if "locked" in faults and self.headers["Authorization"] != f"Bearer {KEY}":
            self.say(401, {"error": "wrong key"})
        elif self.path == "/v1/models" and "failing" in faults:
            self.say(500, {"error": "out of order"})
        elif self.path == "/v1/models" and "page" in faults:
            self.say(200, "<!doctype html> <title>Welcome</title>")
        elif self.path == "/v1/models":
            self.say(200, self.server.models())
        elif self.path == "/version":
            self.say(200, {"version": "0.32.0"})
        elif self.path == "/metrics" and "no metrics" not in faults:
            self.say(200, self.server.metrics())
        else:
            self.say(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        faults = self.server.faults
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        chat = self.path == "/v1/chat/completions"
        if self.path == "/tokenize" and "no tokenize" not in faults:
            ids = self.server.ids(body["prompt"])
            self.say(200, {"tokens": ids, "count": len(ids)})
        elif chat and "text only" not in faults:
            self.write_on(body, "\n".join(message["content"] for message in body["messages"]), chat=True)
        elif self.path == "/v1/completions" and "chat only" not in faults:
            self.write_on(body, body["prompt"], chat=False)
        else:
            self.say(404, {"detail": "Not Found"})

    def write_on(self, body: dict[str, Any], prompt: str, *, chat: bool) -> None:
        server = self.server
        prompt = prompt[-1200:] if "cuts" in server.faults else prompt
        ids = server.ids(prompt)
        password = re.search(r"word\d+", prompt) if "recalls" in server.faults else None
        with server.lock:
            hits = server.read(ids)
        usage: dict[str, Any] = {"prompt_tokens": len(ids), "prompt_tokens_details": None}
        if "says cached" in server.faults:
            usage["prompt_tokens_details"] = {"cached_tokens": hits}
        if not body.get("stream"):
            self.say(200, {"choices": [{"text": "1", "finish_reason": "length"}], "usage": usage})
            return
        self.send_response(200)
        self.end_headers()
        with self.counted_as_running():
            for token in [password[0]] if password else self.tokens(body):
                self.event({"choices": [{"delta": {"content": token}} if chat else {"text": token}]})
                server.written += body.get("n", 1)
                time.sleep(TOKEN_S)
        self.event({"choices": [{"text": "", "finish_reason": "stop"}]})
        if "no usage" not in server.faults:
            self.event({"choices": [], "usage": usage})

    def tokens(self, body: dict[str, Any]) -> Iterator[str]:
        written = ""
        for number in range(body["max_tokens"]):
            token = f"{number} "
            stop = next((stop for stop in body.get("stop") or () if stop in written + token), None)
            if stop is not None and "stop" not in self.server.faults:
                rest = (written + token).partition(stop)[0].removeprefix(written)
                yield rest + stop if "stop kept" in self.server.faults else rest
                return
            yield token
            written += token

    @contextmanager
    def counted_as_running(self) -> Iterator[None]:
        with self.server.lock:
            self.server.running += 1
        try:
            yield
        except OSError:
            if "deaf" in self.server.faults:
                time.sleep(3)
            raise
        finally:
            with self.server.lock:
                self.server.running -= 1

    def event(self, event: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()

    def say(self, status: int, body: Any) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def simulate() -> Iterator[Callable[..., str]]:
    """Yield a function that starts a server with the given faults and returns its address."""
    with ExitStack() as servers:

        def start(*faults: str, root: str = str(TOY)) -> str:
            server = servers.enter_context(Simulated(frozenset(faults), root))
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            servers.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield start
