"""`all`: from seeds to a served, measured model in one command. `held-out`: the problems it is measured with."""

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from finetune.pipeline.all import SIZES, held_out_problems, run
from finetune.pipeline.steps import Ended
from mumath_agent.errors import InputError
from mumath_agent.records import to_json

_WIDE = 140


class Amount(StrEnum):
    """How much of everything; see `pipeline.SIZES`."""

    TINY = "tiny"
    SMALL = "small"


def whole(
    context: typer.Context,
    work: Annotated[Path, typer.Option(help="Folder for all that is made; the same command goes on in it.")],
    gsm8k: Annotated[Path | None, typer.Option(help="GSM8K's train.jsonl, for seeds beside our own.")] = None,
    size: Annotated[Amount, typer.Option(help="tiny: does it all work? small: a model that solves some.")] = (
        Amount.TINY
    ),
    vllm: Annotated[
        Path | None,
        typer.Option(
            envvar="MUMATH_VLLM_PYTHON",
            help="Python of an environment with vLLM, to serve the model; else the embedded engine runs it.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Seeds, augmentation, synthesis, selection, tokenizer, two stages of training, export, proof and measurement."""
    commands = context.find_root().command

    def call(command: Sequence[str]) -> int:
        return int(commands.main(list(command), prog_name="finetune", standalone_mode=False) or 0)

    # Bound to what stderr is now: while a step runs, it is the step's log.
    with Console(file=sys.stderr, highlight=False).status("") as status:
        steps = run(
            SIZES[size],
            work.resolve(),
            gsm8k=gsm8k.resolve() if gsm8k else None,
            vllm=vllm,
            call=call,
            on_begin=status.update,
            on_end=lambda ended: (
                None if as_json else print(_line(ended))
            ),  # typer.echo would print into the status
        )
    if as_json:
        typer.echo(json.dumps([to_json(step) for step in steps], indent=1, ensure_ascii=False))
    else:
        typer.echo()
        console = Console(highlight=False, markup=False)
        (console if console.is_terminal else Console(highlight=False, markup=False, width=_WIDE)).print(
            _table(steps)
        )


def held_out(
    out: Annotated[Path, typer.Option(help="JSONL to write, for `benchmarks run`.")],
    size: Annotated[int, typer.Option(min=1, help="Problems.")] = 200,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Write problems, with answers, of template schemas that no seed and no training row is made of."""
    text = "".join(
        json.dumps({"id": problem.id, "question": problem.question, "target": problem.target}) + "\n"
        for problem in held_out_problems(size, seed=seed)
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"can't write {out}: {error.strerror}") from None
    typer.echo(f"{out}: {size:,} problems")


def _line(ended: Ended) -> str:
    rows = "" if ended.rows is None else f"{ended.rows:,} rows"
    return f"{ended.name:28} {ended.wall_s:7.1f} s  {rows or ended.said}"


def _table(steps: Sequence[Ended]) -> Table:
    table = Table("step", box=None, pad_edge=False)
    for heading in ("rows", "wall s", "CPU s"):
        table.add_column(heading, justify="right")
    for step in steps:
        rows = "" if step.rows is None else f"{step.rows:,}"
        table.add_row(step.name, rows, f"{step.wall_s:.1f}", f"{step.cpu_s:.1f}")
    wall_s, cpu_s = sum(step.wall_s for step in steps), sum(step.cpu_s for step in steps)
    table.add_row("all", "", f"{wall_s:.1f}", f"{cpu_s:.1f}")
    return table
