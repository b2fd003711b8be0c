"""`--notebook` of `solve`: a file for one question, a folder with a file for each of many."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from mumath_agent.errors import InputError
from mumath_agent.records import Problem, RunRecord
from mumath_agent.runs.notebook import notebook_name, require_replaceable, write_notebook
from mumath_agent.solutions import Solution

Keep = Callable[[RunRecord | Solution], None]
"""Called with each finished record."""


def keep_nothing(record: RunRecord | Solution) -> None:
    """Do nothing: no notebook was asked for."""


def one_notebook(path: Path) -> Keep:
    """Return what writes a record as the notebook `path`.

    Raises:
        InputError: it can't be written there, as far as can be told before there is a record.
    """
    if path.suffix != ".ipynb":
        raise InputError(f"a notebook's name ends in .ipynb, and {path} doesn't")
    require_replaceable(path)
    return partial(write_notebook, path=path)


def folder_of_notebooks(folder: Path, problems: Sequence[Problem]) -> Keep:
    """Return what writes each record as a notebook in `folder`, named after its problem.

    Raises:
        InputError: the folder can't be made, two of the problems would get the same name, or one of the notebooks
            can't be written there.
    """
    names = Counter(map(notebook_name, problems))
    if names and (most := names.most_common(1)[0])[1] > 1:
        raise InputError(
            f"{most[1]} problems would become the notebook {most[0]}; give them ids of their own"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"can't make the folder {folder}: {error.strerror}") from None
    for name in names:
        require_replaceable(folder / name)
    return lambda record: write_notebook(record, folder / notebook_name(record.problem))
