"""Make a model, from nothing to a measured folder, in one command: `all`, and `embedded` for the model that ships."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer
from rich.console import Console
from rich.table import Table

from finetune.commands.exporting import EngineWeights
from finetune.commands.problems import Gsm8k
from finetune.pipeline.plans import PLANS, Given, Plan, Size
from finetune.training.recipe import layer_numbers
from mumath_agent.commands.console import print_json, stderr, stdout
from mumath_agent.errors import InputError
from mumath_agent.records import to_json

if TYPE_CHECKING:
    from finetune.pipeline.steps import StepReport


class Told(TypedDict):
    """Who is told of steps."""

    on_begin: Callable[[str], None]
    on_end: Callable[["StepReport"], None]


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
    _run(PLANS[size], work, gsm8k=gsm8k, vllm=vllm, as_json=as_json)


def embedded(
    work: Work,
    out: Annotated[Path, typer.Option(help="Folder of the finished model.")],
    gsm8k: Gsm8k = None,
    vllm: Vllm = None,
    start: Annotated[
        str | None,
        typer.Option(help="Folder, GGUF file or hub name of a model to begin with; needs --data twice."),
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="With --start: the rows of stage 1, and again: of stage 2.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="With --start: the recipe of both stages.")] = "135m",
    keep_text: Annotated[
        list[Path] | None,
        typer.Option(help="With --start: files whose tokens are kept besides those of the rows."),
    ] = None,
    min_count: Annotated[int, typer.Option(min=1, help="With --start: see `prune`.")] = 1,
    keep_first: Annotated[int, typer.Option(min=0, help="With --start: see `prune`.")] = 0,
    drop_layers: Annotated[str | None, typer.Option(help="With --start: see `prune`.")] = None,
    weights: EngineWeights = "float16",
    problems: Annotated[
        int | None, typer.Option(min=1, help="Held-out problems to measure with. [200]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the embedded model by `all --size embedded`, or from a model by --start; export it. Run again to go on.

    Examples:
        python -m finetune embedded --gsm8k gsm8k/train.jsonl --work runs/embedded --out runs/weights
        python -m finetune embedded --start SmolLM2-135M-Instruct.Q4_1.gguf --data cot.jsonl --data code.jsonl \
            --keep-first 8000 --weights int4 --work runs/135m --out runs/weights
    """
    from finetune.pipeline.all import training_rows
    from finetune.release.export import Weights
    from finetune.release.folder import release

    plan = replace(PLANS[Size.EMBEDDED], weights=weights)
    if start is not None:
        if len(data or ()) != 2:
            raise InputError("--start needs --data twice: the rows of stage 1 and those of stage 2")
        given = Given(
            start=str(Path(start).resolve()) if Path(start).exists() else start,
            data=_pair(data or []),
            keep_text=tuple(str(path.resolve()) for path in keep_text or ()),
            min_count=min_count,
            keep_first=keep_first,
            drop_layers=layer_numbers(drop_layers) if drop_layers else (),
        )
        plan = replace(plan, rows=given, recipe=recipe, vocabulary=0)
    elif data or keep_text or drop_layers:
        raise InputError(
            "--data, --keep-text and --drop-layers are for a model to begin with; give --start, too"
        )
    if problems is not None:
        plan = replace(plan, held_out=problems)
    work = work.resolve()
    _run(plan, work, gsm8k=gsm8k, vllm=vllm, as_json=as_json)
    finished = work / "model" / "stage2"
    released = release(
        finished, out, data=training_rows(plan, work), run=work / "run", weights=Weights(weights)
    )
    typer.echo(f"{out}: {released.size}", err=as_json)


def _pair(data: Sequence[Path]) -> tuple[str, str]:
    first, second = (str(path.resolve()) for path in data)
    return first, second


def _run(plan: Plan, work: Path, *, gsm8k: Path | None, vllm: Path | None, as_json: bool) -> None:
    with shown_steps(as_json=as_json) as told:
        from finetune.pipeline.all import run

        reports = run(plan, work.resolve(), gsm8k=gsm8k, vllm=vllm, **told)
    if as_json:
        print_json([to_json(report) for report in reports])
    else:
        stdout().print("", _table(reports), sep="\n")


@contextmanager
def shown_steps(*, as_json: bool) -> Iterator[Told]:
    """Show which step is being done, and a line for each that has ended; yield the functions to tell it to."""
    # Bound to what stderr is now: while a step runs, stderr is the step's log.
    terminal = Console(file=sys.stderr, highlight=False)
    results = terminal if stdout() is stderr else stdout()

    def tell(report: "StepReport") -> None:
        if not as_json:
            results.print(_line(report), markup=False, soft_wrap=True)

    with terminal.status("starting") as status:
        yield {"on_begin": status.update, "on_end": tell}


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
