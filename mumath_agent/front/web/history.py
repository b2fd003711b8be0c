"""Keep questions and their answers in an SQLite file."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mumath_agent.errors import InputError
from mumath_agent.front.web.views import AnswerView, with_solution
from mumath_agent.records import from_json, to_json
from mumath_agent.runs.page.formulas import formulas
from mumath_agent.solutions import Solution

VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    id TEXT PRIMARY KEY,
    conversation TEXT NOT NULL,
    place INTEGER NOT NULL,
    question TEXT NOT NULL,
    answer TEXT,
    view TEXT NOT NULL,
    solution TEXT,
    UNIQUE (conversation, place)
) STRICT;
"""
_LISTED = """
SELECT conversation, question, answer FROM answers WHERE place = 0 ORDER BY rowid DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer as it is kept."""

    view: AnswerView
    """Its attempts are those of which there is no record."""
    solution: Solution | None

    @property
    def whole(self) -> AnswerView:
        """The view with the attempts of the solution."""
        return with_solution(self.view, self.solution) if self.solution else self.view


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A conversation in the list."""

    id: str
    question: str
    question_runs: str
    answer: str | None


class History:
    """The answers in a file."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it, for this user alone.

        Raises:
            InputError: it can't be had, or isn't a history of ours.
        """
        self._path = path
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._file = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
            (found,) = self._file.execute("PRAGMA user_version").fetchone()
            if found not in (0, VERSION):
                raise InputError(f"{path} is a history of version {found}, not {VERSION}; name another file")
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.executescript(_TABLES)
            self._file.execute(f"PRAGMA user_version = {VERSION}")

    def keep(self, conversation: str, place: int, kept: Kept) -> None:
        """Keep an answer, or what has become of it.

        Raises:
            InputError: the file can't be written.
        """
        values = (
            kept.view.id,
            conversation,
            place,
            _whole(kept.view.question),
            _whole(kept.solution.answer) if kept.solution and kept.solution.answer is not None else None,
            json.dumps(to_json(kept.view)),
            json.dumps(to_json(kept.solution)) if kept.solution else None,
        )
        with self._told():
            self._file.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def conversation(self, id: str) -> list[Kept]:
        """Return the answers of a conversation, in order; none if there is no such."""
        with self._told():
            rows = self._file.execute(
                "SELECT view, solution FROM answers WHERE conversation = ? ORDER BY place", (id,)
            ).fetchall()
        return [_kept(*row) for row in rows]

    def answer(self, id: str) -> Kept | None:
        """Return one answer."""
        with self._told():
            row = self._file.execute("SELECT view, solution FROM answers WHERE id = ?", (id,)).fetchone()
        return _kept(*row) if row else None

    def listed(self, most: int = 200) -> list[Listed]:
        """Return the newest conversations, the newest first."""
        with self._told():
            rows = self._file.execute(_LISTED, (most,)).fetchall()
        return [
            Listed(id=id, question=question, question_runs=formulas(question), answer=answer)
            for id, question, answer in rows
        ]

    def forget(self, conversation: str) -> None:
        """Remove a conversation."""
        with self._told():
            self._file.execute("DELETE FROM answers WHERE conversation = ?", (conversation,))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"can't use the history {self._path}: {error.strerror}; name another --history"
            ) from None
        except sqlite3.Error as error:
            raise InputError(f"can't use the history {self._path}: {error}; name another --history") from None


def _whole(text: str) -> str:
    """Return `text` without half characters, which SQLite refuses; JSON escapes them."""
    return text.encode("utf-8", "replace").decode()


def _kept(view: str, solution: str | None) -> Kept:
    return Kept(
        view=from_json(AnswerView, json.loads(view)),
        solution=from_json(Solution, json.loads(solution)) if solution else None,
    )
