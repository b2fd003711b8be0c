"""Write word problems of our own templates: `held-out` and `corpus`."""

from pathlib import Path
from typing import Annotated

import typer

from finetune.data.corpus import CorpusConfig
from finetune.data.corpus import corpus as write
from finetune.data.held_out import write_held_out
from mumath_agent.commands.console import show

Gsm8k = Annotated[Path | None, typer.Option(help="GSM8K's train.jsonl; without it templates take its share.")]


def held_out(
    out: Annotated[Path, typer.Option(help="JSONL to write, for `benchmarks run`.")],
    size: Annotated[int, typer.Option(min=1, help="Problems.")] = 200,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Write problems, with answers, of template schemas that no seed and no training row is made of.

    Example:
        python -m finetune held-out --out held-out.jsonl
    """
    write_held_out(out, size=size, seed=seed)
    show(f"{out}: {size:,} problems")


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
    """Write training rows of word problems whose programs are known; no teacher is needed.

    Example:
        python -m finetune corpus --stage 2 --size 4000 --gsm8k train.jsonl --out rows.jsonl
    """
    config = CorpusConfig(
        out=out, stage=1 if stage == 1 else 2, size=size, seed=seed, gsm8k=gsm8k, held_out=held_out
    )
    show(f"{out}: {write(config).rows:,} rows")
