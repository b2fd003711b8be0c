"""Run a program at a pseudo-terminal, type into it, and read its screen."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_TOKEN = re.compile(r"\x1b\[[\d;?]*[A-Za-z]|.", re.DOTALL)


class Shown(NamedTuple):
    """What a program left on the screen of its terminal."""

    code: int
    screen: list[str]
    stdout: str
    """What went to a file instead, if stdout did."""


def at_terminal(
    command: Sequence[str],
    *,
    typed: Sequence[tuple[str, str]] = (),
    columns: int = 100,
    stdout: Path | None = None,
    **environment: str,
) -> Shown:
    """Run a command at a terminal of its own to its end.

    Args:
        command: the program and its arguments.
        typed: pairs of what to wait for on the screen, and what to type then.
        columns: the terminal's width.
        stdout: a file, where stdout doesn't go to the terminal.
        environment: variables that are added to ours.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")} | {"TERM": "xterm"}
    with (
        (stdout or Path(os.devnull)).open("wb") as file,
        subprocess.Popen(
            command,
            stdin=theirs,
            stdout=file if stdout else theirs,
            stderr=theirs,
            env=env | environment,
        ) as running,
    ):
        os.close(theirs)
        raw = _talk(ours, list(typed))
        code = running.wait()
    os.close(ours)
    return Shown(code, screen(raw, columns), stdout.read_text("utf-8") if stdout else "")


def screen(raw: str, columns: int) -> list[str]:
    """Return the lines that a terminal shows after it was sent `raw`; nothing is scrolled away."""
    rows: list[str] = [""]
    y = x = 0
    for token in _TOKEN.findall(raw):
        rows += [""] * (y + 2 - len(rows))
        if token == "\n":
            y += 1
        elif token == "\r":
            x = 0
        elif token.endswith("A") and len(token) > 1:
            y -= int(token[2:-1] or 1)
        elif token.endswith("K") and len(token) > 1:
            rows[y] = "" if token[2:-1] == "2" else rows[y][:x]
        elif len(token) == 1 and token.isprintable():
            if x == columns:
                y, x = y + 1, 0
                rows += [""]
            rows[y] = rows[y].ljust(x)[:x] + token + rows[y][x + 1 :]
            x += 1
    return [row.rstrip() for row in rows]


def _talk(terminal: int, typed: list[tuple[str, str]]) -> str:
    raw, seen = b"", 0
    while True:
        try:
            raw += os.read(terminal, 65536)
        except OSError:  # the program has closed it
            return raw.decode("utf-8", "replace")
        if typed and typed[0][0].encode() in raw[seen:]:
            seen = len(raw)
            os.write(terminal, typed.pop(0)[1].encode())
