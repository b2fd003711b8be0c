"""Start the fork server from a guardian process, which outlives the agent by a moment and clears up.

    agent --exec--> guardian --fork--> server --fork--> kernel, kernel, ...

When the agent is gone, however it ended, the guardian kills the server, and every kernel with it, and removes the
agent's private directory. It runs before anything heavy is imported.
"""

import json
import os
import select
import shutil
import signal
import socket
import sys
from contextlib import suppress
from typing import NoReturn

from mumath_agent.sandbox import namespaces
from mumath_agent.sandbox.confine import LayerError, needed_for
from mumath_agent.sandbox.spec import NAMESPACES, ServerSpec

MAX_SPEC_BYTES = 1 << 16


def main(descriptor: int, runtime: str, agent: int) -> NoReturn:
    """Start a server for process `agent`, which sends its spec first over socket `descriptor`, and guard it."""
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    if not (said := control.recv(MAX_SPEC_BYTES)):
        shutil.rmtree(runtime, ignore_errors=True)  # the agent ended before it said anything
        os._exit(0)
    spec = ServerSpec.from_bytes(said)
    was_root = os.getuid() == 0
    try:
        if NAMESPACES in spec.layers:
            with needed_for(NAMESPACES):
                namespaces.leave_process_ids()
    except LayerError as error:
        control.send(json.dumps({"error": f"LayerError: {error}"}).encode())
        os._exit(1)
    if (server := os.fork()) != 0:
        guard(control, server, agent, spec)
    sys.path[:] = spec.path
    from mumath_agent.sandbox.forkserver import serve

    serve(control, spec, was_root=was_root)


def guard(control: socket.socket, server: int, agent: int, spec: ServerSpec) -> NoReturn:
    """Wait until the agent or the server is gone, then end the server and remove the runtime directory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the agent handles Ctrl-C
    gone = select.poll()
    gone.register(control, 0)  # hang-up only; a forked child of the agent may keep its end open, hence:
    pause_ms: int | None = 100
    if sys.platform == "linux":
        pause_ms = None
        with suppress(ProcessLookupError):  # it may be gone already
            gone.register(os.pidfd_open(agent), select.POLLIN)
        gone.register(os.pidfd_open(server), select.POLLIN)
    while os.getppid() == agent and not _ended(server) and not gone.poll(pause_ms):
        pass
    with suppress(ProcessLookupError):
        os.kill(server, signal.SIGKILL)
    _, status = os.waitpid(server, 0)
    with suppress(OSError):
        control.send(json.dumps({"exit": os.waitstatus_to_exitcode(status)}).encode())
    shutil.rmtree(spec.runtime, ignore_errors=True)
    os._exit(0)


def _ended(process: int) -> bool:
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
