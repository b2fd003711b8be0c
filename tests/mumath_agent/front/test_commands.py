"""`mumath-agent api` and `mcp` as commands: what they refuse, how they end, and what is left of them."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from mumath_agent.commands.front import require_extra
from mumath_agent.errors import MissingExtra
from tests.programs import PROGRAM, mumath_agent
from tests.serve_process import ended
from tests.toy import WITH_TOY
from tests.waiting import HANG_S, comes_true

QUESTION = {"messages": [{"role": "user", "content": "What is 17 times 23?"}]}


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("mcp", "--http", "--host", "0.0.0.0"), "--api-key"),
        (("api", "--allow-origin", "chat"), "https://host"),
        (("api", "--dialect", "klingon"), "klingon"),
        (("api", "--port", "0", "--answer-line", "no place"), "it must be one line with {}"),
    ],
)
def test_what_can_not_be_served_is_refused_at_once(words: tuple[str, ...], says: str) -> None:
    refused = mumath_agent(*words)
    assert (refused.code, refused.stdout) == (2, "")
    assert says in refused.stderr
    assert len(refused.errors) == 1


def test_an_address_that_is_taken(taken: str) -> None:
    refused = mumath_agent("api", "--port", taken)
    assert refused.code == 2
    assert f"can't listen at 127.0.0.1:{taken}: Address already in use" in refused.stderr


@pytest.mark.kernel
def test_without_a_model_the_server_ends(taken: str) -> None:
    """Nothing there says which model it is."""
    broken = mumath_agent("api", "--port", "0", "--base-url", "http://127.0.0.1:1/v1", "--wall", "0.1")
    assert broken.code == 3
    assert "127.0.0.1:1" in broken.stderr


@contextmanager
def started(*words: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start a server in a process of its own; yield it and its address."""
    with (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [*PROGRAM, *words, "--port", "0"], stdout=subprocess.PIPE, stderr=stderr, cwd=folder
        )
    assert process.stdout
    try:
        yield process, process.stdout.readline().decode().strip()
    finally:
        if process.poll() is None:
            ended(psutil.Process(process.pid), signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.mark.kernel
@pytest.mark.model
def test_a_server_that_is_killed_leaves_no_kernel(tmp_path: Path) -> None:
    with started("api", *WITH_TOY, folder=tmp_path) as (process, url):
        answer = httpx.post(f"{url}/chat/completions", json=QUESTION, timeout=HANG_S).json()
        assert answer["choices"][0]["message"]["content"].endswith("\\boxed{391}\\).")
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
        assert ended(psutil.Process(process.pid), signal.SIGKILL) == []


@pytest.mark.slow  # more processes, for the other signals
@pytest.mark.kernel
@pytest.mark.model
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_server_with_streams_open(number: int, tmp_path: Path) -> None:
    with (
        started("api", *WITH_TOY, folder=tmp_path) as (process, url),
        httpx.stream(
            "POST", f"{url}/chat/completions", json={**QUESTION, "stream": True}, timeout=HANG_S
        ) as answer,
    ):
        next(answer.iter_lines())
        assert ended(psutil.Process(process.pid), number) == []
        assert process.wait() == 0
    assert (tmp_path / "stderr").read_text().splitlines()[-1] == "ended"


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_server_on_stdio(number: int, tmp_path: Path) -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "x", "version": "1"},
        },
    }
    process = subprocess.Popen([*PROGRAM, "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path)
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(hello).encode() + b"\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["result"]["serverInfo"]["name"] == "mumath-agent"
    assert comes_true(lambda: bool(psutil.Process(process.pid).children()))
    assert ended(psutil.Process(process.pid), number) == []
    assert process.wait() == 0
    process.stdin.close()
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_installed_is_named() -> None:
    require_extra("api", "api", "json")
    with pytest.raises(
        MissingExtra, match=r"`mumath-agent api` needs the extra api: pip install '\.\[api\]'"
    ):
        require_extra("api", "api", "json", "no_such_module")
