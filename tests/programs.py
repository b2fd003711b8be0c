"""Call this project's programs: in this process, or as a process of its own where the process is the point.

In this process a call costs no start of an interpreter, and all calls share a fork server. Signals, terminals, pipes
and the encoding of streams need a real process.
"""

import io
import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import pytest

from mumath_agent.records import RunRecord, from_json

PROGRAM = [sys.executable, "-m", "mumath_agent"]


class Ended(NamedTuple):
    """A program that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith("error: ")]

    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    def records(self) -> list[RunRecord]:
        return [from_json(RunRecord, each) for each in self.objects()]


def call(
    program: str, *arguments: object, stdin: str | bytes = "", encoding: str = "utf-8", **environment: str
) -> Ended:
    """Run `python -m program arguments...` in this process, with standard streams that aren't terminals."""
    main = import_module(f"{program}.cli").main
    given = stdin.encode() if isinstance(stdin, str) else stdin
    streams = [io.TextIOWrapper(io.BytesIO(data), encoding) for data in (given, b"", b"")]
    code: object = 0
    with pytest.MonkeyPatch.context() as patch, _signals_restored(), warnings.catch_warnings():
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            patch.setattr(sys, name, stream)
        patch.setattr(sys, "argv", [program, *map(str, arguments)])
        for name, value in environment.items():
            patch.setenv(name, value)
        warnings.simplefilter("default")  # as in a process: pytest makes errors of them
        try:
            main()
        except SystemExit as end:
            code = end.code
    said = []
    for stream in streams[1:]:
        stream.flush()
        stream.seek(0)
        said.append(stream.read())
    return Ended(code if isinstance(code, int) else 0 if code is None else 1, *said)


def mumath_agent(
    *arguments: str, stdin: str | bytes = "", encoding: str = "utf-8", **environment: str
) -> Ended:
    """Call `mumath-agent` in this process, as a terminal of 80 columns would."""
    return call(
        "mumath_agent", *arguments, stdin=stdin, encoding=encoding, **{"COLUMNS": "80", **environment}
    )


def mumath_agent_process(*arguments: str, stdin: str | bytes = "", **environment: str) -> Ended:
    """Call `mumath-agent` in a process of its own."""
    done = subprocess.run(
        [*PROGRAM, *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        env={**os.environ, "COLUMNS": "80", **environment},
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def _signals_restored() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
