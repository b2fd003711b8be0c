"""The help of every command of the three programs: whole in a narrow terminal, with an example and exit codes."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Any

import pytest
import typer.main

from tests.programs import call

PROGRAMS = ("mumath_agent", "finetune", "benchmarks")
WORDS = {"mumath_agent": ["mumath-agent"], "finetune": ["python", "-m", "finetune"]}
WORDS |= {"benchmarks": ["python", "-m", "benchmarks"]}


@cache
def commands(program: str) -> dict[tuple[str, ...], Any]:
    """Return the commands of a program by the words that call them, the program itself and its groups included."""

    def below(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        yield words, command
        for name, each in getattr(command, "commands", {}).items():
            yield from below((*words, name), each)

    return dict(below((), typer.main.get_command(import_module(f"{program}.cli").app)))


ALL = [(program, words) for program in PROGRAMS for words in commands(program)]


@pytest.mark.parametrize("columns", ["60", "80"])
@pytest.mark.parametrize(("program", "words"), ALL, ids=lambda value: "-".join(value) or "root")
def test_nothing_is_cut_off(program: str, words: tuple[str, ...], columns: str) -> None:
    ended = call(program, *words, "-h", COLUMNS=columns)
    assert ended.code == 0 and ended.stdout == call(program, *words, "--help", COLUMNS=columns).stdout
    assert "…" not in ended.stdout
    assert not re.search(r"[\w-]-$", ended.stdout, re.MULTILINE), "a name is broken at its hyphen"
    shown = set(re.findall(r"(?<![\w-])--?[\w-]+", ended.stdout))
    command = commands(program)[words]
    names = {name for param in command.params if param.param_type_name == "option" for name in param.opts}
    assert names <= shown
    for name, each in getattr(command, "commands", {}).items():
        # The first sentence of a command's help, all of it.
        told = " ".join(each.get_short_help_str().split())
        assert f"{name} {told}" in " ".join(ended.stdout.split())


@pytest.mark.parametrize(
    ("program", "words"), [(p, words) for p, words in ALL if words], ids=lambda value: "-".join(value)
)
def test_every_command_has_exit_codes_and_examples_that_it_could_run(
    program: str, words: tuple[str, ...]
) -> None:
    shown = call(program, *words, "-h", COLUMNS="60").stdout
    assert "Exit codes: 0" in " ".join(shown.split())
    examples = re.search(r"\n  Examples?:\n((?: {6}\S.*\n)+)", shown)
    assert examples
    for line in examples.group(1).splitlines():
        # Of a pipe the end, without its redirections; torchrun starts the same command.
        typed = shlex.split(line.rpartition("|")[2].partition("<")[0].replace("torchrun", "python"))
        typed = [word for word in typed if word not in ("--nproc_per_node", "8")]
        begin = [*WORDS[program], *words]
        assert typed[: len(begin)] == begin
        with commands(program)[words].make_context("example", typed[len(begin) :]):
            pass  # its options and arguments can be parsed


@pytest.mark.parametrize("program", PROGRAMS)
def test_lines_of_a_docstring_are_wrapped_anew(program: str) -> None:
    """No line is shorter than it has to be: the next line's first word wouldn't have fitted."""
    for words in commands(program):
        shown = call(program, *words, "-h", COLUMNS="60").stdout
        prose = shown.partition("\nOptions:")[0].partition("\nArguments:")[0]
        for paragraph in prose.split("\n\n")[1:]:
            lines = paragraph.rstrip().split("\n")
            if any(line.startswith("   ") for line in lines):
                continue
            for line, following in pairwise(lines):
                assert len(line) + 1 + len(following.split()[0]) > 58, (words, line, following)


@pytest.mark.parametrize(
    ("program", "words"), [(p, words) for p, words in ALL if words], ids=lambda value: "-".join(value)
)
def test_an_option_given_twice_is_refused_unless_it_collects(program: str, words: tuple[str, ...]) -> None:
    """The values are ones that few options take, so that nothing runs: the repetition is seen before they are."""
    command = commands(program)[words]
    for option in command.params:
        if option.param_type_name != "option" or option.is_flag:
            continue
        said = ""
        try:
            with command.make_context("x", [option.opts[0], "?", option.opts[0], "?", "?"]):
                pass
        except Exception as error:
            said = str(getattr(error, "message", error))
        is_refused = said == f"{option.opts[0]} is given 2 times; it takes one value."
        assert is_refused is not option.multiple, (option.opts, said)


def test_a_repeated_option_is_a_line_and_exit_code_2() -> None:
    ended = call("mumath_agent", "solve", "--file", "f", "--output", "a", "q", "--output=b")
    assert ended.code == 2 and ended.stdout == ""
    assert "Error: --output is given 2 times; it takes one value." in ended.stderr.splitlines()
