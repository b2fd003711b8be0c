"""`seeds` and `augment`: where questions come from."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeVar

import anyio
import typer
from rich.console import Console
from rich.progress import Progress

from finetune.data.augment.asks import Seeds
from finetune.data.augment.own import own_questions
from finetune.data.augment.perspectives import Perspective, distinct_ids, named
from finetune.data.augment.prompts import digests
from finetune.data.augment.rules import augmented, with_rules
from finetune.data.augment.teacher import Estimate, Teacher, estimated, require_served, tasks
from finetune.data.jobs import JobIdentity, JobManifest, JobOutput, JobResult, read_records, run_job, sha256
from finetune.data.records import Question
from finetune.data.seeds import chosen, held_out, read_gsm8k, read_math
from finetune.data.teachers import teacher_at
from mumath_agent.errors import InputError

Item = TypeVar("Item")

_stderr = Console(stderr=True, highlight=False)


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
    seed: Annotated[int, typer.Option(help="Of the own questions.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N of each source.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count; write nothing.")] = False,
) -> None:
    """Collect seed questions: public sets in their published form, and our own templates."""
    files = {"gsm8k": gsm8k, "math": math} | {f"not in {path}": path for path in not_in or ()}
    inputs = {f"{name}: {path.name}": sha256(path) for name, path in files.items() if path}
    excluded = held_out(not_in or ())
    sources: list[Iterable[Question]] = [read_gsm8k(gsm8k)] if gsm8k else []
    sources += [read_math(math)] if math else []
    sources += [islice(own_questions(seed), own)] if own else []
    if not sources:
        raise InputError("no source is named; give --gsm8k, --math or --own")
    if dry_run:
        for source in sources:
            _say_counts("would write", chosen(source, excluded, limit).counts)
        return

    async def read(item: tuple[int, Iterable[Question]]) -> JobResult[Question]:
        return chosen(item[1], excluded, limit)

    identity = JobIdentity(stage="seeds", inputs=inputs, settings={"own": own, "seed": seed, "limit": limit})
    output = JobOutput(out, identity, Question)
    work = partial(
        _done, output, list(enumerate(sources)), read, key=lambda item: str(item[0]), concurrency=1
    )
    _say_counts(str(out), anyio.run(work).counts)


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
    """
    wanted = with_rules(named(perspective)) if rules else named(perspective)
    if rules == bool(teacher):
        raise InputError("say either --rules or --teacher with the address of a server")
    read = read_records(questions, Question, limit=limit)
    distinct_ids(read)
    identity = JobIdentity(
        stage="augment",
        inputs={questions.name: sha256(questions)},
        settings={"perspectives": list(wanted), "samples": samples, "seed": seed, "limit": limit},
    )
    if rules:
        if dry_run:
            typer.echo(f"{len(read):,} seeds, {len(wanted)} perspectives by rules; no request")
            return
        _say_counts(str(out), anyio.run(_by_rules, read, wanted, identity, out).counts)
        return
    asked = Teacher(
        model=teacher_at(teacher or [], model, chat=chat),
        seeds=Seeds(read),
        temperature=temperature,
        top_p=top_p,
        max_tokens=max_new_tokens,
    )
    if dry_run:
        _announce(estimated(tasks(read, wanted, samples=samples, maker=f"{model} {seed}"), asked))
        return
    _say_counts(str(out), anyio.run(_by_teacher, asked, read, wanted, identity, out, concurrency).counts)


async def _by_rules(
    seeds: list[Question], wanted: tuple[Perspective, ...], identity: JobIdentity, out: Path
) -> JobManifest:
    settings = identity.settings | {"by": "rules"}
    output = JobOutput(out, replace(identity, settings=settings), Question)

    async def work(seed: Question) -> JobResult[Question]:
        return augmented(seed, wanted, samples=settings["samples"], draw=settings["seed"])

    return await _done(output, seeds, work, key=lambda seed: seed.problem.id, concurrency=1)


async def _by_teacher(
    teacher: Teacher,
    seeds: list[Question],
    wanted: tuple[Perspective, ...],
    identity: JobIdentity,
    out: Path,
    concurrency: int,
) -> JobManifest:
    settings = identity.settings | {
        "temperature": teacher.temperature,
        "top_p": teacher.top_p,
        "max_new_tokens": teacher.max_tokens,
    }
    try:
        await require_served(teacher.model)
        name = teacher.model.name
        identity = replace(identity, settings=settings, prompts=digests(wanted), model=name)
        output = JobOutput(out, identity, Question)
        work = tasks(seeds, wanted, samples=settings["samples"], maker=f"{name} {settings['seed']}")
        return await _done(output, work, teacher.augment, key=lambda task: task.id, concurrency=concurrency)
    finally:
        await teacher.model.aclose()


async def _done(
    output: JobOutput[Question],
    items: Sequence[Item],
    work: Callable[[Item], Awaitable[JobResult[Question]]],
    *,
    key: Callable[[Item], str],
    concurrency: int,
) -> JobManifest:
    """The stage, with a bar on a terminal."""
    with Progress(console=_stderr, disable=not _stderr.is_terminal) as progress:
        bar = progress.add_task(
            output.path.name, total=len(items), completed=sum(map(output.done, map(key, items)))
        )
        return await run_job(
            items, work, output, key=key, concurrency=concurrency, on_done=lambda: progress.advance(bar)
        )


def _announce(estimate: Estimate) -> None:
    typer.echo(
        f"{estimate.requests:,} requests, about {estimate.prompt_tokens:,} tokens to send, "
        f"at most {estimate.most_new_tokens:,} to get back"
    )
    if estimate.left_out:
        _say_counts("left out", estimate.left_out)


def _say_counts(what: str, counts: Mapping[str, int]) -> None:
    typer.echo(f"{what}: " + "; ".join(f"{number:,} {reason}" for reason, number in sorted(counts.items())))
