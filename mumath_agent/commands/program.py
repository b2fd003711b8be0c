"""Build the command line of a program: one form of help and errors for `mumath-agent`, finetune and benchmarks.

A command's help is its docstring. Paragraphs are wrapped to the terminal, but for those with indented lines (examples),
which stay as they are; nothing is cut off at any width. Whoever doesn't name exit codes has those of every command.
"""

import inspect
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import islice, takewhile
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_EXIT_CODES = """
Exit codes: 0 done, 1 something measured isn't as it should be, 2 the input or an option can't be used, 3 a model, a
server or a kernel failed, 130 interrupted.
"""
_BOUND_HYPHEN = "\N{NON-BREAKING HYPHEN}"
_UsageError: Any = typer.BadParameter.__base__
"""Click's; newer versions of typer have a copy of click, which they don't export."""
_SHOWN_CHARS = 80
_NAME = re.compile(r"--?[A-Za-z][\w-]*")


class _Checked:
    """Help that never breaks a line at a hyphen, so that the names of options stay whole; no option counts twice."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            self._refuse_repeated(ctx, args)
        rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]  # the command's
        return rest

    def _refuse_repeated(self, ctx: Any, args: list[str]) -> None:
        """Refuse an option that takes one value and got several: the last would count, silently."""
        parser: Any = self.make_parser(ctx)  # type: ignore[attr-defined]  # the command's
        _, _, given = parser.parse_args(args=list(args))
        for option, times in Counter(given).items():
            takes_one = option.param_type_name == "option" and option.nargs == 1 and not option.multiple
            if takes_one and times > 1 and not getattr(option, "is_flag", False):
                ctx.fail(f"{option.opts[0]} is given {times} times; it takes one value.")

    def format_help(self, ctx: Any, formatter: Any) -> None:
        write_rows, write_text = formatter.write_dl, formatter.write_text
        formatter.write_dl = lambda rows, **widths: write_rows([(a, _bound(b)) for a, b in rows], **widths)
        formatter.write_text = lambda text: write_text(_bound(text))
        super().format_help(ctx, formatter)  # type: ignore[misc]  # the command's
        formatter.buffer[:] = [piece.replace(_BOUND_HYPHEN, "-") for piece in formatter.buffer]


class _Group(_Checked, TyperGroup):
    """A program, or a group of its commands; it tells who forgot the command "solve" before a question."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] != "--" and _is_text(args[0], ()):
            args = ["--", *args]  # "-3 + 4" is no option, and no command either
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except _UsageError as error:
            if "solve" in self.commands and "Did you mean" not in error.message:
                asked = " ".join(" ".join(takewhile(lambda arg: not arg.startswith("--"), args)).split())
                shown = asked if len(asked) <= _SHOWN_CHARS else "QUESTION"
                error.message += f' To ask a question: {ctx.command_path} solve "{shown}"'
            raise


class _Command(_Checked, TyperCommand):
    """A command that refuses an option given twice, and says where quotes may be missing.

    What begins with a minus and can't be an option, "-3 + 4" for example, is its argument.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        options = [param for param in self.params if param.param_type_name == "option"]
        known = {name for option in options for name in (*option.opts, *option.secondary_opts)}
        flags = {name for option in options if getattr(option, "is_flag", False) for name in option.opts}
        if not ctx.ignore_unknown_options:
            args = list(_texts_last(args, known, known - flags))
        try:
            return super().parse_args(ctx, args)
        except _UsageError as error:
            arguments = [param for param in self.params if param.param_type_name == "argument"]
            if "unexpected extra argument" in error.message and arguments:
                name = (arguments[-1].metavar or arguments[-1].name).upper()
                error.message += f"; quote a {name} that has spaces"
            raise


def program(commands: Iterable[Callable[..., None]] = (), *, completes: bool = False) -> typer.Typer:
    """Return the command line with these commands; `completes` where the program has a name that a shell can complete.

    Args:
        commands: functions; each becomes the command of its name.
        completes: whether it offers to install completion for shells.
    """
    app = typer.Typer(
        cls=_Group,
        no_args_is_help=True,
        add_completion=completes,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # rich's tables cut off names in a narrow terminal
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for command in commands:
        add(app, command)
    return app


def add(
    app: typer.Typer, command: Callable[..., None], name: str | None = None, *, passes_on: bool = False
) -> None:
    """Add a command to a program.

    Args:
        app: the program.
        command: its docstring is the help.
        name: what it is called; by default as the function is.
        passes_on: whether options that it doesn't know are left to it.
    """
    text = as_help(command)
    settings = {"allow_extra_args": True, "ignore_unknown_options": True} if passes_on else {}
    summary = " ".join(text.split("\n\n")[0].split())
    app.command(name, cls=_Command, help=text, short_help=summary, context_settings=settings)(command)


def as_help(command: Callable[..., None]) -> str:
    """Return a command's docstring as help whose examples keep their lines."""
    text = inspect.getdoc(command) or ""
    if "Exit codes:" not in text:
        text = f"{text}\n{_EXIT_CODES}"
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(f"\b\n{each}" if "\n " in each else each for each in paragraphs)


def _bound(text: str) -> str:
    return text.replace("-", _BOUND_HYPHEN)


def _texts_last(args: list[str], known: Container[str], with_value: Container[str]) -> Iterator[str]:
    """Yield arguments with a -- before those that begin with a minus and aren't options, at the end."""
    texts: list[str] = []
    left = iter(args)
    for arg in left:
        if arg == "--":
            texts += left
        elif arg in with_value:
            yield from (arg, *islice(left, 1))
        elif _is_text(arg, known):
            texts.append(arg)
        else:
            yield arg
    if texts:
        yield from ("--", *texts)


def _is_text(arg: str, known: Container[str]) -> bool:
    if not arg.startswith("-") or arg == "-":
        return False
    name = _NAME.match(arg)
    if name is None:
        return True
    rest = arg[name.end() :]
    if arg.startswith("--"):
        return not (rest[:1] in ("", "=") or name.group() in known)
    return rest != ""  # "-x + 4": a single minus with letters only is a mistyped option
