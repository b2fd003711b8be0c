"""Divide a Python file into cells and run them one after the other in one session.

Cells are divided as VS Code and Jupytext do it: a line `# %%` begins one, and a title may follow on it. What stands
before the first such line is a cell of its own, unless it is blank.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mumath_agent.protocols import Executor
from mumath_agent.records import Execution, ExecutionStatus

_MARK = re.compile(r"#[ \t]*%%(?:[ \t](?P<title>.*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptCell:
    """A part of a file that runs by itself."""

    number: int
    code: str
    """Without the line that begins the cell, so that its first line is line 1 in errors."""
    title: str = ""


Show = Callable[[ScriptCell, Execution, str], None]
"""Takes a cell, what it did, and the level of isolation it ran at."""


def split_cells(text: str) -> list[ScriptCell]:
    """Return the cells of a file's text; none if all of it is blank."""
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
    return [ScriptCell(number=n, title=title, code=code) for n, (title, code) in enumerate(found, start=1)]


async def run_cells(cells: Iterable[ScriptCell], executor: Executor, *, timeout_s: float, show: Show) -> bool:
    """Run all cells, also those after one that failed; return whether every one was ok.

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
