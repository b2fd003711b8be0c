"""`mumath-agent serve --local` as people start it: it says where it serves, and leaves nothing behind."""

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from mumath_agent.models.local import engine
from mumath_agent.serving import free_port
from tests.mumath_agent.models.local.tiny import write_tiny
from tests.programs import PROGRAM, mumath_agent
from tests.waiting import HANG_S, comes_true

pytest.importorskip("xllamacpp", reason="llama.cpp is in the extra `local`")
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("served") / "tiny.gguf")


@pytest.fixture
def start(file: Path, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts `serve --local` with more options."""
    started: list[subprocess.Popen[str]] = []

    def begin(*options: str) -> "subprocess.Popen[str]":
        command = [*PROGRAM, "serve", "--local", str(file), "--port", str(free_port()), *options]
        with (tmp_path / "stderr").open("w") as stderr:
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def engine_of(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> psutil.Process:
    """Return the engine that a server has started."""
    found: list[psutil.Process] = []

    def look() -> bool:
        found[:] = [p for p in psutil.Process(process.pid).children() if engine.__file__ in p.cmdline()]
        return bool(found) or process.poll() is not None

    assert comes_true(look) and found
    return found[0]


def is_gone(process: psutil.Process) -> bool:
    return psutil.wait_procs([process], timeout=HANG_S)[1] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    process = start("--name", "mine", "--api-key", "sesame")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:") and url.endswith("/v1")
    with httpx.Client(trust_env=False, headers={"Authorization": "Bearer sesame"}) as client:
        assert client.get(f"{url}/models").json()["data"][0]["id"] == "mine"
        asked = {"model": "mine", "messages": [{"role": "user", "content": "2 + 2?"}], "max_tokens": 3}
        answer = client.post(f"{url}/chat/completions", json=asked).json()
        assert answer["usage"]["completion_tokens"] <= 3
        assert httpx.post(f"{url}/chat/completions", json=asked, trust_env=False).status_code == 401
    running = engine_of(process)
    process.send_signal(number)
    assert process.wait(HANG_S) == 0 and is_gone(running)
    said = (tmp_path / "stderr").read_text()
    assert "it is called mine" in said and "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ended_while_it_loads_it_leaves_no_engine(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    process = start()
    running = engine_of(process)
    running.suspend()  # so that it can't have loaded the model when the signal comes
    process.send_signal(number)
    ended = process.wait(HANG_S)
    if number == signal.SIGKILL:
        running.resume()
    assert ended == (-9 if number == signal.SIGKILL else 130) and is_gone(running)
    assert "Traceback" not in (tmp_path / "stderr").read_text()


@pytest.mark.kernel
@pytest.mark.parametrize(
    "number",
    [*(pytest.param(one, marks=pytest.mark.slow) for one in (signal.SIGINT, signal.SIGTERM)), signal.SIGKILL],
)
def test_solve_ended_in_the_middle_of_a_token_leaves_no_engine(
    file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    long = ("--max-new-tokens", "3000", "--dialect", "chat")  # with this prompt the model writes on and on
    command = [*PROGRAM, "solve", "--local", str(file), *long, "2 + 2?"]
    with (tmp_path / "stderr").open("w") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
    running = engine_of(process)
    assert comes_true(lambda: any(c.status == "ESTABLISHED" for c in running.net_connections()))
    running.suspend()
    process.send_signal(number)
    ended = process.wait(HANG_S)
    if number == signal.SIGKILL:
        running.resume()
    assert ended == (-9 if number == signal.SIGKILL else 130) and is_gone(running)
    said = (tmp_path / "stderr").read_text()
    assert "Traceback" not in said and (number == signal.SIGKILL or said.endswith("interrupted\n"))


def test_an_engine_that_is_killed_ends_it_with_one_line(start: Start, tmp_path: Path) -> None:
    process = start()
    assert process.stdout is not None and process.stdout.readline()
    engine_of(process).kill()
    assert process.wait(HANG_S) == 3
    assert "error: the engine of" in (tmp_path / "stderr").read_text().splitlines()[-1]


def test_what_can_not_be_served_is_one_line(file: Path, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("not a model")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        rows = [
            (("--local", str(file), "--port", port), f"can't listen at 127.0.0.1:{port}"),
            (("--local", str(tmp_path / "text.gguf")), "isn't a GGUF file that can be used"),
            (("--local", str(file), "models/mine"), "MODEL and --local don't go together"),
            (("--local", str(file), "--dtype", "float32", "--print"), "--dtype, --print and --local"),
            ((), "name the model to serve"),
        ]
        for options, told in rows:
            ended = mumath_agent("serve", *options)
            assert ended.code == 2 and len(ended.errors) == 1 and told in ended.errors[0]
