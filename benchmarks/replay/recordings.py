"""Reads solutions that other projects recorded, with every program they ran and what it printed.

Two published formats, told apart by their keys: MathCoder's (`debug_result`: a list of blocks with roles; one Jupyter
kernel per solution, so state lasts from cell to cell) and ToRA's (`code`: the whole solution with fences; every program
began in an empty namespace). A line that is neither is an error of its own and does not stop the others.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

from mumath_agent.dialects import Fenced
from mumath_agent.errors import InputError
from mumath_agent.transcript import Kind, Transcript


class Runtime(StrEnum):
    """Whose runtime recorded a solution; it decides what state a cell finds and what of its outcome was shown."""

    MATHCODER = "mathcoder"
    """A Jupyter kernel. Shown: everything printed, then the last value or IPython's traceback."""
    TORA = "tora"
    """A fresh namespace per program. Shown: stdout, or only the last line of the traceback; 400 characters of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCell:
    """A program and what the recording says it printed."""

    code: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSolution:
    """One solution of a recorded run."""

    id: str
    """The recording's own id, else file name and line number."""
    question: str
    target: str
    runtime: Runtime
    cells: tuple[RecordedCell, ...]


def load_recorded(path: Path) -> Iterator[RecordedSolution | InputError]:
    """The solutions of a file in order, with an error in the place of each line that can't be used.

    Raises:
        InputError: the file can't be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _solution(line, path, number)


def _solution(line: bytes, path: Path, number: int) -> RecordedSolution | InputError:
    try:
        row = json.loads(line)
        return _mathcoder(row, f"{path.stem}:{number}") if "debug_result" in row else _tora(row)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        return InputError(
            f"{path} line {number} is no recorded solution of MathCoder or ToRA ({what}); left out"
        )


def _mathcoder(row: dict[str, Any], position: str) -> RecordedSolution:
    blocks = [(block["role"], str(block["content"])) for block in row["debug_result"]]
    return RecordedSolution(
        id=str(row.get("id", position)),
        question=next(content for role, content in blocks if role == "user"),
        target=str(row["ground_truth"]["answer"]),
        runtime=Runtime.MATHCODER,
        cells=tuple(
            RecordedCell(code=code, output=output)
            for (role, code), (next_role, output) in pairwise(blocks)
            if (role, next_role) == ("code", "execution")
        ),
    )


def _tora(row: dict[str, Any]) -> RecordedSolution:
    segments = Fenced().parse(row["code"][0])
    return RecordedSolution(
        id=f"tora:{row['idx']}",
        question=row["question"],
        target=str(row["gt"]),
        runtime=Runtime.TORA,
        cells=tuple(
            RecordedCell(code=program, output=output.text.removesuffix("\n").removesuffix("```"))
            for code, output in pairwise(segments)
            if output.kind is Kind.OUTPUT
            # One segment at a time: ToRA ran only the last program of a turn.
            if (program := Fenced().pending_code(Transcript(question="", segments=(code,)))) is not None
        ),
    )
