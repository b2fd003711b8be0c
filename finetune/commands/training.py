"""Learn a tokenizer, look at the rows, say what training takes, train, measure: all commands around the loop."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.training.metrics import Tracking
from mumath_agent.commands.console import print_json, progress_bar, run, show, stdout, warn
from mumath_agent.errors import InputError
from mumath_agent.problems import load_problems
from mumath_agent.records import Problem

if TYPE_CHECKING:
    from finetune.training.audit import Audit
    from finetune.training.cost import Estimate
    from finetune.training.recipe import Recipe

Start = Annotated[
    str,
    typer.Option(
        "--start",
        "--from",  # torchrun takes any --start for one of its own options
        help="Folder of a tokenizer, a model or a finished stage; a model's GGUF file, or its name on the hub.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document to stdout.")]


def tokenizer(
    data: Annotated[list[Path], typer.Argument(help="JSONL files of training rows.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    vocab_size: Annotated[int, typer.Option(min=300)] = 2048,
) -> None:
    """Learn a tokenizer from questions and solutions.

    Example:
        python -m finetune tokenizer rows.jsonl --out tokenizer --vocab-size 8192
    """
    from finetune.training.vocabulary import learn_tokenizer

    size = learn_tokenizer(data, out, vocab_size=vocab_size)
    show(f"{out}: {size} tokens")


def prune(
    start: Annotated[str, typer.Argument(help="Folder, GGUF file or hub name of a model.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    keep_text: Annotated[
        list[Path] | None,
        typer.Option(help="JSONL of training rows, or plain text, whose tokens are kept; may be repeated."),
    ] = None,
    min_count: Annotated[int, typer.Option(min=1, help="Keep what occurs at least so often.")] = 1,
    keep_first: Annotated[
        int, typer.Option(min=0, help="Keep so many tokens besides, from the first: the commonest.")
    ] = 0,
    drop_layers: Annotated[
        str | None, typer.Option(help="Layers to leave out, counted from 0: 10-14, say, or 3,5.")
    ] = None,
    dialect: Annotated[str, typer.Option(help="How the rows' solutions are written.")] = "fenced",
    as_json: Json = False,
) -> None:
    """Make a model smaller before training: a vocabulary of what the texts need, and fewer layers.

    Examples:
        python -m finetune prune SmolLM2-135M-Instruct.Q4_1.gguf --keep-text cot.jsonl --keep-text code.jsonl --out base
        python -m finetune prune base --drop-layers 10-14 --out smaller
    """
    from finetune.training.pruning import prune as make_smaller
    from finetune.training.recipe import layer_numbers

    if not (keep_text or drop_layers):
        raise InputError("nothing to leave out; give --keep-text, --drop-layers, or both")
    found = make_smaller(
        start,
        out,
        texts=keep_text or (),
        min_count=min_count,
        keep_first=keep_first,
        drop_layers=layer_numbers(drop_layers) if drop_layers else (),
        dialect=dialect,
    )
    if as_json:
        print_json(asdict(found))
        return
    show(f"{out}: {found.summary}")
    for text in found.texts:
        show(f"  {text.name}: {text.tokens_before:,} tokens before, {text.tokens_after:,} after")


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file, or the name of a recipe that comes with this.")],
    data: Annotated[list[Path], typer.Option(help="JSONL file of training rows; once for each stage.")],
    start: Start,
    out: Annotated[Path, typer.Option(help="Folder to write; run again to go on after an interruption.")],
    solve: Annotated[
        Path | None,
        typer.Option(help="JSONL of problems with answers, solved every recipe.solve_every steps."),
    ] = None,
    track: Annotated[
        list[Tracking] | None,
        typer.Option(help="Draw the curves there too: out/tensorboard, or W&B. May be given twice."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it will take, and stop.")] = False,
    gpus: Annotated[int, typer.Option(min=1, help="For --dry-run.")] = 8,
    gpu: Annotated[str, typer.Option(help="For --dry-run: a100-80, h100 or h200.")] = "h100",
    as_json: Json = False,
) -> None:
    """Train one stage; or, with --data given twice, stage 1 and from its weights stage 2 (out/stage1, out/stage2).

    Several processes train together under torchrun.

    Examples:
        python -m finetune train embedded --data cot.jsonl --data code.jsonl --start tokenizer --out runs/model
        torchrun --nproc_per_node 8 -m finetune train 7b-full --data rows.jsonl --from START --out runs/7b
    """
    from finetune.training.recipe import read_stages
    from finetune.training.stages import recipes_for, train_stages

    recipes = recipes_for(read_stages(recipe), data)
    if solve is not None and not any(stage.solve_every for stage in recipes):
        raise InputError(
            "--solve does nothing without solve_every in the recipe, the steps between two measurements"
        )
    if dry_run:
        _say_costs(recipes, data, start, gpus=gpus, gpu=gpu, as_json=as_json)
        return
    from finetune.training.model_in_training import solve_rate_on

    measure = solve_rate_on(_answered(solve)) if solve is not None else None
    for folder in train_stages(recipes, data, start=start, out=out, solve_rate=measure, track=track or ()):
        typer.echo(f"{folder}: done", err=as_json)


def audit(
    data: Annotated[Path, typer.Argument(help="JSONL file of training rows.")],
    tokenizer: Annotated[str, typer.Option(help="Folder of a tokenizer, or a model's name on the hub.")],
    dialect: Annotated[str, typer.Option(help="How solutions are written: fenced or blocks.")] = "fenced",
    max_tokens: Annotated[int, typer.Option(min=1, help="Longer rows are dropped.")] = 2048,
    examples: Annotated[int, typer.Option(min=0, help="Rows to show, from the first on.")] = 2,
    as_json: Json = False,
) -> None:
    """Show what a model will be taught by a file: trained text in green, counts, warnings.

    Example:
        python -m finetune audit code.jsonl --tokenizer tokenizer
    """
    from finetune.training.audit import audit as look
    from finetune.training.audit import marked
    from finetune.training.encode import encode, read_rows
    from finetune.training.tokenizer import load_tokenizer
    from finetune.training.weights import find_start
    from mumath_agent.dialects import get_text_dialect

    rows, loaded, marks = read_rows(data), load_tokenizer(find_start(tokenizer)), get_text_dialect(dialect)
    if not rows:
        raise InputError(f"{data} holds no rows")
    found = look(rows, loaded, marks, max_tokens=max_tokens)
    if as_json:
        print_json({**asdict(found), "masked_share": found.masked_share, "warnings": found.warnings})
        return
    console = stdout()
    shown = rows[:examples]
    for row, encoded in zip(shown, encode(shown, loaded, marks, max_tokens=2**31)[0], strict=True):
        console.print(marked(row, encoded, loaded, marks), soft_wrap=True)
        console.rule()
    show("\n".join(_lines(found)))
    for warning in found.warnings:
        warn(warning)


def evaluate(
    model: Annotated[Path, typer.Argument(help="An exported folder.")],
    data: Annotated[Path, typer.Option(help="JSONL with question, and answer or a solution that boxes it.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Problems solved at a time.")] = 4,
) -> None:
    """Solve problems of known answer with the solver, and count by their sources.

    Example:
        python -m finetune evaluate exported --data held-out.jsonl
    """
    from finetune.training.solve_rate import SolveRate, solve_rate, table
    from mumath_agent.models.embedded import EmbeddedModel

    problems = [replace(one, source=_kind(one.source)) for one in _answered(data, limit=limit)]

    async def measure() -> dict[str, SolveRate]:
        engine = EmbeddedModel(model)
        try:
            return await solve_rate(
                engine, problems, concurrency=concurrency, on_done=lambda: progress.advance(task)
            )
        finally:
            await engine.aclose()

    with progress_bar("solving") as progress:
        task = progress.add_task("", total=len(problems))
        rates = run(measure)
    show("\n".join(table(rates)))


def bench_packing(
    recipe: Annotated[Path, typer.Argument(help="TOML file, or the name of a recipe that comes with this.")],
    data: Annotated[Path, typer.Option(help="JSONL file of training rows.")],
    start: Start,
    rounds: Annotated[int, typer.Option(min=1, help="Passes of each way.")] = 16,
    processes: Annotated[
        int, typer.Option(min=1, help="So many passes in a row stand for GPUs that wait for the slowest.")
    ] = 1,
    as_json: Json = False,
) -> None:
    """Measure packed rows against padded ones: tokens per second of forward and backward passes.

    Example:
        python -m finetune bench-packing bench-packing --data rows.jsonl --start tokenizer
    """
    import torch

    from finetune.training.distributed import join_processes
    from finetune.training.packing_speed import measure
    from finetune.training.recipe import read_stages
    from finetune.training.train import prepare
    from finetune.training.weights import find_start

    read = read_stages(recipe)[-1].model_copy(update={"packing": True})
    torch.set_num_threads(read.threads or torch.get_num_threads())
    with join_processes(on_cpu=read.threads is not None) as processes_here:
        stage = prepare(read, data=data, start=find_start(start), processes=processes_here)
        speeds = measure(stage, rounds=rounds, processes=processes)
    if as_json:
        print_json({name: asdict(speed) for name, speed in speeds.items()})
        return
    reference = speeds["reference"].tokens_per_s
    show("| batches | tokens/s | against the reference | padding |\n|---|---|---|---|")
    for name, speed in speeds.items():
        rate = speed.tokens_per_s
        show(f"| {name} | {rate:.0f} | {rate / reference:.2f}x | {100 * speed.padding:.1f} % |")


def bench_recipe(
    recipe: Annotated[Path, typer.Argument(help="TOML file, or the name of a recipe that comes with this.")],
    data: Annotated[Path, typer.Option(help="JSONL file of training rows.")],
    start: Start,
    vary: Annotated[
        list[str] | None, typer.Option(help="A line of TOML that changes the recipe; once for each variant.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Passes of each variant.")] = 4,
    as_json: Json = False,
) -> None:
    """Measure what variants of a recipe cost: processor time for each token, compared with the recipe as it is.

    Example:
        python -m finetune bench-recipe 135m --data code.jsonl --start base --vary "frozen_layers = 20"
    """
    import torch

    from finetune.training.distributed import join_processes
    from finetune.training.recipe import read_stages, varied
    from finetune.training.recipe_speed import measure
    from finetune.training.train import prepare
    from finetune.training.weights import find_start

    read, folder = read_stages(recipe)[-1], find_start(start)
    recipes = {"as it is": read} | {changes: varied(read, changes) for changes in vary or ()}
    torch.set_num_threads(read.threads or torch.get_num_threads())
    with join_processes(on_cpu=read.threads is not None) as processes:
        runs = {
            name: prepare(one, data=data, start=folder, processes=processes) for name, one in recipes.items()
        }
        costs = measure(runs, rounds=rounds)
    if as_json:
        print_json({name: asdict(cost) for name, cost in costs.items()})
        return
    show("| recipe | ms/token | of them updates | speed |\n|---|---|---|---|")
    for name, cost in costs.items():
        speed = costs["as it is"].total / cost.total
        show(f"| {name} | {cost.total:.2f} | {cost.updates:.2f} | {speed:.2f}x |")


def _answered(path: Path, *, limit: int | None = None) -> list[Problem]:
    """Read problems that all have an answer to compare with."""
    problems = load_problems(path, limit=limit)
    if unanswered := [problem.id for problem in problems if problem.target is None]:
        raise InputError(f"{path}: problem {unanswered[0]} has no answer to compare with")
    return problems


def _kind(source: str) -> str:
    """Return `template/change` of `template/change/gain`, and `gsm8k-train` of `gsm8k-train/3517/varied`."""
    first, *rest = source.split("/")
    return f"{first}/{rest[0]}" if first == "template" and rest else first


def _say_costs(
    recipes: tuple["Recipe", ...], data: list[Path], start: str, *, gpus: int, gpu: str, as_json: bool
) -> None:
    from finetune.training.batches import count_steps
    from finetune.training.cost import GPUS, architecture, estimate
    from finetune.training.encode import encoded_rows
    from finetune.training.tokenizer import load_tokenizer
    from finetune.training.weights import configuration, find_start

    if gpu not in GPUS:
        raise InputError(f"unknown --gpu {gpu!r}; known: {', '.join(GPUS)}")
    folder = find_start(start)
    tokenizer = load_tokenizer(folder)
    model = architecture(configuration(recipes[0], tokenizer, folder))
    costs: dict[str, Estimate] = {}
    for recipe, path in zip(recipes, data, strict=True):
        steps = count_steps(recipe, encoded_rows(recipe, tokenizer, path).lengths)
        costs[str(path)] = estimate(recipe, model, steps=steps, gpus=gpus, gpu=GPUS[gpu])
    if as_json:
        print_json({path: asdict(cost) for path, cost in costs.items()})
        return
    for name, cost in costs.items():
        show("\n  ".join([name, *_cost_lines(cost, gpus=gpus, gpu=gpu)]))


def _cost_lines(cost: "Estimate", *, gpus: int, gpu: str) -> list[str]:
    from finetune.training.cost import ASSUMED_UTILISATION, GPUS

    memory, room = cost.memory, GPUS[gpu].memory_bytes
    parts = {"weights": memory.weights, "gradients": memory.gradients, "optimiser": memory.optimizer}
    parts |= {"activations": memory.activations, "gathered layers": memory.gathered}
    told = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in parts.items())
    verdict = "fits" if memory.total <= room else "DOESN'T FIT"
    return [
        f"{cost.parameters / 1e9:.2f}B parameters, {cost.trained_parameters / 1e6:.1f}M of them trained",
        f"{cost.steps} steps, {cost.tokens / 1e6:.1f}M tokens, {cost.flops:.3g} operations",
        f"{memory.total / 1e9:.1f} GB on each of {gpus} {gpu} ({room / 1e9:.0f} GB): {verdict}. {told}",
        f"{cost.days:.2f} days, if {100 * ASSUMED_UTILISATION:.0f} % of the peak is reached (an assumption)",
    ]


def _lines(found: "Audit") -> list[str]:
    most = max(count for _, count in found.histogram) or 1
    return [
        found.summary,
        f"{found.requests} programs that ask for their output",
        f"{found.too_long} rows too long; longest: "
        + ", ".join(f"{tokens} tokens (line {line})" for tokens, line in found.longest),
        *(
            f"  up to {bound:>6} tokens {count:>8} {'#' * round(40 * count / most)}"
            for bound, count in found.histogram
        ),
    ]
