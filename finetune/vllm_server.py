"""A vLLM server for as long as it is needed: `with serving(python, folder, log=…) as url`.

vLLM pins too much to live in this environment: `python` is the interpreter of its own, and the two meet over HTTP.
Settings are those that give other engines' tokens (float32) and keep a small machine steady; they are for checking a
model, not for speed.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from mumath_agent.errors import InputError, ModelUnreachable

READY_WITHIN_S = 300.0
NAME = "mumath"
"""What the model is served as."""
_OPTIONS = "--dtype float32 --enforce-eager --block-size 32 --generation-config vllm --shutdown-timeout 5"
_SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONSAFEPATH": "1",  # the folder of vllm_cli.py holds names of the standard library
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_USE_SPINLOOP_EXT": "1",
}


@contextmanager
def serving(python: Path, folder: Path, *, log: Path) -> Iterator[str]:
    """Serve the model in `folder`; yields the server's address.

    Raises:
        InputError: there is no such interpreter.
        ModelUnreachable: the server ended or didn't become ready; what it said is in `log`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [str(python), str(Path(__file__).with_name("vllm_cli.py")), "serve", str(folder.resolve())]
    where = ["--host", "127.0.0.1", "--port", port, "--served-model-name", NAME]
    with log.open("wb") as output:
        try:
            server = subprocess.Popen(
                [*command, *where, *_OPTIONS.split()],
                env=os.environ | _SETTINGS,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise InputError(f"can't run {python}: {error.strerror}; name the python that has vLLM") from None
        try:
            _wait_until_ready(server, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            _end(server)


def _wait_until_ready(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until and server.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(url).is_success:
                return
        time.sleep(0.25)
    lines = log.read_text("utf-8", "replace").strip().splitlines() or ["nothing"]
    raise ModelUnreachable(f"vLLM did not start; it said last: {lines[-1].strip()} (all of it: {log})")


def _end(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    with suppress(subprocess.TimeoutExpired):
        server.wait(15)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)  # engine processes, if any are left
    server.wait()
