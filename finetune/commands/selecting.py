"""`select`: which attempts are trained on. `overlap`: how much of the benchmarks is in a corpus."""

import json
import os
from collections.abc import Iterable
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.console import Console

from finetune.data.jobs import JobIdentity, begin, sha256
from finetune.data.records import SolutionFormat
from finetune.data.select.attempts import Attempt, read_attempts
from finetune.data.select.contamination import Index
from finetune.data.select.overlap import overlap as measured
from finetune.data.select.overlap import overlap_table
from finetune.data.select.questions import read_questions
from finetune.data.select.report import groups_table, make_report, reasons_table
from finetune.data.select.rules import Length, in_characters, in_tokens
from finetune.data.select.selection import Rules, Selection
from finetune.data.select.selection import select as sort_out
from finetune.data.select.writing import dropped_path, write
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.records import to_json

_stderr = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


class Wanted(StrEnum):
    """Which solutions to keep."""

    COT = "cot"
    CODE = "code"
    AUTO = "auto"


def select(
    attempts: Annotated[list[Path], typer.Argument(help="Attempts, JSONL (of `synthesize`).")],
    out: Annotated[
        Path, typer.Option(help="Training rows, JSONL; OUT.dropped.jsonl has the others' reasons.")
    ],
    format: Annotated[
        Wanted, typer.Option(help="In words only, with programs, or both; all have a vote.")
    ] = Wanted.AUTO,
    min_share: Annotated[
        float, typer.Option(help="Unknown answer: share of attempts that must agree; 1 means all.")
    ] = Rules().min_share,
    min_votes: Annotated[int, typer.Option(min=1, help="And how many at least.")] = Rules().min_votes,
    tokenizer: Annotated[Path | None, typer.Option(help="Folder of a tokenizer, for --max-tokens.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Of prompt and solution.")] = None,
    max_chars: Annotated[int | None, typer.Option(min=1, help="The same, without a tokenizer.")] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Test questions never to train on, JSON or JSONL; may be repeated."),
    ] = None,
    similar: Annotated[
        float, typer.Option(help="Jaccard similarity from which on a row is a near-duplicate.")
    ] = Rules().similar,
    per_question: Annotated[
        int | None, typer.Option(min=1, help="Keep so many at most, those whose programs differ most.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N attempts.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only; write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Keep the attempts worth training on, and say of every other one why not."""
    length = _length(tokenizer, max_tokens, max_chars)
    rules = Rules(
        format=None if format is Wanted.AUTO else SolutionFormat(format),
        min_share=min_share,
        min_votes=min_votes,
        length=length,
        against=_index(against or []),
        similar=similar,
        per_question=per_question,
    )
    settings = {
        "format": format.value,
        "min_share": min_share,
        "min_votes": min_votes,
        "length": f"{length.limit} {length.unit}" if length else None,
        "similar": similar,
        "per_question": per_question,
        "limit": limit,
    }
    files = [*attempts, *(against or []), *([tokenizer / "tokenizer.json"] if tokenizer else [])]
    identity = JobIdentity(
        stage="select", inputs={str(path): sha256(path) for path in files}, settings=settings
    )
    if not dry_run:
        begin(out, identity)
    selection = anyio.run(_sort_out, islice(read_attempts(attempts), limit), rules)
    report = make_report(selection)
    if not dry_run:
        write(out, selection, report, identity)
        _remark(f"{out}: {report.kept:,} rows; {dropped_path(out)}: why the others are not")
    if as_json:
        _print_json(to_json(report))
        return
    console = _stdout()
    console.print(reasons_table(report), groups_table(report), sep="\n\n")
    if report.contaminated_questions or report.clusters:
        _remark(
            f"{report.contaminated_questions:,} contaminated questions, "
            f"{report.clusters:,} clusters of near-duplicates"
        )


def overlap(
    corpus: Annotated[list[Path], typer.Argument(help="Files with questions, JSON or JSONL.")],
    against: Annotated[list[Path], typer.Option(help="Test questions, JSON or JSONL; may be repeated.")],
    as_json: AsJson = False,
) -> None:
    """Say how many questions of benchmarks are in a corpus, exactly or nearly; nothing is dropped."""
    texts = list(dict.fromkeys(question.text for path in corpus for question in read_questions(path)))
    found = measured(texts, against)
    if as_json:
        _print_json({"questions": len(texts), "benchmarks": [to_json(each) for each in found]})
        return
    _stdout().print(overlap_table(found))
    _remark(f"{len(texts):,} different questions in the corpus")


async def _sort_out(attempts: Iterable[Attempt], rules: Rules) -> Selection:
    workers = os.cpu_count() or 1
    async with Grader(workers=workers) as grader:
        with _stderr.status("reading") as status:
            return await sort_out(attempts, rules, grader, concurrency=workers, on_rule=status.update)


def _length(tokenizer: Path | None, max_tokens: int | None, max_chars: int | None) -> Length | None:
    if max_tokens is not None and max_chars is not None:
        raise InputError("--max-tokens and --max-chars are two ways to say it; name one")
    if (tokenizer is None) is not (max_tokens is None):
        raise InputError("--tokenizer and --max-tokens go together; --max-chars needs no tokenizer")
    if tokenizer is not None and max_tokens is not None:
        return in_tokens(max_tokens, tokenizer)
    return None if max_chars is None else in_characters(max_chars)


def _index(paths: list[Path]) -> Index | None:
    return Index([question for path in paths for question in read_questions(path)]) if paths else None


def _stdout() -> Console:
    """As wide as the terminal, and wide enough for tables in a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


def _remark(text: str) -> None:
    _stderr.print(text, style="dim", markup=False, soft_wrap=True)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))
