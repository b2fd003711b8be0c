"""Select attempts to train on, and measure how much of the benchmarks is in a corpus: `select` and `overlap`."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from finetune.data.records import SolutionFormat
from finetune.data.select.overlap import overlap as measured
from finetune.data.select.overlap import overlap_table
from finetune.data.select.questions import read_questions
from finetune.data.select.report import groups_table, reasons_table
from finetune.data.select.selection import Rules
from finetune.data.select.stage import SelectConfig, count_selected, dropped_path
from finetune.data.select.stage import select as select_rows
from mumath_agent.commands.console import print_json, remark, run, stderr, stdout
from mumath_agent.records import to_json

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


class Wanted(StrEnum):
    """The solutions to keep."""

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
    """Keep the attempts worth training on, and say of every other one why not.

    Example:
        python -m finetune select attempts.jsonl --out code.jsonl --against gsm8k/test.jsonl
    """
    config = SelectConfig(
        attempts=tuple(attempts),
        out=out,
        format=None if format is Wanted.AUTO else SolutionFormat(format),
        min_share=min_share,
        min_votes=min_votes,
        tokenizer=tokenizer,
        max_tokens=max_tokens,
        max_chars=max_chars,
        against=tuple(against or ()),
        similar=similar,
        per_question=per_question,
        limit=limit,
    )
    with stderr.status("reading") as status:
        report = run(partial(count_selected if dry_run else select_rows, config, status.update))
    if not dry_run:
        remark(f"{out}: {report.kept:,} rows; {dropped_path(out)}: why the others are not")
    if as_json:
        print_json(to_json(report))
        return
    stdout().print(reasons_table(report), groups_table(report), sep="\n\n")
    if report.contaminated_questions or report.clusters:
        remark(
            f"{report.contaminated_questions:,} contaminated questions, "
            f"{report.clusters:,} clusters of near-duplicates"
        )


def overlap(
    corpus: Annotated[list[Path], typer.Argument(help="Files with questions, JSON or JSONL.")],
    against: Annotated[list[Path], typer.Option(help="Test questions, JSON or JSONL; may be repeated.")],
    as_json: AsJson = False,
) -> None:
    """Say how many questions of benchmarks are in a corpus, exactly or nearly; nothing is dropped.

    Example:
        python -m finetune overlap code.jsonl --against gsm8k/test.jsonl
    """
    texts = list(dict.fromkeys(question.text for path in corpus for question in read_questions(path)))
    found = measured(texts, against)
    if as_json:
        print_json({"questions": len(texts), "benchmarks": [to_json(each) for each in found]})
        return
    stdout().print(overlap_table(found))
    remark(f"{len(texts):,} different questions in the corpus")
