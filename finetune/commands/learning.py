"""Train a model on its own attempts: `rft`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.commands.all import AsJson, Vllm, shown_steps
from finetune.commands.training import Start
from mumath_agent.agent.solver import SolverOptions
from mumath_agent.commands.console import print_json, show
from mumath_agent.commands.options import takes_solver_options
from mumath_agent.errors import InputError
from mumath_agent.records import to_json

if TYPE_CHECKING:
    from finetune.pipeline.rft import Round


@takes_solver_options(without=("base_url", "dialect", "local", "model", "weights"), temperature=0.8, seed=0)
def rft(
    options: SolverOptions,
    recipe: Annotated[
        Path, typer.Argument(help="Recipe of one stage: TOML file, or a name that comes with this.")
    ],
    start: Start,
    questions: Annotated[Path, typer.Option(help="Questions with answers, JSONL (of `seeds` or `augment`).")],
    held_out: Annotated[Path, typer.Option(help="Problems with answers, to measure with; never trained on.")],
    work: Annotated[Path, typer.Option(help="Folder for all that is made; the same command goes on in it.")],
    rounds: Annotated[int, typer.Option(min=1, help="Rounds at most.")] = 3,
    samples: Annotated[int, typer.Option(min=2, help="Attempts a question.")] = 8,
    per_question: Annotated[
        int, typer.Option(min=1, help="Right solutions a question to learn at most.")
    ] = 4,
    from_base: Annotated[
        bool,
        typer.Option(
            "--from-base/--from-last",
            help="Train each round from --start on all rounds' solutions, or from the last round's model on its own.",
        ),
    ] = True,
    stop: Annotated[bool, typer.Option(help="End when a round helped no more.")] = True,
    concurrency: Annotated[int, typer.Option(min=1, help="Attempts at a time.")] = 4,
    vllm: Vllm = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on its own right solutions, round after round, and measure every round (rejection sampling).

    Example:
        python -m finetune rft 7b-lora --start stage2 --questions seeds.jsonl --held-out held-out.jsonl --work runs/rft
    """
    from finetune.pipeline.rft import RESULT, Rft
    from finetune.pipeline.rft import rft as make_rounds
    from finetune.training.recipe import read_stages

    stages = read_stages(recipe)
    if len(stages) != 1:
        raise InputError(f"{recipe} has {len(stages)} stages; a round is one: name the recipe of the last")
    plan = Rft(
        recipe=stages[0],
        start=str(Path(start).resolve()) if Path(start).exists() else start,
        questions=questions.resolve(),
        held_out=held_out.resolve(),
        rounds=rounds,
        solver=options,
        samples=samples,
        per_question=per_question,
        from_base=from_base,
        stop=stop,
        concurrency=concurrency,
    )
    work = work.resolve()
    with shown_steps(as_json=as_json) as told:
        found = make_rounds(plan, work, vllm=vllm, **told)
    if as_json:
        print_json(to_json(found))
        return
    for one in found.rounds:
        show(_line(one))
    show(f"{found.ended}; best: round {found.best}; {work / RESULT} has everything")


def _line(one: "Round") -> str:
    line = f"round {one.number}: {one.right / one.problems:.1%} right ({one.low:.1%} to {one.high:.1%})"
    if one.gain is None:
        return line
    return (
        f"{line}, {100 * one.gain.value:+.1f} points on the round before ({100 * one.gain.low:+.1f} to "
        f"{100 * one.gain.high:+.1f}); {one.rows:,} rows; questions: "
        + ", ".join(f"{count:,} {what}" for what, count in one.questions.items() if count)
    )
