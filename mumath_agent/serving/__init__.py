"""Start a vLLM server of your own, with settings that fit the model and the machine, and stop it again.

    with serving("weihao1/MuMath-Code-CL-7B") as base_url:
        ...

vLLM pins too many versions to share this environment. It runs in its own and is reached over HTTP; nothing here
imports it. `checks` find out what is wrong with a model before it is loaded, `command` builds the vLLM command and
`server` runs it. Replicas on several machines aren't started from here; docs/serving.md explains how vLLM does it.
"""

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mumath_agent.serving.command import ServeOptions, ServerCommand, build_command
from mumath_agent.serving.machine import PYTHON, Gpu, visible_gpus, vllm_python
from mumath_agent.serving.server import VllmServer, running

__all__ = [
    "PYTHON",
    "Gpu",
    "ServeOptions",
    "ServerCommand",
    "VllmServer",
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
    """Serve a local folder or a model of the hub on a free port of this machine; yield the server's address.

    Args:
        model: the folder, or the model's id on the hub.
        python: the interpreter that has vLLM; by default it is looked for.
        name: the name to serve the model by; by default its id or its folder's name.
        dtype: vLLM's --dtype; by default chosen for this machine.
        flags: more flags for vLLM.
        log: the file for vLLM's output, overwritten; by default one in a new temporary folder.
        on_progress: called with what vLLM says it is doing.

    Raises:
        InputError: the model or the interpreter doesn't exist, or a check of the model failed.
        ModelUnreachable: the server ended or didn't become ready.
    """
    options = ServeOptions(model=str(model), name=name, port=free_port(), dtype=dtype, flags=flags)
    command = build_command(options, vllm_python(python), visible_gpus())
    # The temporary log is kept: it says why a server didn't start.
    log = log or Path(tempfile.mkdtemp(prefix="mumath-vllm-")) / "vllm.log"
    with running(command, log=log, on_progress=on_progress) as server:
        yield server.url


def free_port() -> int:
    """Return a port of this machine that is free at the moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
