"""A vLLM server of one's own: started with settings that fit the model and the machine, and ended with what it served.

    with serving("weihao1/MuMath-Code-CL-7B") as base_url:
        ...

vLLM pins too much to live in this environment. It runs in its own, and the two meet over HTTP: nothing here imports it.
`checks` say what is wrong with a model before it is loaded, `command` makes the vLLM command, `server` runs it.
Replicas on several machines are not started from here; docs/serving.md says how vLLM does it.
"""

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mumath_agent.serving.command import Launch, ServeOptions, build_command
from mumath_agent.serving.machine import PYTHON, Gpu, visible_gpus, vllm_python
from mumath_agent.serving.server import Server, running

__all__ = [
    "PYTHON",
    "Gpu",
    "Launch",
    "ServeOptions",
    "Server",
    "build_command",
    "free_port",
    "running",
    "serving",
    "visible_gpus",
    "vllm_python",
]


@contextmanager
def serving(
    model: str | Path,
    *,
    python: Path | None = None,
    name: str | None = None,
    dtype: str | None = None,
    flags: tuple[str, ...] = (),
    log: Path | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Iterator[str]:
    """Serve a folder or a model of the hub on a free port of this machine; yields the address.

    `python` has vLLM (by default it is looked for), `log` is written anew (by default a file in a temporary folder).

    Raises:
        InputError: there is no such model or interpreter, or the model would not be served well.
        ModelUnreachable: the server ended or didn't become ready.
    """
    options = ServeOptions(model=str(model), name=name, port=free_port(), dtype=dtype, flags=flags)
    launch = build_command(options, vllm_python(python), visible_gpus())
    log = (
        log or Path(tempfile.mkdtemp(prefix="mumath-vllm-")) / "vllm.log"
    )  # kept: it says why, if it doesn't start
    with running(launch, log=log, on_progress=on_progress) as server:
        yield server.url


def free_port() -> int:
    """One that nobody on this machine listens at just now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
