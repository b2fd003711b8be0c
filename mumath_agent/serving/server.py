"""Run a vLLM server: start it, wait until it answers, watch it, and end it with all its child processes.

    ServerCommand ─▶ `running` ─▶ address … Ctrl-C, SIGTERM or the end of the block ─▶ SIGTERM, then SIGKILL

vLLM's output goes to a file, from which progress and the cause of a failure are read.
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
from mumath_agent.runs.locks import require_regular
from mumath_agent.serving.command import DRAIN_S, ServerCommand

LAUNCHER = "MUMATH_VLLM_LAUNCHER"
"""The environment variable that tells `vllm_cli.py` which process it must not outlive."""
READY_WITHIN_S = 1800.0
"""Loading 70 billion weights from a slow disk can take this long."""
_POLL_S = 0.2
_END_S, _GIVE_UP_S = DRAIN_S + 10.0, 2.0
"""How long a server may take to end: one that finishes its requests, and one that is still loading."""
_TAIL_BYTES, _DOING_CHARS = 1 << 16, 100
_LINE = re.compile(r"(?:\(\w[^)]*\) )?(?:(?P<level>[A-Z]+) \d\d-\d\d [\d:]+ \[[^]]*\] ?)?(?P<text>.*)")
"""A line of vLLM's log: process, level, time, place, text."""
_ERROR = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception): .+|\S+: error: .+")


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmServer:
    """A vLLM server that is running and answers."""

    url: str
    """Its address, without a path."""
    log: Path
    process: "subprocess.Popen[bytes]"

    def wait(self) -> None:
        """Wait until the server ends by itself, which it shouldn't.

        Raises:
            ModelUnreachable: the server ended.
        """
        code = self.process.wait()
        raise ModelUnreachable(f"vLLM ended (exit code {code}): {cause_of(self.log)}")


@contextmanager
def running(
    command: ServerCommand, *, log: Path, on_progress: Callable[[str], None] = lambda _: None
) -> Iterator[VllmServer]:
    """Start a server and wait until it answers; at the end of the block it and its children are gone.

    `on_progress` is called with what vLLM says it is doing. The server also ends if this process is killed (kill -9).

    Raises:
        InputError: the port is taken, or the interpreter can't be run.
        ModelUnreachable: the server ended or didn't become ready in time; the message quotes the cause.
    """
    _check_port(command)
    process = _start(command, log)
    patience_s = _GIVE_UP_S
    try:
        _wait_until_ready(process, command.url, log, on_progress)
        patience_s = _END_S
        yield VllmServer(url=command.url, log=log, process=process)
    finally:
        _end(process, patience_s)


def cause_of(log: Path) -> str:
    """Return why a server ended: the first error in its log, since later errors only follow from it."""
    texts = [
        match["text"].strip()
        for line in log.read_text("utf-8", "replace").splitlines()
        if (match := _LINE.fullmatch(line)) and match["level"] != "WARNING"
    ]
    first = next((at for at, text in enumerate(texts) if _ERROR.fullmatch(text)), None)
    if first is None:
        return f"its last output was: {next(filter(None, reversed(texts)), 'nothing')} (full log: {log})"
    detail = texts[first + 1] if "validation error" in texts[first] and first + 1 < len(texts) else ""
    return f"{texts[first]} {detail}".strip() + f" (full log: {log})"


def _start(command: ServerCommand, log: Path) -> "subprocess.Popen[bytes]":
    require_regular(log)
    try:
        output = log.open("wb")
    except OSError as error:
        raise InputError(f"can't write the log {log}: {error.strerror}") from None
    with output:
        try:
            return subprocess.Popen(
                command.argv,
                env=os.environ | command.environment | {LAUNCHER: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in a terminal reaches only us; we pass it on
            )
        except OSError as error:
            python = command.argv[0]
            raise InputError(f"can't run {python}: {error.strerror}; give the python that has vLLM") from None


def _check_port(command: ServerCommand) -> None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in command.host else socket.AF_INET) as listener:
            # The port of a server that has just ended counts as free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((command.host, command.port))
    except OSError as error:
        raise InputError(
            f"can't listen on {command.host} port {command.port}: {error.strerror}; choose another --port or --host"
        ) from None


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", url: str, log: Path, on_progress: Callable[[str], None]
) -> None:
    until = time.monotonic() + READY_WITHIN_S
    shown = ""
    while process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", trust_env=False).is_success:
                return
        if time.monotonic() > until:
            raise ModelUnreachable(f"vLLM wasn't ready after {READY_WITHIN_S:.0f} s; {cause_of(log)}")
        if (doing := _doing(log)) not in ("", shown):
            shown = doing
            on_progress(doing)
        time.sleep(_POLL_S)
    raise ModelUnreachable(f"vLLM didn't start (exit code {process.returncode}): {cause_of(log)}")


def _doing(log: Path) -> str:
    """Return the newest line in which vLLM says what it is doing, or an empty string."""
    with log.open("rb") as lines:
        lines.seek(max(log.stat().st_size - _TAIL_BYTES, 0))
        tail = lines.read().decode("utf-8", "replace").replace("\r", "\n").splitlines()
    for line in reversed(tail):
        match = _LINE.fullmatch(line)
        text = match["text"] if match and (match["level"] == "INFO" or "Loading " in line) else ""
        if text[:1].strip():  # an indented line continues another one
            return text[:_DOING_CHARS]
    return ""


def _end(process: "subprocess.Popen[bytes]", patience_s: float) -> None:
    process.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    finally:  # also when a second Ctrl-C interrupts the wait
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its engines and workers
        process.wait()
