"""Export a trained model, prove that its engines agree, write its card: `export`, `verify` and `card`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from mumath_agent.commands.console import UNEXPECTED, print_json, remark, show, stdout
from mumath_agent.errors import InputError
from mumath_agent.problems import load_problems
from mumath_agent.records import to_json

if TYPE_CHECKING:
    from finetune.release.agreement import Agreement

Data = Annotated[
    list[Path] | None,
    typer.Option(help="The files its stages were trained on, for the model card; may be repeated."),
]
EngineWeights = Annotated[
    Literal["float16", "int8", "int4"],
    typer.Option(
        "--weights", help="Precision of the embedded engine's weights; the others' stay as they are."
    ),
]
Run = Annotated[Path | None, typer.Option(help="A run of the benchmarks with it, for the model card.")]


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a finished stage; an adapter gets merged.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    data: Data = None,
    run: Run = None,
    weights: EngineWeights = "float16",
) -> None:
    """Write a trained model as one folder for vLLM, transformers and the embedded engine.

    Examples:
        python -m finetune export runs/model/stage2 --out exported
        python -m finetune export runs/model/stage2 --out exported --weights int4
    """
    from finetune.release.export import Weights
    from finetune.release.folder import release

    released = release(checkpoint, out, data=data or (), run=run, weights=Weights(weights))
    if released.left_out:
        remark(f"the embedded engine's format is left out: {released.left_out}")
    if not released.has_card:
        remark("no model card is written: there is one by hand, or the checkpoint isn't a finished stage")
    show(f"{out}: {released.size}")


def card(
    folder: Annotated[Path, typer.Argument(help="An exported folder.")],
    checkpoint: Annotated[Path, typer.Option(help="Folder of the finished stage it was exported from.")],
    data: Data = None,
    run: Run = None,
) -> None:
    """Write an exported folder's model card again, with how the model did in a run of the benchmarks, say.

    Example:
        python -m finetune card exported --checkpoint runs/model/stage2
    """
    from finetune.release.card import NAME, is_ours, write_card

    if not is_ours(folder):
        raise InputError(f"{folder / NAME} was not written here; move it away to have one written")
    write_card(folder, checkpoint, data=data or (), run=run)
    show(str(folder / NAME))


def verify(
    folder: Annotated[Path, typer.Argument(help="An exported folder.")],
    base_url: Annotated[str | None, typer.Option(help="A vLLM that serves it.")] = None,
    vllm: Annotated[
        Path | None, typer.Option(help="Or the python of an environment with vLLM, to start one.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="Questions of your own: one a line, or JSONL. [a few short ones]")
    ] = None,
    dialect: Annotated[str, typer.Option(help="How the questions are put.")] = "fenced",
    max_tokens: Annotated[int, typer.Option(min=1, help="Of each continuation.")] = 96,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Prove that transformers, the embedded engine and vLLM write the same tokens, greedily; exit 1 if they don't.

    Example:
        python -m finetune verify exported --vllm .venv-vllm/bin/python
    """
    from finetune.release.agreement import compare_engines

    agreement = compare_engines(
        folder,
        questions=[problem.question for problem in load_problems(prompts)] if prompts else (),
        dialect=dialect,
        max_tokens=max_tokens,
        base_url=base_url,
        vllm=vllm,
    )
    for line in agreement.skipped:
        remark(f"skipped: {line}")
    if as_json:
        print_json([to_json(comparison) for comparison in agreement.comparisons])
    else:
        stdout().print(_table(agreement), markup=False)
        show(agreement.summary)
    if agreement.quantized and not agreement.is_equal:
        remark("the embedded engine's weights are quantised: where it differs is what that changes")
    if not agreement.is_expected:
        raise typer.Exit(UNEXPECTED)


def calibrate(
    folder: Annotated[Path, typer.Argument(help="A model in the embedded engine's format.")],
    run: Annotated[
        list[Path],
        typer.Option(
            help="A run of the benchmarks with it, on problems it wasn't trained on; may be repeated."
        ),
    ],
) -> None:
    """Fit how probable it is that an answer is right, and write it into the model's folder.

    Example:
        python -m finetune calibrate exported --run runs/held-out-exported
    """
    from finetune.release.calibrate import calibrate

    fitted = calibrate(folder, run)
    table = Table("answers", "confidence", "right", box=None, pad_edge=False)
    for each in fitted.bins:
        table.add_row(str(each.attempts), f"{100 * each.confidence:.0f} %", f"{100 * each.right:.0f} %")
    stdout().print(table)
    show(
        f"{fitted.attempts} answers, {100 * fitted.right:.1f} % right; expected calibration error "
        f"{100 * fitted.error:.1f} points"
    )


def _table(agreement: "Agreement") -> Table:
    table = Table("prompt", box=None, pad_edge=False)
    table.add_column("tokens", justify="right")
    for heading in ("ends with", *agreement.engines):
        table.add_column(heading)
    for comparison in agreement.comparisons:
        results = [str(comparison.differences[engine] or "equal") for engine in agreement.engines]
        table.add_row(_short(comparison.prompt), str(comparison.tokens), comparison.end, *results)
    return table


def _short(prompt: str) -> str:
    """Return the end of a prompt, on one line."""
    shown = json.dumps(prompt, ensure_ascii=False)[1:-1]
    return shown if len(shown) <= 48 else f"…{shown[-47:]}"
