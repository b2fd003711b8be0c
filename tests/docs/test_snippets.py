"""Every command and every program in README.md and docs/ is run here as a reader would run it.

A snippet that can't be (it wants a GPU, a cluster, hours) stands under a comment that says so, `<!-- not run: why -->`.
Its commands must still be ones the program they name would take. By day a command that needs no shell is called in this
process, because a program's start takes seconds of computing; in a shell, all are slow tests. By day the toy answers
where the page doesn't name the model that ships.
"""

import multiprocessing
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.programs import mumath_agent
from tests.toy import toy_as_default

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BIN = Path(sys.executable).parent
_FENCED = re.compile(
    r"^(?P<marks>```+)(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=marks)[ ]*$", re.DOTALL | re.MULTILINE
)
_NOT_RUN = re.compile(r"<!-- not run: [^>]+ -->\s*$")
_SIMPLE = re.compile(r"mumath-agent (?P<words>[^|&;<>]*?)(?:< (?P<file>[\w.]+) *)?(?:#.*)?")
FILES = {
    "problems.jsonl": '{"id": "a", "question": "What is 17 times 23?", "answer": "391"}\n',
    "question.txt": "What is 17 times 23?\n",
    "cells.py": "# %%\nx = 6\n# %%\nprint(7 * x)\n",
}
"""What the snippets suppose to be there."""
SAID = "said"
"""The file with what a program printed."""
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__, "mumath_agent.agent.graph", "mumath_agent.langchain.middleware"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    page: str
    line: int
    language: str
    text: str
    is_run: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """One a line, continued lines joined; comments are the shell's to skip."""
        joined = self.text.replace("\\\n", " ")
        return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def snippets(page: Path) -> list[Snippet]:
    text = page.read_text("utf-8")
    return [
        Snippet(
            page=page.relative_to(ROOT).as_posix(),
            line=text.count("\n", 0, block.start()) + 1,
            language=block["language"],
            text=block["text"],
            is_run=_NOT_RUN.search(text[: block.start()]) is None,
        )
        for block in _FENCED.finditer(text)
    ]


ALL = [snippet for page in PAGES for snippet in snippets(page)]
PROGRAMS = [s for s in ALL if s.language == "python" and s.is_run]
COMMANDS = [s for s in ALL if s.language == "bash" and s.is_run]
OTHERS = [s for s in ALL if s.language in ("bash", "python") and not s.is_run]


SHIPPED = [s for s in PROGRAMS if "embedded import DEFAULT" in s.text]


@pytest.mark.kernel
@pytest.mark.parametrize("snippet", [s for s in PROGRAMS if s not in SHIPPED], ids=str)
def test_a_program_runs(snippet: Snippet, tmp_path: Path) -> None:
    check(snippet, tmp_path, with_toy=True)


@pytest.mark.shipped
@pytest.mark.kernel
@pytest.mark.parametrize(
    "snippet",
    [s if s in SHIPPED else pytest.param(s, marks=pytest.mark.slow) for s in PROGRAMS],
    ids=str,
)
def test_a_program_runs_with_the_model_that_ships(snippet: Snippet, tmp_path: Path) -> None:
    check(snippet, tmp_path, with_toy=False)


def check(snippet: Snippet, folder: Path, *, with_toy: bool) -> None:
    with surroundings(folder) as env:
        program = PROCESSES.Process(target=execute, args=(snippet.text, folder, env, with_toy))
        program.start()
        program.join()
    assert program.exitcode == 0, (folder / SAID).read_text("utf-8")


@pytest.mark.kernel
@pytest.mark.parametrize("snippet", COMMANDS, ids=str)
def test_the_commands_run(snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in filled(snippet):
        if (simple := _SIMPLE.fullmatch(command)) is None:
            run(["bash", "-ec", command], tmp_path)
            continue
        with surroundings(tmp_path), toy_as_default():
            stdin = Path(simple["file"]).read_text() if simple["file"] else ""
            done = mumath_agent(*shlex.split(simple["words"], comments=True), stdin=stdin)
        assert done.code == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.shipped
@pytest.mark.kernel
@pytest.mark.parametrize("snippet", COMMANDS, ids=str)
def test_the_commands_run_in_a_shell(snippet: Snippet, tmp_path: Path) -> None:
    for command in filled(snippet):
        run(["bash", "-ec", command], tmp_path)


@pytest.mark.parametrize("snippet", OTHERS, ids=str)
def test_what_is_not_run_is_still_something_that_could_be(snippet: Snippet) -> None:
    if snippet.language == "python":
        compile(snippet.text, str(snippet), "exec")
        return
    for command in snippet.commands:
        for words in ours(command):
            taken_by_its_program(words)


def test_the_pages_have_snippets_of_all_kinds() -> None:
    assert min(len(PROGRAMS), len(COMMANDS), len(OTHERS)) >= 3


def filled(snippet: Snippet) -> list[str]:
    return [command.replace("QUESTION", "What is 17 times 23?") for command in snippet.commands]


def run(command: list[str], folder: Path) -> None:
    with surroundings(folder) as env:
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def execute(program: str, folder: Path, env: dict[str, str], with_toy: bool) -> None:
    """Run a program as `python -c` would, in a process that was forked off one with the library in it."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    said = os.open(SAID, os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(said, stream)
    with toy_as_default() if with_toy else nullcontext():
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102  # our own pages


@contextmanager
def surroundings(folder: Path) -> Iterator[dict[str, str]]:
    """Put what snippets suppose into a folder, and yield the environment to run them with."""
    for name, content in FILES.items():
        (folder / name).write_text(content)
    (folder / ".venv").mkdir(exist_ok=True)
    if not (folder / ".venv" / "bin").exists():
        (folder / ".venv" / "bin").symlink_to(BIN)
    yield {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def ours(command: str) -> list[list[str]]:
    """Return the calls of our own programs in a line of shell, as words."""
    calls = [shlex.split(part, comments=True) for part in re.split(r"&&|\||;", command)]
    return [call for words in calls if (call := _call(words))]


def _call(words: list[str]) -> list[str]:
    """From the program's name on; empty if it isn't one of ours."""
    while words and re.fullmatch(r"\w+=\S*", words[0]):
        words = words[1:]
    while words and Path(words[0]).name != "mumath-agent":
        if words[0] == "-m" and words[1] in ("benchmarks", "finetune"):
            return words[1:]
        words = words[1:]
    return ["mumath_agent", *words[1:]] if words else []


def taken_by_its_program(words: list[str]) -> None:
    """Parse the words as their program would; run nothing."""
    app = import_module(f"{words[0]}.cli").app
    command: Any = typer.main.get_command(app)
    arguments = words[1:]
    context = command.make_context(words[0], list(arguments))
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, arguments = command.resolve_command(context, rest)
        context = command.make_context(name, list(arguments), parent=context)
