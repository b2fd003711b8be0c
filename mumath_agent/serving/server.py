"""A vLLM process from its start to its end: waited for, watched, and ended with all its children.

    Launch ─▶ `running` ─▶ address … Ctrl-C, SIGTERM or the end of the block ─▶ SIGTERM, what is left SIGKILL

What vLLM says goes to a file, from which progress and the cause of a failure are read. Which command is run is not
decided here.
"""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from mumath_agent.errors import InputError, ModelUnreachable
from mumath_agent.serving.command import DRAIN_S, Launch

LAUNCHER = "MUMATH_VLLM_LAUNCHER"
"""The environment variable that tells `vllm_cli.py` whose end is its own."""
READY_WITHIN_S = 1800.0
"""Loading 70 billion weights from a slow disk takes that long."""
_POLL_S = 0.2
_END_S, _GIVE_UP_S = DRAIN_S + 10.0, 2.0
"""How long a server may take to end: one that answers, which finishes what it has begun, and one that still loads."""
_TAIL_BYTES, _DOING_CHARS = 1 << 16, 100
_SAID = re.compile(r"(?:\(\w[^)]*\) )?(?:(?P<level>[A-Z]+) \d\d-\d\d [\d:]+ \[[^]]*\] ?)?(?P<text>.*)")
"""A line of vLLM's log: who, how grave, when, where; then what."""
_ERROR = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception): .+|\S+: error: .+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One that answers."""

    url: str
    """Without a path."""
    log: Path
    process: "subprocess.Popen[bytes]"

    def wait(self) -> None:
        """Until it ends by itself, which it should not.

        Raises:
            ModelUnreachable: it did.
        """
        code = self.process.wait()
        raise ModelUnreachable(f"vLLM ended (exit code {code}): {cause_of(self.log)}")


@contextmanager
def running(
    launch: Launch, *, log: Path, on_progress: Callable[[str], None] = lambda _: None
) -> Iterator[Server]:
    """Start it and wait until it answers; at the end of the block it and its children are gone.

    `on_progress` hears what vLLM says it is doing. Killed with -9, this process leaves no server behind either.

    Raises:
        InputError: the port is taken, or the interpreter can't be run.
        ModelUnreachable: the server ended or did not become ready in time; the message quotes the cause.
    """
    _check_port(launch)
    process = _started(launch, log)
    patience_s = _GIVE_UP_S
    try:
        _wait_until_ready(process, launch.url, log, on_progress)
        patience_s = _END_S
        yield Server(url=launch.url, log=log, process=process)
    finally:
        _end(process, patience_s)


def cause_of(log: Path) -> str:
    """Why a server ended: the first error in its log, since later ones only say that an earlier one happened."""
    lines = log.read_text("utf-8", "replace").splitlines()
    said = [
        match["text"].strip()
        for line in lines
        if (match := _SAID.fullmatch(line)) and match["level"] != "WARNING"
    ]
    found = next((at for at, text in enumerate(said) if _ERROR.fullmatch(text)), None)
    if found is None:
        return f"it said last: {next(filter(None, reversed(said)), 'nothing')} (all of it: {log})"
    follows = said[found + 1] if "validation error" in said[found] and found + 1 < len(said) else ""
    return f"{said[found]} {follows}".strip() + f" (all it said: {log})"


def _started(launch: Launch, log: Path) -> "subprocess.Popen[bytes]":
    try:
        output = log.open("wb")
    except OSError as error:
        raise InputError(f"can't write the log {log}: {error.strerror}") from None
    with output:
        try:
            return subprocess.Popen(
                launch.command,
                env=os.environ | launch.environment | {LAUNCHER: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in a terminal is for us; we pass it on
            )
        except OSError as error:
            python = launch.command[0]
            raise InputError(f"can't run {python}: {error.strerror}; name the python that has vLLM") from None


def _check_port(launch: Launch) -> None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in launch.host else socket.AF_INET) as listener:
            # The port of one that has just ended is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((launch.host, launch.port))
    except OSError as error:
        raise InputError(
            f"can't listen at {launch.host} port {launch.port}: {error.strerror}; give another --port or --host"
        ) from None


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", url: str, log: Path, on_progress: Callable[[str], None]
) -> None:
    until = time.monotonic() + READY_WITHIN_S
    told = ""
    while process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", trust_env=False).is_success:
                return
        if time.monotonic() > until:
            raise ModelUnreachable(f"vLLM was not ready after {READY_WITHIN_S:.0f} s; {cause_of(log)}")
        if (doing := _doing(log)) not in ("", told):
            told = doing
            on_progress(doing)
        time.sleep(_POLL_S)
    raise ModelUnreachable(f"vLLM did not start (exit code {process.returncode}): {cause_of(log)}")


def _doing(log: Path) -> str:
    """The newest of what vLLM says that it does."""
    with log.open("rb") as lines:
        lines.seek(max(log.stat().st_size - _TAIL_BYTES, 0))
        said = lines.read().decode("utf-8", "replace").replace("\r", "\n").splitlines()
    for line in reversed(said):
        match = _SAID.fullmatch(line)
        text = match["text"] if match and (match["level"] == "INFO" or "Loading " in line) else ""
        if text[:1].strip():  # what is indented belongs to a line above
            return text[:_DOING_CHARS]
    return ""


def _end(process: "subprocess.Popen[bytes]", patience_s: float) -> None:
    process.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    finally:  # also when a second Ctrl-C cuts the waiting short
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what is left of it: engines and workers
        process.wait()
