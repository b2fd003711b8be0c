"""Cells of a Python file, run one after the other in one kernel, and how each is shown.

Cells are divided as VS Code and Jupytext do it: a line `# %%` begins one, and may go on with a title. What stands
before the first such line is a cell of its own, unless it is blank.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mumath_agent.protocols import Executor
from mumath_agent.records import Execution, ExecutionStatus, to_json

_MARK = re.compile(r"#[ \t]*%%(?:[ \t](?P<title>.*))?")
_FIRST_KEYS = ("status", "stdout", "stderr", "result", "error", "duration_s", "state_lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A part of a file that is run by itself."""

    number: int
    code: str
    """Without the line that begins the cell: its first line is line 1 of what an error tells."""
    title: str = ""


Show = Callable[[Cell, Execution, str], None]
"""Takes a cell, what became of it, and the level of isolation it ran at."""


def split_cells(text: str) -> list[Cell]:
    """The cells of a file's text; none if all of it is blank."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for line in text.replace("\r\n", "\n").split("\n"):
        if mark := _MARK.fullmatch(line):
            parts.append(((mark["title"] or "").strip(), []))
        else:
            parts[-1][1].append(line)
    found = [(title, "\n".join(lines)) for title, lines in parts]
    if not any(code.strip() for _, code in found):
        return []
    if not found[0][1].strip():
        del found[0]
    return [Cell(number=n, title=title, code=code) for n, (title, code) in enumerate(found, start=1)]


async def run_cells(cells: Iterable[Cell], executor: Executor, *, timeout_s: float, show: Show) -> bool:
    """Run all cells, also those after one that failed; whether every one of them was ok.

    Raises:
        KernelError: no kernel could be started.
    """
    all_ok = True
    async with executor:
        for cell in cells:
            execution = await executor.run(cell.code, timeout_s=timeout_s)
            show(cell, execution, executor.isolation)
            all_ok = all_ok and execution.status is ExecutionStatus.OK
    return all_ok


def show_json(cell: Cell, execution: Execution, isolation: str) -> None:
    """One line of JSON on stdout."""
    values = to_json(execution)
    line = {key: values[key] for key in _FIRST_KEYS}
    line |= {"cell": cell.number, **values, "isolation": isolation}
    print(json.dumps(line, ensure_ascii=False), flush=True)


class PlainOutput:
    """What a cell printed and its result on stdout, everything else on stderr."""

    def __init__(self, remark: Callable[[str], None], complain: Callable[[str], None]) -> None:
        """Say how lines about the run, and about what went wrong, reach stderr."""
        self._remark = remark
        self._complain = complain
        self._isolation = ""

    def __call__(self, cell: Cell, execution: Execution, isolation: str) -> None:
        if isolation != self._isolation:
            self._remark(f"isolation: {isolation}")
            self._isolation = isolation
        stdout = execution.stdout
        if execution.result is not None:
            stdout += "\n" * (bool(stdout) and not stdout.endswith("\n")) + f"{execution.result}\n"
        print(stdout, end="", flush=True)
        print(execution.stderr, end="", file=sys.stderr, flush=True)
        if execution.artefacts:
            self._remark(
                f"cell {cell.number}: figures left out here: {len(execution.artefacts)}; --json has them"
            )
        if execution.error is not None:
            self._complain(f"cell {cell.number}: {execution.error}")
        if execution.state_lost:
            self._complain(f"cell {cell.number}: the Python session was replaced; what was defined is gone")
