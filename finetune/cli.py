"""The commands of `python -m finetune`: parse, call, print.

What needs torch is imported inside its command, so that the others work, and answer --help, without it.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from finetune.commands.ablating import ablations
from finetune.commands.augmenting import augment, seeds
from finetune.commands.exporting import card, export, verify
from finetune.commands.scaling import on_ray
from finetune.commands.selecting import overlap, select
from finetune.commands.synthesizing import synthesize
from finetune.commands.training import audit, bench_packing, train
from finetune.commands.whole import held_out, whole
from mumath_agent.errors import InputError, MuMathError

app = typer.Typer(
    help="Make training data and train models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(seeds)
app.command()(augment)
app.command()(synthesize)
app.command()(select)
app.command()(overlap)
app.command()(train)
app.command()(audit)
app.command()(bench_packing)
app.command()(export)
app.command()(verify)
app.command()(card)
app.command()(held_out)
app.command("all")(whole)
app.command()(ablations)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(on_ray)

RECIPES = Path(__file__).parent / "training" / "recipes"

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
    from finetune.data.corpus import build, dev_split, write

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
    from finetune.training.encode import read_rows
    from finetune.training.tokenizer import train_tokenizer

    rows = [row for path in data for row in read_rows(path)]
    learned = train_tokenizer(
        (text for row in rows for text in (row.question, row.solution)), vocab_size=vocab_size
    )
    learned.save_pretrained(out)
    print(f"{out}: {len(learned)} tokens")


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="An exported folder.")],
    data: Annotated[Path, typer.Option(help="JSONL with question, and answer or a solution that boxes it.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Problems solved at a time.")] = 4,
) -> None:
    """Solve problems of known answer with the solver. Programs run on this machine with your rights."""
    import anyio
    from rich.progress import Progress

    from finetune.training.solve_rate import SolveRate, read_problems, solve_rate, table
    from mumath_agent.models.embedded import EmbeddedModel

    problems = read_problems(data, limit=limit)
    with Progress() as progress:
        task = progress.add_task("solving", total=len(problems))

        async def measure() -> dict[str, SolveRate]:
            engine = EmbeddedModel(model)
            try:
                return await solve_rate(
                    engine, problems, concurrency=concurrency, on_done=lambda: progress.advance(task)
                )
            finally:
                await engine.aclose()

        rates = anyio.run(measure)
    print(*table(rates), sep="\n")


@app.command()
def embedded(
    work: Annotated[Path, typer.Option(help="Folder for corpus, tokenizer and stages.")],
    out: Annotated[Path, typer.Option(help="Folder of the finished model.")],
    gsm8k: Gsm8k = None,
    recipes: Annotated[Path, typer.Option(help="Folder with embedded-stage1.toml, -stage2.toml.")] = RECIPES,
) -> None:
    """Make the embedded model: corpus, tokenizer, stage 1, stage 2, export. Run again to go on."""
    from finetune.pipeline.embedded import Plan, make
    from finetune.training.recipe import read_recipe

    stages = (read_recipe(recipes / "embedded-stage1.toml"), read_recipe(recipes / "embedded-stage2.toml"))
    make(Plan(gsm8k=read_gsm8k(gsm8k), recipes=stages), work=work, out=out)
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
