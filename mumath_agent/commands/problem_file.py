"""The file of problems that `solve --file` is given."""

from dataclasses import dataclass
from pathlib import Path

from mumath_agent.commands.console import usable
from mumath_agent.commands.stdin import read_stdin
from mumath_agent.errors import InputError
from mumath_agent.problems import read_problems, usable_problems
from mumath_agent.records import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemFile:
    """The problems of a file, and the errors of the rows that can't be used."""

    problems: tuple[Problem, ...]
    errors: tuple[InputError, ...]

    @classmethod
    def read(cls, path: Path) -> "ProblemFile":
        """Read a user's file of problems, - for stdin, and say which of its rows can't be used.

        Raises:
            InputError: the file can't be read or holds no problem.
        """
        is_stdin = path == Path("-")
        items = usable_problems(read_stdin("problems"), "stdin") if is_stdin else read_problems(path)
        errors: list[InputError] = []
        problems = tuple(usable(items, errors, f"{'stdin' if is_stdin else path} holds no problem"))
        return cls(problems=problems, errors=tuple(errors))

    @property
    def has_targets(self) -> bool:
        """Whether there is anything to grade."""
        return any(problem.target is not None for problem in self.problems)
