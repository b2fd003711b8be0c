"""Load a task's problems: from files at hand, from the Hugging Face hub, or from a repository on GitHub.

    rows of a file or a data set ─ task.read ─▶ items ─▶ problems, in the set's order, each with an id of its own

Everything is read or nothing: a row that can't be used ends the loading with its place, since a set that is silently
smaller gives a wrong number. `source` says exactly what was read (a file's SHA-256, a data set's commit), and `remarks`
what a reader of the numbers has to know. `rows` knows what a row means.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from benchmarks.data import digest
from benchmarks.tasks import GitHub, Hub, Part, Task
from benchmarks.tasks.task import Item, Row
from mumath_agent.errors import InputError
from mumath_agent.problems import check_question, decode, read_problems
from mumath_agent.records import Problem

_RAW = "https://raw.githubusercontent.com"
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedProblems:
    """Problems to solve, and where they are from."""

    problems: tuple[Problem, ...]
    source: str
    """Files with their SHA-256, or repositories with their revision."""
    remarks: tuple[str, ...] = ()
    """Why numbers on these problems don't compare with published ones."""


def load_problems(task: Task, data_dir: Path | None = None, limit: int | None = None) -> LoadedProblems:
    """Return the first `limit` problems of a task, from the files in `data_dir`, else from where the set is published.

    Raises:
        InputError: there is no such file, the set can't be reached, or a row can't be used.
    """
    loaded = [_load(part, task, data_dir) for part in task.parts]
    problems = [problem for part_problems, _ in loaded for problem in part_problems]
    return LoadedProblems(
        problems=tuple(_with_distinct_ids(problems)[:limit]),
        source="; ".join(source for _, source in loaded),
        remarks=tuple(_remarks(task, len(problems), data_dir is None)),
    )


def load_own_problems(path: Path, limit: int | None = None) -> LoadedProblems:
    """Return the first `limit` problems of a user's own file.

    Raises:
        InputError: the file can't be read, or a line of it can't be used.
    """
    problems: list[Problem] = []
    for problem in read_problems(path):
        if isinstance(problem, InputError):
            raise problem
        problems.append(problem)
    if not problems:
        raise InputError(f"{path} holds no problem")
    unanswered = sum(problem.target is None for problem in problems[:limit])
    remarks = (f"{unanswered} problems have no gold answer and won't be graded",) if unanswered else ()
    source = f"{path.name} {digest(path.read_bytes())}"
    return LoadedProblems(problems=tuple(problems[:limit]), source=source, remarks=remarks)


def is_at_hand(task: Task, data_dir: Path) -> bool:
    """Tell whether `data_dir` holds a file for every part of the task."""
    return all(_file(part, data_dir) for part in task.parts)


def _load(part: Part, task: Task, data_dir: Path | None) -> tuple[list[Problem], str]:
    """Return a part's problems, and where they are from."""
    if data_dir is not None:
        rows, source = _from_files(part, data_dir)
    elif isinstance(part.remote, Hub):
        rows, source = _from_hub(part.remote)
    else:
        rows, source = _from_github(part.remote)
    problems: list[Problem] = []
    for place, row in rows:
        try:
            item = task.read(row)
            if item is not None:
                # Numbered as kept, so that a set which the papers cut has the same numbers before and after the cut.
                problems.append(_problem(item, len(problems), part, task))
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
    return problems, source


def _problem(item: Item, number: int, part: Part, task: Task) -> Problem:
    check_question(item.question)
    if not item.target:
        raise InputError("the gold answer is empty")
    name = str(number) if item.id is None else item.id
    return Problem(
        id=f"{part.name}-{name}" if name.isdecimal() else name,
        question=item.question,
        target=item.target,
        source=task.name,
        tags=item.tags if len(task.parts) == 1 else (f"part:{part.name}", *item.tags),
    )


def _with_distinct_ids(problems: list[Problem]) -> list[Problem]:
    seen: Counter[str] = Counter()
    distinct = []
    for problem in problems:
        seen[problem.id] += 1
        again = seen[problem.id]
        distinct.append(problem if again == 1 else replace(problem, id=f"{problem.id}#{again}"))
    return distinct


def _remarks(task: Task, problems: int, is_remote: bool) -> Iterator[str]:
    if problems != task.problems:
        yield (
            f"{task.name} has {problems:,} problems here and {task.problems:,} in the papers: "
            "numbers on it compare with no published ones"
        )
    loose = {part.remote.address for part in task.parts if part.remote.revision is None}
    for address in sorted(loose) if is_remote else ():
        yield f"{address} is not pinned: what it holds may change from one day to the next"


def _from_files(part: Part, data_dir: Path) -> tuple[Iterator[tuple[str, Row]], str]:
    path = _file(part, data_dir)
    if path is None:
        names = ", ".join(part.file_names)
        raise InputError(f"{data_dir} has no file for {part.name}; it may be any of {names}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None
    return _parsed(data, str(path)), f"{path.relative_to(data_dir)} {digest(data)}"


def _file(part: Part, data_dir: Path) -> Path | None:
    return next((path for name in part.file_names if (path := data_dir / name).is_file()), None)


def _from_github(remote: GitHub) -> tuple[Iterator[tuple[str, Row]], str]:
    url = f"{_RAW}/{remote.repository}/{remote.revision or 'main'}/{remote.path}"
    try:
        data = httpx.get(url, timeout=_TIMEOUT_S, follow_redirects=True).raise_for_status().content
    except httpx.HTTPStatusError as error:
        raise InputError(_unreachable(url, f"HTTP {error.response.status_code}")) from None
    except httpx.HTTPError as error:
        raise InputError(_unreachable(url, str(error))) from None
    return _parsed(data, url), f"{remote.address}/{remote.path} {digest(data)}"


def _from_hub(remote: Hub) -> tuple[Iterator[tuple[str, Row]], str]:
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"loading {remote.repository} needs the package datasets (pip install datasets); "
            "or name a folder that holds the files with --data-dir"
        ) from None
    rows: list[tuple[str, Row]] = []
    for config in remote.configs:
        try:
            part = datasets.load_dataset(
                remote.repository, config, split=remote.split, revision=remote.revision
            )
            rows += [(f"{remote.address} {config or ''} row {n}", row) for n, row in enumerate(part, start=1)]
        except (
            OSError,
            ValueError,
            RuntimeError,
            httpx.HTTPError,
            datasets.exceptions.DatasetsError,
        ) as error:
            raise InputError(_unreachable(remote.address, f"{type(error).__name__}: {error}")) from None
    configs = "+".join(config for config in remote.configs if config)
    return iter(rows), " ".join(filter(None, (remote.address, configs, remote.split)))


def _unreachable(what: str, why: str) -> str:
    reason = " ".join(why.split())
    return f"can't load {what} ({reason}); name a folder that holds the files with --data-dir"


def _parsed(data: bytes, source: str) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a JSONL file, a JSON array, or a JSON object by id, each with its place."""
    text = decode(data, source)
    whole = None if source.endswith(".jsonl") else _whole(text)
    if isinstance(whole, dict) and all(isinstance(row, dict) for row in whole.values()):
        for key, row in whole.items():
            yield f"{source} entry {key}", {"id": key, **row}
    elif isinstance(whole, list):
        for number, row in enumerate(whole, start=1):
            yield _checked(row, f"{source} entry {number}")
    else:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                place = f"{source} line {number}"
                yield _checked(_json(line, place), place)


def _whole(text: str) -> object:
    """Return the text as one JSON value; None where it isn't one, as with ToRA's `.json` files of one row a line."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _json(line: str, place: str) -> object:
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not valid JSON ({error})") from None
    return value


def _checked(row: object, place: str) -> tuple[str, Row]:
    if not isinstance(row, dict):
        raise InputError(f"{place}: a JSON object is expected, this is {type(row).__name__}")
    return place, row
