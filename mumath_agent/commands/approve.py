"""`solve --approve`: a person at the terminal decides on each program before it runs."""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio

from mumath_agent.agent.approval import Action, Approve, Arguments, Decision, Edit, Reject, visible
from mumath_agent.commands.console import remark, say, stderr


class Asker:
    """Asks a person about programs; one that stdout has just shown as it is isn't shown again."""

    def __init__(self, *, show: bool) -> None:
        """With `show`, print every program before asking."""
        self._show = show

    async def __call__(self, program: str) -> Decision:
        """Ask until there is a decision."""
        if self._show or visible(program) != program:
            remark(visible(program))
        asked = program
        while True:
            match (await _answer("\nRun this program? [y]es, [e]dit, [n]o: ")).strip().lower():
                case "y" | "yes" if asked == program:
                    return Approve()
                case "y" | "yes":
                    return Edit(edited_action=Action(args=Arguments(code=asked)))
                case "e" | "edit":
                    asked = _edited(asked)
                    remark(visible(asked))
                case "n" | "no" | "":
                    return Reject(
                        message=(await _answer("Why not? The model is told (may be empty): ")).strip()
                    )
                case other:
                    say(f"answer y, e or n, not {other!r}")


async def _answer(prompt: str) -> str:
    """Read a line from the terminal, empty when it is closed. Unlike with `input`, Ctrl-C gets through."""
    stderr.print(prompt, end="", markup=False)
    await anyio.wait_readable(sys.stdin)
    return sys.stdin.readline()


def _edited(program: str) -> str:
    """Return what the person's editor makes of `program`."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="mumath-") as folder:
        file = Path(folder) / "program.py"
        file.write_text(program, encoding="utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(file)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            say(f"the editor {editor!r} failed: {error}; name another one in EDITOR")
            return program
        return file.read_text(encoding="utf-8", errors="replace")
