"""Collect and augment questions: `seeds` and `augment`."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from finetune.commands.progress import shown
from finetune.commands.teachers import is_said, one_teacher
from finetune.data.augment.perspectives import Perspective, named
from finetune.data.augment.stage import AugmentConfig, TeacherOptions, estimate
from finetune.data.augment.stage import augment as augment_seeds
from finetune.data.augment.teacher import Estimate
from finetune.data.seeds import SeedsConfig, count_seeds
from finetune.data.seeds import seeds as collect
from mumath_agent.commands.console import run, show
from mumath_agent.commands.options import Local
from mumath_agent.errors import InputError


def seeds(
    out: Annotated[Path, typer.Option(help="Questions, JSONL.")],
    gsm8k: Annotated[Path | None, typer.Option(help="GSM8K's train.jsonl.")] = None,
    math: Annotated[
        Path | None, typer.Option(help="MATH rows, JSONL: problem, solution, level, type.")
    ] = None,
    own: Annotated[int, typer.Option(min=0, help="Questions of our own templates.")] = 0,
    not_in: Annotated[
        list[Path] | None,
        typer.Option(help="Files whose questions are left out, JSONL; give it once for each."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the own questions.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N of each source.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count; write nothing.")] = False,
) -> None:
    """Collect seed questions: public sets in their published form, and our own templates.

    Example:
        python -m finetune seeds --gsm8k train.jsonl --out seeds.jsonl
    """
    config = SeedsConfig(
        out=out, gsm8k=gsm8k, math=math, own=own, not_in=tuple(not_in or ()), seed=seed, limit=limit
    )
    if dry_run:
        _print_counts("would write", count_seeds(config))
        return
    with shown("seeds") as on_progress:
        manifest = run(partial(collect, config, on_progress))
    _print_counts(str(out), manifest.counts)


def augment(
    questions: Annotated[Path, typer.Argument(help="Seed questions, JSONL (of `seeds`).")],
    out: Annotated[Path, typer.Option(help="Augmented questions, JSONL; the same command goes on.")],
    perspective: Annotated[
        str,
        typer.Option(help=f"Comma-separated: alteration (its five manners), {', '.join(Perspective)}."),
    ],
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="Address of an OpenAI-compatible server; several share the work."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The teacher's name on its server.")] = None,
    local: Local = None,
    chat: Annotated[bool, typer.Option(help="The teacher chats: ask /v1/chat/completions.")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="No teacher: the exact, rule-based forms.")] = False,
    samples: Annotated[int, typer.Option(min=1, help="Questions a seed and perspective, at most.")] = 1,
    temperature: Annotated[float, typer.Option(min=0.0)] = 0.7,
    top_p: Annotated[float, typer.Option(min=0.01, max=1.0)] = 1.0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Per reply.")] = 1024,
    seed: Annotated[int, typer.Option(help="Another seed gives other questions.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N seeds.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at a time.")] = 16,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked; ask nothing.")] = False,
) -> None:
    """Make new questions of seeds, by the perspectives of MuMath and MathCoder.

    The temperature is that of MetaMath's rephrasing. The API key of a server is read from MUMATH_API_KEY.

    Example:
        python -m finetune augment seeds.jsonl --out augmented.jsonl --perspective alteration --rules
    """
    if rules and (teacher or is_said(local)):
        raise InputError("--rules asks no teacher; leave out --teacher and --local")
    asked = TeacherOptions(
        base_urls=tuple(teacher or ()),
        model=model,
        local=None if rules else one_teacher(teacher, local),
        chat=chat,
        temperature=temperature,
        top_p=top_p,
        max_new_tokens=max_new_tokens,
        concurrency=concurrency,
    )
    config = AugmentConfig(
        questions=questions,
        out=out,
        perspectives=named(perspective),
        teacher=None if rules else asked,
        samples=samples,
        seed=seed,
        limit=limit,
    )
    if dry_run:
        _print_estimate(estimate(config))
        return
    with shown("augmenting") as on_progress:
        manifest = run(partial(augment_seeds, config, on_progress))
    show(f"{out}: {manifest.rows:,} questions")
    _print_yields(manifest.counts)


def _print_estimate(found: Estimate) -> None:
    show(
        f"{found.requests:,} requests, about {found.prompt_tokens:,} tokens to send, "
        f"at most {found.most_new_tokens:,} to get back"
    )
    if found.left_out:
        _print_counts("left out", found.left_out)


def _print_yields(counts: Mapping[str, int]) -> None:
    """Print a line a perspective: how many seeds and samples gave a question, and why the others didn't."""
    for perspective in Perspective:
        kept = counts.get(perspective.value, 0)
        start = f"{perspective}, "
        lost = {key.removeprefix(start): number for key, number in counts.items() if key.startswith(start)}
        if total := kept + sum(lost.values()):
            reasons = "".join(
                f"; {number:,} {reason}" for reason, number in sorted(lost.items(), key=_most_first)
            )
            show(f"{perspective}: {kept:,} of {total:,} kept{reasons}")


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _print_counts(what: str, counts: Mapping[str, int]) -> None:
    show(f"{what}: " + "; ".join(f"{number:,} {reason}" for reason, number in sorted(counts.items())))
