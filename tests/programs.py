"""A program's command line, run in this process: what a subprocess would say, without its imports of seconds."""

import io
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from typing import NamedTuple

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Ended(NamedTuple):
    """A program that has ended."""

    code: int
    stdout: str
    stderr: str


def call(program: str, *arguments: object) -> Ended:
    """Run `python -m program arguments...` as this process would, and return how it ended.

    Stdin isn't replaced, and warnings are shown as the program shows them rather than raised.
    """
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    main = import_module(f"{program}.cli").main
    code: object = 0
    with redirect_stdout(stdout), redirect_stderr(stderr), _left_as_it_was(), warnings.catch_warnings():
        warnings.simplefilter("default")
        sys.argv = [program, *map(str, arguments)]
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    said = (stream.buffer.getvalue().decode() for stream in (stdout, stderr))
    return Ended(code if isinstance(code, int) else 0 if code is None else 1, *said)


@contextmanager
def _left_as_it_was() -> Iterator[None]:
    argv, handlers = sys.argv, [signal.getsignal(number) for number in _SIGNALS]
    try:
        yield
    finally:
        sys.argv = argv
        for number, handler in zip(_SIGNALS, handlers, strict=True):
            signal.signal(number, handler)
