"""Write word problems of our own templates: `held-out`, `corpus` and `mix`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from finetune.data.corpus import CorpusConfig
from finetune.data.corpus import corpus as write
from finetune.data.held_out import write_held_out
from finetune.data.mix import MixConfig, write_mix
from mumath_agent.commands.console import run, show

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


def mix(
    out: Annotated[Path, typer.Option(help="Folder for cot.jsonl, code.jsonl and evaluation/.")],
    gsm8k: Gsm8k = None,
    thoughts: Annotated[int, typer.Option(min=1, help="Rows of stage 1, in words.")] = 40_000,
    programs: Annotated[int, typer.Option(min=1, help="Rows of stage 2, with programs.")] = 60_000,
    seed: Annotated[int, typer.Option(help="Another seed draws other rows.")] = 0,
) -> None:
    """Write the second corpus for both stages, and the questions that nobody trains on; no teacher is needed.

    GSM8K as exact programs, stories, plain sums in every spelling, refusals and repairs. Every program is run.

    Example:
        python -m finetune mix --gsm8k train.jsonl --out corpus
    """
    config = MixConfig(out=out, gsm8k=gsm8k, thoughts=thoughts, programs=programs, seed=seed)
    for file, counts in run(partial(write_mix, config)).items():
        show(f"{file}: " + ", ".join(f"{number:,} {kind}" for kind, number in counts.items()))
