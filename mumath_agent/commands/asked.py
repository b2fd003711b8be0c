"""Check which options of `solve` go together, and read the question."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mumath_agent.agent.solver import SolverOptions
from mumath_agent.commands.stdin import ask, read_stdin
from mumath_agent.errors import InputError
from mumath_agent.problems import check_question
from mumath_agent.solutions import Attempts

if TYPE_CHECKING:
    from mumath_agent.commands.approve import Asker


def check_together(
    question: str | None,
    file: Path | None,
    output: Path | None,
    csv: Path | None,
    checkpoint: Path | None,
    approve: bool,
    serve: str | None,
    options: SolverOptions,
    how: Attempts,
) -> None:
    """Refuse options that contradict each other or lack what they go with.

    Raises:
        InputError: says which, and what to do.
    """
    if (question is None) == (file is None) and (file or not _at_terminal()):
        raise InputError("give either a question (or - for stdin) or --file")
    if serve is not None and options.base_urls:
        raise InputError("--serve starts a server of its own; leave out --base-url, or unset MUMATH_BASE_URL")
    if serve is not None and options.local:
        raise InputError("--serve and --local name two models; leave out one, or unset MUMATH_LOCAL")
    for name, path in (("--output", output), ("--csv", csv)):
        if path is not None and file is None:
            raise InputError(f"{name} goes with --file")
    for name, path in (("--output", output), ("--file", file)):
        if csv is not None and path is not None and csv.resolve() == path.resolve():
            raise InputError(f"--csv and {name} both name {csv}; they are different files")
    if checkpoint is not None and output is None:
        raise InputError("--checkpoint goes with --file and --output, which keeps what is finished")
    if approve and file is not None:
        raise InputError("--approve goes with one question, not with --file")
    if approve and not how.is_one:
        raise InputError("--approve goes with one attempt, without --attempts, --problem-wall and --run-wall")
    if approve and not _at_terminal():
        raise InputError("--approve asks at a terminal, and stdin or stderr isn't one; run it in one")


def read_question(given: str | None) -> str:
    """Return the question that was given, or is read from stdin for a -, or asked for where there is none.

    Raises:
        InputError: it can't be used.
    """
    text = ask("Question: ") if given is None else read_stdin("the question") if given == "-" else given
    check_question(text)
    return text.strip()


def asker(as_json: bool) -> "Asker":
    """Return what asks at the terminal about each program; it shows the program where nothing else does."""
    from mumath_agent.commands.approve import Asker

    return Asker(show=as_json)


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
