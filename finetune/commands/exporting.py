"""`export`, `verify` and `card`: a trained model as a folder that engines load, proof that they agree, its model card.

What needs torch is imported inside its command, so that the others work, and answer --help, without it.
"""

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from mumath_agent.dialects import get_text_dialect
from mumath_agent.errors import InputError
from mumath_agent.problems import parse_problems, read_text
from mumath_agent.records import to_json

if TYPE_CHECKING:
    from finetune.release.verify import Comparison

Data = Annotated[
    list[Path] | None,
    typer.Option(help="What its stages were trained on, for the model card; may be repeated."),
]
Run = Annotated[Path | None, typer.Option(help="A run of the benchmarks with it, for the model card.")]


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a finished stage; an adapter gets merged.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    data: Data = None,
    run: Run = None,
) -> None:
    """Write a trained model as one folder for vLLM, transformers and the embedded engine."""
    from finetune.release.card import is_ours, write_card
    from finetune.release.export import export as write_folder
    from finetune.training.train import MANIFEST

    if left_out := write_folder(checkpoint, out):
        _remark(f"the embedded engine's format is left out: {left_out}")
    if (checkpoint / MANIFEST).is_file() and is_ours(out):
        write_card(out, checkpoint, data=data or (), run=run)
    else:
        _remark("no model card is written: there is one by hand, or the checkpoint is no finished stage")
    print(f"{out}: {sum(file.stat().st_size for file in out.iterdir()) / 1e6:.1f} MB")


def card(
    folder: Annotated[Path, typer.Argument(help="An exported folder.")],
    checkpoint: Annotated[Path, typer.Option(help="Folder of the finished stage it was exported from.")],
    data: Data = None,
    run: Run = None,
) -> None:
    """Write an exported folder's model card again, with how the model did in a run of the benchmarks, say."""
    from finetune.release.card import NAME, is_ours, write_card

    if not is_ours(folder):
        raise InputError(f"{folder / NAME} was not written here; move it away to have one written")
    write_card(folder, checkpoint, data=data or (), run=run)
    print(folder / NAME)


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
    """Prove that transformers, the embedded engine and vLLM write the same tokens, greedily; exit 1 if they don't."""
    from finetune.release.engines import Reference, Writer, embedded, served
    from finetune.release.verify import compare
    from finetune.release.verify import prompts as rendered
    from mumath_agent.serving import serving

    if base_url and vllm:
        raise InputError("--base-url and --vllm are two ways to name a vLLM; give one")
    marks = get_text_dialect(dialect)
    texts = rendered(marks, _questions(prompts) if prompts else ())
    reference = Reference(folder, max_tokens=max_tokens)
    engines: dict[str, Writer] = {}
    with ExitStack() as opened:
        if (engine := embedded(folder, reference)) is not None:
            engines["embedded engine"] = engine
        else:
            _remark(f"skipped: the embedded engine; {folder} has not its format")
        if vllm:
            base_url = opened.enter_context(serving(folder, python=vllm, dtype="float32"))
        if base_url:
            engines["vLLM"] = served(base_url, reference, stop=marks.stop)
        else:
            _remark("skipped: vLLM; name a server with --base-url, or an environment with --vllm")
        if not engines:
            raise InputError("only transformers is there: nothing to compare it with")
        found = [compare(text, reference, engines, stop=marks.stop) for text in texts]
    if as_json:
        print(json.dumps([to_json(comparison) for comparison in found], indent=1, ensure_ascii=False))
    else:
        _print_table(found, tuple(engines))
        print(_summary(found, tuple(engines)))
    if any(not comparison.is_equal for comparison in found):
        raise typer.Exit(1)


def _questions(path: Path) -> list[str]:
    questions: list[str] = []
    for problem in parse_problems(read_text(path), str(path)):
        if isinstance(problem, InputError):
            raise problem
        questions.append(problem.question)
    if not questions:
        raise InputError(f"{path} holds no question")
    return questions


def _print_table(found: list["Comparison"], engines: tuple[str, ...]) -> None:
    table = Table("prompt", box=None, pad_edge=False)
    table.add_column("tokens", justify="right")
    for heading in ("ends with", *engines):
        table.add_column(heading)
    for comparison in found:
        told = [str(comparison.differences[engine] or "equal") for engine in engines]
        table.add_row(_short(comparison.prompt), str(comparison.tokens), comparison.end, *told)
    console = Console(highlight=False, markup=False)
    (console if console.is_terminal else Console(highlight=False, markup=False, width=160)).print(table)


def _summary(found: list["Comparison"], engines: tuple[str, ...]) -> str:
    equal = sum(comparison.is_equal for comparison in found)
    tokens = sum(comparison.tokens for comparison in found)
    return f"{equal} of {len(found)} prompts equal, {tokens} tokens: transformers, {', '.join(engines)}"


def _short(prompt: str) -> str:
    """Its end, on a line."""
    shown = json.dumps(prompt, ensure_ascii=False)[1:-1]
    return shown if len(shown) <= 48 else f"…{shown[-47:]}"


def _remark(text: str) -> None:
    print(text, file=sys.stderr)
