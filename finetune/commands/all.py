"""Make a model, from nothing to a measured folder, in one command: `all`, and `embedded` for the model that ships."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from finetune.commands.problems import Gsm8k
from finetune.pipeline.plans import PLANS, Size
from mumath_agent.commands.console import print_json, stderr, stdout
from mumath_agent.records import to_json

if TYPE_CHECKING:
    from finetune.pipeline.steps import StepReport

Work = Annotated[Path, typer.Option(help="Folder for all that is made; the same command goes on in it.")]
Vllm = Annotated[
    Path | None,
    typer.Option(
        envvar="MUMATH_VLLM_PYTHON",
        help="Python of an environment with vLLM, to serve the model; else the embedded engine runs it.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def run_all(
    work: Work,
    gsm8k: Annotated[Path | None, typer.Option(help="GSM8K's train.jsonl, for seeds beside our own.")] = None,
    size: Annotated[
        Size,
        typer.Option(
            help="tiny: does it all work? small: a model that solves some. embedded: the one that ships."
        ),
    ] = Size.TINY,
    vllm: Vllm = None,
    as_json: AsJson = False,
) -> None:
    """Seeds, augmentation, synthesis, selection, tokenizer, two stages of training, export, proof and measurement.

    Examples:
        python -m finetune all --work runs/tiny
        python -m finetune all --work runs/small --size small
    """
    _run(size, work, gsm8k=gsm8k, vllm=vllm, as_json=as_json)


def embedded(
    work: Work,
    out: Annotated[Path, typer.Option(help="Folder of the finished model.")],
    gsm8k: Gsm8k = None,
    vllm: Vllm = None,
    as_json: AsJson = False,
) -> None:
    """Make the embedded model by `all --size embedded`, and export it to a folder. Run again to go on.

    Example:
        python -m finetune embedded --gsm8k gsm8k/train.jsonl --work runs/embedded --out runs/weights
    """
    from finetune.release.folder import release

    _run(Size.EMBEDDED, work, gsm8k=gsm8k, vllm=vllm, as_json=as_json)
    release(work / "model" / "stage2", out, data=(work / "cot.jsonl", work / "code.jsonl"), run=work / "run")
    typer.echo(f"{out}: done", err=as_json)


def _run(size: Size, work: Path, *, gsm8k: Path | None, vllm: Path | None, as_json: bool) -> None:
    # Bound to what stderr is now: while a step runs, stderr is the step's log.
    terminal = Console(file=sys.stderr, highlight=False)
    results = terminal if stdout() is stderr else stdout()

    def tell(report: "StepReport") -> None:
        if not as_json:
            results.print(_line(report), markup=False, soft_wrap=True)

    with terminal.status("starting") as status:
        from finetune.pipeline.all import run

        reports = run(
            PLANS[size], work.resolve(), gsm8k=gsm8k, vllm=vllm, on_begin=status.update, on_end=tell
        )
    if as_json:
        print_json([to_json(report) for report in reports])
    else:
        stdout().print("", _table(reports), sep="\n")


def _line(report: "StepReport") -> str:
    rows = "" if report.rows is None else f"{report.rows:,} rows"
    return f"{report.name:28} {report.wall_s:7.1f} s  {rows or report.summary}"


def _table(reports: Sequence["StepReport"]) -> Table:
    table = Table("step", box=None, pad_edge=False)
    for heading in ("rows", "wall s", "CPU s"):
        table.add_column(heading, justify="right")
    for report in reports:
        rows = "" if report.rows is None else f"{report.rows:,}"
        table.add_row(report.name, rows, f"{report.wall_s:.1f}", f"{report.cpu_s:.1f}")
    wall_s, cpu_s = sum(report.wall_s for report in reports), sum(report.cpu_s for report in reports)
    table.add_row("all", "", f"{wall_s:.1f}", f"{cpu_s:.1f}")
    return table
