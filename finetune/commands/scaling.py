"""Run a data stage on many machines: `on-ray`."""

from pathlib import Path
from typing import Annotated

import typer

from finetune.data.shards import cut, join, work_on_ray
from mumath_agent.commands.console import show


def on_ray(
    context: typer.Context,
    stage: Annotated[str, typer.Argument(help="augment or synthesize.")],
    source: Annotated[Path, typer.Argument(help="Its input, JSONL.")],
    out: Annotated[Path, typer.Option(help="Its output, on storage that all nodes see.")],
    shards: Annotated[int, typer.Option(min=1, help="Parts to cut the input into; a few per process.")] = 8,
    cpus: Annotated[float, typer.Option(min=0.01, help="CPUs a process takes of its node.")] = 1.0,
    address: Annotated[
        str | None, typer.Option(help='Of a running cluster, such as "auto"; without it one starts here.')
    ] = None,
) -> None:
    """Run a stage on a Ray cluster, shard by shard; the stage's own options come after `--`.

    Nodes need the same checkout and environment. The same command goes on after anything that ended it.

    Example:
        python -m finetune on-ray synthesize questions.jsonl --out attempts.jsonl -- --samples 10
    """
    parts = cut(source, out, shards)
    work_on_ray(stage, context.args, parts, cpus=cpus, address=address)
    manifest = join(parts, out)
    show(f"{out}: {manifest.rows:,} rows of {len(parts)} shards, {manifest.counts}")
