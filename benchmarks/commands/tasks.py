"""`tasks` and `self-check`: what can be measured, and that its gold answers count as correct."""

import os
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.data import DATA
from benchmarks.grading.self_check import GoldFailure, SelfCheck
from benchmarks.grading.self_check import self_check as check_golds
from benchmarks.tasks import TASKS, Hub, Part, Task, get_task
from benchmarks.tasks.loaders import is_at_hand, load_problems
from mumath_agent.commands.console import UNEXPECTED, print_json, remark, run, stdout
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.records import to_json

_HASH_CHARS = 7
_SHA256 = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")


def tasks(
    as_json: Annotated[bool, typer.Option("--json", help="Print all that is known of them as JSON.")] = False,
) -> None:
    """List the tasks: size, source, licence, and which answer is scored.

    Example:
        python -m benchmarks tasks
    """
    if as_json:
        print_json([_task_to_json(task) for task in TASKS.values()])
        return
    table = Table("task", "problems", "source", "licence", "answer scored")
    table.columns[1].justify, table.columns[2].overflow = "right", "fold"
    for task in TASKS.values():
        addresses = dict.fromkeys(_short_address(part) for part in task.parts)
        table.add_row(
            task.name, f"{task.problems:,}", Text("\n".join(addresses)), task.licence, task.rule.words
        )
    stdout().print(table)


def self_check(
    names: Annotated[list[str] | None, typer.Argument(metavar="TASK", help="All at hand, if none.")] = None,
    data_dir: Annotated[Path, typer.Option(help="The folder with the benchmark files.")] = DATA,
    as_json: Annotated[bool, typer.Option("--json", help="Print counts and failures as JSON.")] = False,
) -> None:
    """Score the gold answers as if a model had given them; any that isn't correct makes the exit code 1.

    Example:
        python -m benchmarks self-check svamp --data-dir data
    """
    chosen, skipped = _chosen(names or [], data_dir)
    checks = run(lambda: _check_all(chosen, data_dir))
    if as_json:
        print_json({"checks": [to_json(check) for check in checks], "skipped": skipped})
    else:
        _print_checks(checks, stdout())
        if skipped:
            remark(f"skipped, not in {data_dir}: {', '.join(skipped)}")
    if any(check.failures for check in checks):
        raise typer.Exit(UNEXPECTED)


def _chosen(names: list[str], data_dir: Path) -> tuple[list[Task], list[str]]:
    """Return the tasks asked for; without names, those whose files are there, and the names of the others."""
    if names:
        return [get_task(name) for name in names], []
    chosen = [task for task in TASKS.values() if is_at_hand(task, data_dir)]
    if not chosen:
        raise InputError(f"{data_dir} holds no file of any task; name another folder with --data-dir")
    return chosen, [task.name for task in TASKS.values() if task not in chosen]


async def _check_all(chosen: list[Task], data_dir: Path) -> list[SelfCheck]:
    async with Grader(workers=os.cpu_count() or 1) as grader:
        return [await check_golds(task, load_problems(task, data_dir), grader) for task in chosen]


def _print_checks(checks: list[SelfCheck], console: Console) -> None:
    table = Table("task", "problems", "correct", "seconds", "source")
    for column in table.columns[1:4]:
        column.justify = "right"
    for check in checks:
        counts = f"{check.problems:,}", f"{check.correct:,}", f"{check.duration_s:.1f}"
        source = Text(_SHA256.sub(r"\1…", check.source).replace("; ", "\n"))
        table.add_row(check.task, *counts, source, style="red" if check.failures else "")
    console.print(table)
    for check in checks:
        for text in check.remarks:
            remark(text)
    if any(check.failures for check in checks):
        console.print(_failures([(check.task, failure) for check in checks for failure in check.failures]))


def _failures(rows: list[tuple[str, GoldFailure]]) -> Table:
    table = Table("task", "problem", "gold", "spelt", "verdict", title="Gold answers that are not correct")
    for task, failure in rows:
        verdict = f"{failure.verdict.outcome.value} ({failure.verdict.method})"
        # Text(), not str: brackets in answers aren't markup.
        shown = (Text(cell) for cell in (failure.id, failure.target, failure.spelling))
        table.add_row(task, *shown, Text("\n".join(filter(None, (verdict, failure.verdict.detail)))))
    return table


def _short_address(part: Part) -> str:
    address, revision = part.remote.address, part.remote.revision
    if revision is None:
        return f"{address}\n(not pinned)"
    return address.replace(revision, revision[:_HASH_CHARS])


def _task_to_json(task: Task) -> dict[str, object]:
    return {
        "name": task.name,
        "title": task.title,
        "paper": task.paper,
        "licence": task.licence,
        "problems": task.problems,
        "answer_scored": task.rule.words,
        "parts": [
            {
                "name": part.name,
                "published": "hub" if isinstance(part.remote, Hub) else "github",
                **to_json(part.remote),
                "files": part.file_names,
            }
            for part in task.parts
        ],
    }
