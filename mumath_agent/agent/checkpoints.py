"""Keep every step of every attempt in a file, so that a killed run goes on in the middle of its problems.

The file is written by LangGraph's SQLite checkpointer, which the extra `durable` brings. What is written before a step
is on disk when the step begins (a process may be killed at any moment); after a power cut an attempt may go on a step
earlier.
"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mumath_agent.errors import InputError, MissingExtra
from mumath_agent.runs.locks import only_writer

if TYPE_CHECKING:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver


def checkpointer_kind() -> "type[AsyncSqliteSaver]":
    """Return the class that keeps the states.

    Raises:
        MissingExtra: it isn't installed.
    """
    try:
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    except ModuleNotFoundError:
        raise MissingExtra("--checkpoint", "durable") from None
    return AsyncSqliteSaver


@asynccontextmanager
async def checkpoints(path: Path) -> "AsyncIterator[AsyncSqliteSaver]":
    """Open a checkpointer that keeps its states in the file `path`; one process at a time may use it.

    Raises:
        InputError: the extra is missing, or `path` can't be used or is in use.
    """
    kind = checkpointer_kind()
    try:
        with only_writer(path):
            async with kind.from_conn_string(str(path)) as saver:
                await saver.setup()
                # The write-ahead log is enough against a kill; a sync per step costs milliseconds.
                await saver.conn.execute("PRAGMA synchronous = NORMAL")
                yield saver
    except sqlite3.Error as error:
        raise InputError(f"can't keep checkpoints in {path}: {error}; name another file") from None
