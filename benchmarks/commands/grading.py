"""`grade-pairs` and `regrade`: the grader on its own, on labelled pairs and on finished runs."""

import os
import secrets
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.grading.fuzz import fuzzed
from benchmarks.grading.pairs import Agreement, ExpectedPair, GradedPair, grade_all, load_pairs
from benchmarks.grading.regrade import Regraded, outcome_of, regrade_all
from benchmarks.runs import ATTEMPTS, Run, load_run
from benchmarks.tasks import TASKS
from mumath_agent.answers import extract_answer
from mumath_agent.commands.console import UNEXPECTED, print_json, progress_bar, remark, run, stdout, usable
from mumath_agent.errors import InputError
from mumath_agent.records import Outcome, RunRecord
from mumath_agent.runs.graded import AnswerOf
from mumath_agent.runs.jsonl import replace_lines
from mumath_agent.runs.locks import only_writer

CORES = os.cpu_count() or 1
_SEEDS = 10**6
_SHOWN_CHARS = 60
_EXPECTED = {True: "equal", False: "not equal", None: "no verdict"}
Workers = Annotated[int, typer.Option(min=1, help="Processes that compare at once.")]
Timeout = Annotated[float, typer.Option(min=0.01, help="Seconds of computing per pair.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print counts and differing rows as JSON.")]


def grade_pairs(
    file: Annotated[
        Path | None, typer.Argument(help='JSONL, for example {"gold": "0.5", "pred": "1/2", "equal": true}.')
    ] = None,
    fuzz: Annotated[
        int | None, typer.Option(min=1, help="In place of a file: make so many pairs whose truth is known.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="With --fuzz: makes the same pairs again.")] = None,
    workers: Workers = CORES,
    timeout: Timeout = 3.0,
    as_json: AsJson = False,
) -> None:
    """Grade pairs whose verdict is known, and say where the grader differs; null expects no verdict.

    --fuzz makes pairs of many kinds: the same value in another spelling, and near misses.

    Examples:
        python -m benchmarks grade-pairs pairs.jsonl
        python -m benchmarks grade-pairs --fuzz 5000 --seed 1
    """
    if (file is None) == (fuzz is None):
        raise InputError("give either a file of pairs or --fuzz")
    if seed is not None and fuzz is None:
        raise InputError("--seed goes with --fuzz")
    if file is None:
        seed = secrets.randbelow(_SEEDS) if seed is None else seed
        pairs = fuzzed(fuzz or 0, seed)
        remark(f"--seed {seed} makes these pairs again")
    else:
        pairs = _pairs(file)
    with progress_bar("grading") as bar:
        task = bar.add_task("", total=len(pairs))
        found = run(
            lambda: grade_all(pairs, workers=workers, timeout_s=timeout, on_graded=lambda: bar.advance(task))
        )
    if as_json:
        print_json(_agreement_to_json(found))
    else:
        _print_agreement(found, stdout())
    if found.differing:
        raise typer.Exit(UNEXPECTED)


def regrade(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or a JSONL file of records.")],
    out: Annotated[Path | None, typer.Option(help="Write the records here; in place, if not given.")] = None,
    workers: Workers = CORES,
    timeout: Timeout = 3.0,
    as_json: AsJson = False,
) -> None:
    """Read the answers of a finished run again and grade them again, without generating.

    Example:
        python -m benchmarks regrade runs/svamp-embedded --out regraded.jsonl
    """
    written = out or (path / ATTEMPTS if path.is_dir() else path)
    held = only_writer(written) if out or written.exists() else nullcontext()
    with held, progress_bar("grading") as bar:
        done = load_run(path)
        task = bar.add_task("", total=len(done.records))
        graded = run(
            lambda: regrade_all(
                done.records,
                workers=workers,
                timeout_s=timeout,
                answer_of=_rule(done),
                on_graded=lambda: bar.advance(task),
            )
        )
        replace_lines(written, [pair.after for pair in graded])
    if as_json:
        print_json(_regraded_to_json(graded, written))
    else:
        _print_regraded(graded, stdout())
        remark(f"written to {written}")


def _pairs(file: Path) -> tuple[ExpectedPair, ...]:
    """Return the usable pairs; each line that isn't one is reported."""
    return tuple(usable(load_pairs(file), [], f"{file} holds no pair of a gold and a predicted answer"))


def _rule(done: Run) -> AnswerOf:
    """Return the rule of the run's task; a user's own set has the usual one."""
    task = TASKS.get(done.manifest.task) if done.manifest else None
    return task.answer_of if task else extract_answer


def _agreement_to_json(found: Agreement) -> dict[str, object]:
    return {
        "n": len(found.graded),
        "agreed": found.agreed,
        "agreement": found.agreed / len(found.graded),
        "seconds": round(found.seconds, 3),
        "pairs_per_s": round(len(found.graded) / found.seconds, 1),
        "kinds": {kind or "all": counts._asdict() for kind, counts in found.kinds.items()},
        "differing": [
            {
                "line": row.pair.line,
                "gold": row.pair.gold,
                "pred": row.pair.pred,
                "equal": row.pair.equal,
                "outcome": row.verdict.outcome,
                "method": row.verdict.method,
                "detail": row.verdict.detail,
            }
            for row in found.differing
        ],
    }


def _print_agreement(found: Agreement, console: Console) -> None:
    number = len(found.graded)
    console.print(
        f"{found.agreed:,} of {number:,} agree ({found.agreed / number:.2%}), "
        f"{number / found.seconds:,.0f} pairs/s"
    )
    table = Table("expected", *(outcome.value for outcome in Outcome))
    for column in table.columns[1:]:
        column.justify = "right"
    for equal, name in _EXPECTED.items():
        table.add_row(name, *(f"{found.confusion[equal, outcome]:,}" for outcome in Outcome))
    console.print(table)
    if len(found.kinds) > 1:
        console.print(_kinds(found))
    if found.differing:
        console.print(_differing(found.differing))


def _kinds(found: Agreement) -> Table:
    table = Table("kind", "pairs", "false equal", "false unequal", "ungraded")
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, counts in found.kinds.items():
        numbers = (counts.n, counts.false_equal, counts.false_unequal, counts.ungraded)
        table.add_row(kind, *(f"{number:,}" for number in numbers))
    return table


def _differing(rows: tuple[GradedPair, ...]) -> Table:
    table = Table("line", "gold", "pred", "expected", "outcome", "method", "detail")
    for row in rows:
        pair, verdict = row.pair, row.verdict
        texts = (pair.gold, pair.pred, _EXPECTED[pair.equal], verdict.outcome, verdict.method, verdict.detail)
        table.add_row(str(pair.line), *(_shown(text) for text in texts))
    return table


def _regraded_to_json(graded: tuple[Regraded, ...], written: Path) -> dict[str, object]:
    return {
        "n": len(graded),
        "before": _counts([pair.before for pair in graded]),
        "after": _counts([pair.after for pair in graded]),
        "flipped": [
            {
                "id": pair.after.problem.id,
                "sample": pair.after.sample,
                "target": pair.after.problem.target,
                "answer_before": _answer(pair.before),
                "answer": _answer(pair.after),
                "before": outcome_of(pair.before),
                "after": outcome_of(pair.after),
            }
            for pair in graded
            if pair.is_flipped
        ],
        "written": str(written),
    }


def _print_regraded(graded: tuple[Regraded, ...], console: Console) -> None:
    before, after = _counts([pair.before for pair in graded]), _counts([pair.after for pair in graded])
    table = Table("outcome", "before", "after")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in before:
        table.add_row(name, f"{before[name]:,}", f"{after[name]:,}")
    console.print(table)
    flipped = [pair for pair in graded if pair.is_flipped]
    if flipped:
        console.print(_flips(flipped))


def _flips(flipped: list[Regraded]) -> Table:
    table = Table("problem", "sample", "gold", "answer before", "answer", "before", "after")
    for pair in flipped:
        problem = pair.after.problem
        outcomes = (outcome_of(pair.before) or "not graded", outcome_of(pair.after) or "not graded")
        texts = (problem.target, _answer(pair.before), _answer(pair.after), *outcomes)
        table.add_row(_shown(problem.id), str(pair.after.sample), *(_shown(text) for text in texts))
    return table


def _counts(records: list[RunRecord]) -> dict[str, int]:
    """Count the records by outcome, with every outcome named."""
    found = Counter(outcome_of(record) for record in records)
    return {outcome.value: found[outcome] for outcome in Outcome} | {"not graded": found[None]}


def _answer(record: RunRecord) -> str | None:
    answer = record.trajectory.answer
    return None if answer is None else answer.text


def _shown(text: str | None) -> Text:
    """Show a text as it is, not as markup, and not too long."""
    shown = "" if text is None else text
    return Text(shown if len(shown) <= _SHOWN_CHARS else f"{shown[: _SHOWN_CHARS - 1]}…")
