"""The commands of `python -m finetune`: parse, call, print.

What needs torch is imported inside its command, so that the others work, and answer --help, without it.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from mumath_agent.errors import InputError, MuMathError

app = typer.Typer(
    help="Make training data and train models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Gsm8k = Annotated[Path | None, typer.Option(help="GSM8K's train.jsonl; without it templates take its share.")]


@app.command()
def corpus(
    stage: Annotated[int, typer.Option(min=1, max=2, help="1: chain of thought. 2: code-nested.")],
    size: Annotated[int, typer.Option(min=1, help="Rows.")],
    out: Annotated[Path, typer.Option(help="JSONL file to write.")],
    gsm8k: Gsm8k = None,
    seed: Annotated[int, typer.Option()] = 0,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Problems of schemas that training never sees.")
    ] = False,
) -> None:
    """Write training rows for the embedded model."""
    from finetune.embedded.corpus import build, dev_split, write

    rows = read_gsm8k(gsm8k)
    side = dev_split if held_out else build
    count = write(out, side(rows, stage=1 if stage == 1 else 2, size=size, seed=seed))
    print(f"{out}: {count} rows")


@app.command()
def tokenizer(
    data: Annotated[list[Path], typer.Argument(help="JSONL files of training rows.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    vocab_size: Annotated[int, typer.Option(min=300)] = 2048,
) -> None:
    """Learn a tokenizer from questions and solutions."""
    from finetune.encode import read_rows
    from finetune.tokenizer import train_tokenizer

    rows = [row for path in data for row in read_rows(path)]
    learned = train_tokenizer(
        (text for row in rows for text in (row.question, row.solution)), vocab_size=vocab_size
    )
    learned.save_pretrained(out)
    print(f"{out}: {len(learned)} tokens")


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file.")],
    data: Annotated[Path, typer.Option(help="JSONL file of training rows.")],
    start: Annotated[Path, typer.Option(help="Stage 1: folder of a tokenizer. Stage 2: folder of stage 1.")],
    out: Annotated[Path, typer.Option(help="Folder to write; run again to go on after an interruption.")],
) -> None:
    """Run one stage of training."""
    from finetune.recipe import read_recipe
    from finetune.train import train as train_stage

    train_stage(read_recipe(recipe), data=data, start=start, out=out)
    print(f"{out}: done")


def read_gsm8k(path: Path | None) -> list[Mapping[str, str]]:
    """The rows of GSM8K's train.jsonl; none without a path."""
    if path is None:
        return []
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def main() -> None:
    """Run a command; what the user can mend is said in one line."""
    try:
        app()
    except MuMathError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
