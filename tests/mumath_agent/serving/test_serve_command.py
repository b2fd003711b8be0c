"""`mumath-agent serve` as people start it: it says where it serves, and leaves nothing behind however it ends.

By day the session's one server is told to stop. What needs a start of its own, a minute of two cores each, is slow.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from mumath_agent.commands.serve import serve
from mumath_agent.errors import InputError
from mumath_agent.serving import free_port
from tests.programs import mumath_agent
from tests.serve_process import ServeProcess
from tests.toy import TOY
from tests.vllm_session import VllmSession


def engines(family: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return those that hold the weights."""
    found: list[psutil.Process] = []
    for process in family:
        with suppress(psutil.NoSuchProcess):
            if process.name().startswith("VLLM::Engine"):
                found.append(process)
    return found


@pytest.fixture
def start(vllm_python: Path, tmp_path: Path) -> Iterator[Callable[..., ServeProcess]]:
    """Return a function that starts `serve` with the toy's weights and more options."""
    with ExitStack() as started:

        def begin(*options: object) -> ServeProcess:
            port = ("--port", free_port())
            server = ServeProcess(TOY, *port, *options, python=vllm_python, folder=tmp_path)
            started.callback(server.close)
            return server

        yield begin


@pytest.mark.vllm
def test_sigterm_ends_it_and_all_its_children(
    shared_vllm: VllmSession, ended_vllm: tuple[list[psutil.Process], int]
) -> None:
    assert ended_vllm == ([], 0)
    assert "ready after" in shared_vllm.stderr and "rope base: 10,000 in its config" in shared_vllm.stderr


@pytest.mark.vllm
@pytest.mark.slow
def test_kill_9_while_it_starts_leaves_no_engine(start: Callable[..., ServeProcess]) -> None:
    server = start()
    while not engines(psutil.Process(server.process.pid).children(recursive=True)):
        assert server.process.poll() is None, server.stderr
        time.sleep(0.1)
    assert server.kill() == []


@pytest.mark.vllm
@pytest.mark.slow
def test_a_flag_that_vllm_does_not_know(start: Callable[..., ServeProcess]) -> None:
    server = start("--", "--no-such-flag")
    assert server.process.wait() == 3
    assert "unrecognized arguments: --no-such-flag" in server.stderr.splitlines()[-1]
    assert server.process.stdout is not None and not server.process.stdout.read()


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.kernel
def test_solve_serves_for_one_run(vllm_python: Path) -> None:
    question = "Tom has 3 apples and buys 4 more. How many apples does Tom have?"
    command = [sys.executable, "-m", "mumath_agent", "solve", "--serve", str(TOY), question]
    surroundings = os.environ | {"MUMATH_VLLM_PYTHON": str(vllm_python)}
    before = engines(psutil.process_iter())
    solved = subprocess.run(command, env=surroundings, capture_output=True, text=True)
    assert solved.returncode == 0, solved.stderr
    assert solved.stdout.endswith("Answer: 7\n") and "model: toy" in solved.stderr
    assert set(engines(psutil.process_iter())) <= set(before)


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.train
def test_an_adapter_is_served_until_kill_9(start: Callable[..., ServeProcess], adapter: Path) -> None:
    server = start("--lora", f"tuned={adapter}")
    url = server.url()
    models = httpx.get(f"{url}/v1/models").json()["data"]
    assert [model["id"] for model in models] == ["toy", "tuned"]
    body = {"model": "tuned", "prompt": "What is 3 plus 1?", "max_tokens": 4}
    assert (
        httpx.post(f"{url}/v1/completions", json=body, timeout=60).json()["usage"]["completion_tokens"] == 4
    )
    assert server.kill() == []


def test_the_command_is_shown_and_nothing_started(capsys: pytest.CaptureFixture[str]) -> None:
    serve(str(TOY), port=1, only_print=True, vllm_python=Path("/vllm/bin/python"), flags=["--seed", "1 2"])
    shown = capsys.readouterr().out
    assert shown.startswith("env ") and "/vllm/bin/python" in shown and shown.endswith("--seed '1 2'\n")
    words = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {shown}"], capture_output=True, text=True
    ).stdout.splitlines()
    assert words[-1] == "1 2" and words[words.index("--port") + 1] == "1"


def test_a_command_for_another_machine_needs_no_vllm_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("MUMATH_VLLM_PYTHON", raising=False)
    ended = mumath_agent("serve", str(TOY), "--print")
    assert ended.code == 0 and " python " in ended.stdout and "vLLM isn't installed here" in ended.stderr


@pytest.mark.parametrize("lora", ["tuned", "=folder", "tuned="])
def test_an_adapter_without_name_or_folder(lora: str) -> None:
    with pytest.raises(InputError, match="isn't of the form NAME=FOLDER"):
        serve(str(TOY), lora=[lora], only_print=True)
