"""Train a model on its own attempts: `rft`, `grpo` and `prefer`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finetune.commands.all import AsJson, Vllm, shown_steps
from finetune.commands.training import Start
from finetune.training.metrics import Tracking
from mumath_agent.agent.solver import SolverOptions
from mumath_agent.commands.console import print_json, show
from mumath_agent.commands.options import takes_solver_options
from mumath_agent.errors import InputError
from mumath_agent.records import to_json

if TYPE_CHECKING:
    from finetune.pipeline.rft import Round
    from finetune.training.recipe import Recipe

OneStage = Annotated[
    Path, typer.Argument(help="Recipe of one stage: TOML file, or a name that comes with this.")
]
Out = Annotated[Path, typer.Option(help="Folder to write; run again to go on after an interruption.")]
Track = Annotated[
    list[Tracking] | None,
    typer.Option(help="Draw the curves there too: out/tensorboard, or W&B. May be given twice."),
]
Questions = Annotated[Path, typer.Option(help="Questions with answers, JSONL (of `seeds` or `augment`).")]


@takes_solver_options(without=("base_url", "dialect", "local", "model", "weights"), temperature=0.8, seed=0)
def rft(
    options: SolverOptions,
    recipe: OneStage,
    start: Start,
    questions: Questions,
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

    plan = Rft(
        recipe=_one_stage(recipe),
        start=_found(start),
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


@takes_solver_options(
    without=("base_url", "dialect", "local", "model", "weights", "temperature", "top_p", "max_nudges"), seed=0
)
def grpo(
    options: SolverOptions,
    recipe: OneStage,
    start: Start,
    questions: Questions,
    out: Out,
    held_out: Annotated[
        Path | None, typer.Option(help="Problems with answers, to measure with; never trained on.")
    ] = None,
    groups: Annotated[int, typer.Option(min=1, help="Questions a step.")] = 8,
    samples: Annotated[int, typer.Option(min=2, help="Attempts a question: a group.")] = 8,
    updates: Annotated[int, typer.Option(min=1, help="Updates a step, on the same attempts.")] = 1,
    kl: Annotated[
        float,
        typer.Option("--kl", min=0, help="Weight of the divergence from the start; 0 needs no copy of it."),
    ] = 0.0,
    scaled: Annotated[
        bool, typer.Option("--scaled", help="Divide advantages by the group's standard deviation.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Attempts at a time.")] = 8,
    vllm: Vllm = None,
    track: Track = None,
    as_json: AsJson = False,
) -> None:
    """Train a model by reinforcement: the boxed answer's correctness is the reward, a question's attempts the baseline.

    Example:
        python -m finetune grpo 7b-grpo --start runs/7b --questions seeds.jsonl --out runs/grpo
    """
    from finetune.learning.grpo import Objective
    from finetune.pipeline.grpo import Grpo
    from finetune.pipeline.grpo import grpo as learn

    plan = Grpo(
        recipe=_one_stage(recipe),
        start=_found(start),
        questions=questions,
        held_out=held_out,
        solver=options,
        groups=groups,
        samples=samples,
        updates=updates,
        objective=Objective(kl=kl),
        scaled=scaled,
        concurrency=concurrency,
    )
    manifest = learn(plan, out, vllm=vllm, track=track or ())
    if as_json:
        print_json(manifest)
        return
    others = "".join(f", {count:,} {why}" for why, count in manifest["left_out"].items())
    show(f"{out}: done; {manifest['attempts']:,} attempts, {manifest['learned']:,} learned{others}")
    for exam in manifest["held_out"]:
        show(_exam_line(exam))


def prefer(
    recipe: OneStage,
    start: Start,
    attempts: Annotated[
        list[Path], typer.Option(help="Graded attempts, JSONL (of `synthesize`, or of the rounds of `rft`).")
    ],
    out: Out,
    per_question: Annotated[int, typer.Option(min=1, help="Pairs a question at most.")] = 1,
    beta: Annotated[
        float, typer.Option(min=1e-6, help="The price of moving away from the start: the larger, the less.")
    ] = 0.1,
    track: Track = None,
    as_json: AsJson = False,
) -> None:
    """Train a model to prefer its right attempts to its wrong ones at the same question (DPO, without the outputs).

    Example:
        python -m finetune prefer 7b-lora --start runs/7b --attempts runs/rft/round-1/attempts.jsonl --out runs/dpo
    """
    from finetune.pipeline.prefer import Prefer
    from finetune.pipeline.prefer import prefer as learn

    plan = Prefer(
        recipe=_one_stage(recipe),
        start=_found(start),
        attempts=tuple(attempts),
        per_question=per_question,
        beta=beta,
    )
    manifest = learn(plan, out, track=track or ())
    if as_json:
        print_json(manifest)
        return
    show(
        f"{out}: done; {manifest['pairs']:,} pairs, {manifest['preferred']:.1%} of them preferred more than before; "
        f"questions always right {manifest['always_right']:,}, never {manifest['never_right']:,}; "
        f"attempts without use {manifest['unused']:,}, pairs too long {manifest['too_long']:,}"
    )


def _one_stage(path: Path) -> "Recipe":
    from finetune.training.recipe import read_stages

    stages = read_stages(path)
    if len(stages) != 1:
        raise InputError(f"{path} has {len(stages)} stages; a round is one: name the recipe of the last")
    return stages[0]


def _found(start: str) -> str:
    return str(Path(start).resolve()) if Path(start).exists() else start


def _exam_line(exam: dict[str, Any]) -> str:
    found, gain = exam["accuracy"], exam["gain"]
    line = (
        f"step {exam['step']}: {found['right'] / found['problems']:.1%} right ({found['low']:.1%} to "
        f"{found['high']:.1%})"
    )
    if gain is None:
        return line
    return (
        f"{line}, {100 * gain['value']:+.1f} points on the start ({100 * gain['low']:+.1f} to "
        f"{100 * gain['high']:+.1f})"
    )


def _line(one: "Round") -> str:
    line = f"round {one.number}: {one.right / one.problems:.1%} right ({one.low:.1%} to {one.high:.1%})"
    if one.gain is None:
        return line
    return (
        f"{line}, {100 * one.gain.value:+.1f} points on the round before ({100 * one.gain.low:+.1f} to "
        f"{100 * one.gain.high:+.1f}); {one.rows:,} rows; questions: "
        + ", ".join(f"{count:,} {what}" for what, count in one.questions.items() if count)
    )
