"""Have a teacher solve questions: `synthesize`."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from finetune.commands.progress import shown
from finetune.commands.teachers import one_teacher
from finetune.data.records import SolutionFormat
from finetune.data.synthesize import SynthesisEstimate, SynthesizeConfig, estimate
from finetune.data.synthesize import synthesize as attempt
from mumath_agent.agent.batch import PATIENCE_S
from mumath_agent.agent.solver import SolverOptions
from mumath_agent.commands.console import remark, run, show
from mumath_agent.commands.options import takes_solver_options

EMBEDDED, OWN = "embedded", "own"


@takes_solver_options(without=("base_url", "dialect"), temperature=0.8, seed=0)
def synthesize(
    options: SolverOptions,
    questions: Annotated[Path, typer.Argument(help="Questions, JSONL (of `seeds` or `augment`).")],
    out: Annotated[Path, typer.Option(help="Attempts, JSONL; the same command goes on.")],
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="Address of an OpenAI-compatible server (several share the work), "
            f'"{EMBEDDED}" for the embedded model, or "{OWN}" for the solutions the questions bring. Or say --local.'
        ),
    ] = None,
    chat: Annotated[
        bool,
        typer.Option(help="The teacher chats: ask /v1/chat/completions, with the chat dialect's prompt."),
    ] = False,
    format: Annotated[
        SolutionFormat, typer.Option(help="With programs, for stage 2, or in words, for stage 1.")
    ] = SolutionFormat.CODE,
    prompt: Annotated[
        Path | None, typer.Option(help="A few-shot prompt of your own, with {question} in it.")
    ] = None,
    knows_format: Annotated[
        bool, typer.Option(help="The teacher was trained in the format: send it the bare question.")
    ] = False,
    samples: Annotated[int, typer.Option(min=1, help="Attempts a question.")] = 10,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N questions.")] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Stop when the teacher wrote so many tokens.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Attempts at a time.")] = 16,
    patience: Annotated[float, typer.Option(min=0.0, help="Seconds the teacher may be away.")] = PATIENCE_S,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked; ask nothing.")] = False,
) -> None:
    """Have a teacher solve questions: it reasons, its programs run in isolated kernels, it reads what they printed.

    The defaults are those of MuMath-Code's synthesis: ten samples at temperature 0.8, four completions each. The API
    key of a server is read from MUMATH_API_KEY.

    Example:
        python -m finetune synthesize augmented.jsonl --out attempts.jsonl --teacher http://teacher:8000/v1
    """
    local = one_teacher(teacher, options.local)
    config = SynthesizeConfig(
        questions=questions,
        out=out,
        format=format,
        solver=replace(
            options, local=local, base_urls=() if teacher in ([EMBEDDED], [OWN]) else tuple(teacher or ())
        ),
        own=teacher == [OWN],
        chat=chat,
        prompt=prompt,
        knows_format=knows_format,
        samples=samples,
        limit=limit,
        budget=budget,
        concurrency=concurrency,
        patience_s=patience,
    )
    if dry_run:
        show(_line(estimate(config)))
        return
    with shown("solving") as on_progress:
        manifest = run(partial(attempt, config, on_progress, on_outage=remark))
    show(f"{out}: " + ", ".join(f"{number:,} {what}" for what, number in manifest.counts.items()))


def _line(found: SynthesisEstimate) -> str:
    return (
        f"{found.questions:,} questions, {found.attempts:,} attempts, at most {found.requests:,} requests of at most "
        f"{found.max_new_tokens:,} new tokens; the longest first prompt has {found.longest_prompt:,} characters"
    )
