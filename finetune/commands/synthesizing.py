"""`synthesize`: questions in, a teacher's attempts at them out."""

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.console import Console
from rich.progress import Progress

from finetune.data.jobs import JobIdentity, JobManifest, begin, read_records, sha256, write_manifest
from finetune.data.records import Question, SolutionFormat
from finetune.data.synthesize import few_shot, prompt_file, recorded_rationales, trained, within_budget
from finetune.data.teachers import teacher_at
from mumath_agent.agent.batch import PATIENCE_S, Batch, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.dialects import Chat
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.protocols import CompletionModel, Prompt
from mumath_agent.records import BROKEN, Limits, RunRecord, Sampling, to_json
from mumath_agent.runs.results import ResultsFile
from mumath_agent.transcript import Transcript

EMBEDDED, OWN = "embedded", "own"

_stderr = Console(stderr=True, highlight=False)


def synthesize(
    questions: Annotated[Path, typer.Argument(help="Questions, JSONL (of `seeds` or `augment`).")],
    out: Annotated[Path, typer.Option(help="Attempts, JSONL; the same command goes on.")],
    teacher: Annotated[
        list[str],
        typer.Option(
            help="Address of an OpenAI-compatible server (several share the work), "
            f'"{EMBEDDED}" for the embedded model, or "{OWN}" for the solutions the questions bring.'
        ),
    ],
    model: Annotated[str | None, typer.Option(help="The teacher's name on its server.")] = None,
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
    temperature: Annotated[float, typer.Option(min=0.0)] = 0.8,
    top_p: Annotated[float, typer.Option(min=0.01, max=1.0)] = 1.0,
    seed: Annotated[int, typer.Option()] = 0,
    max_turns: Annotated[int, typer.Option(min=1)] = Limits().max_turns,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Per completion.")] = Limits().max_new_tokens,
    fresh_cells: Annotated[bool, typer.Option(help="A new Python session for every program.")] = False,
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
    """
    read = read_records(questions, Question, limit=limit)
    plain = knows_format or teacher in ([EMBEDDED], [OWN])
    chats = chat and format is SolutionFormat.CODE  # in words, the few-shot prompt is one message
    if chats and (prompt or knows_format):
        raise InputError("--chat has a prompt of its own for programs; leave out --prompt and --knows-format")
    problems = tuple(question.problem for question in read)
    asked: CompletionModel
    if teacher == [OWN]:
        if format is not SolutionFormat.COT:
            raise InputError(f'the teacher "{OWN}" has solutions in words only; say --format cot')
        problems, asked = recorded_rationales(read)
        samples, temperature = 1, 0.0
    else:
        asked = EmbeddedModel() if teacher == [EMBEDDED] else teacher_at(teacher, model, chat=chat)
    solver = Solver(
        model=asked,
        dialect=Chat() if chats else trained(format) if plain else few_shot(format, prompt),
        limits=Limits(max_turns=max_turns, max_new_tokens=max_new_tokens),
        sampling=Sampling(temperature=temperature, top_p=top_p, seed=seed if temperature else None),
        fresh_cells=fresh_cells,
    )
    batch = Batch(problems=problems, samples=samples, solver=solver)
    if dry_run:
        typer.echo(_announcement(batch))
        return
    identity = JobIdentity(
        stage="synthesize",
        inputs={questions.name: sha256(questions)},
        settings={"format": format.value, "seed": seed, "limit": limit},
        prompts={}
        if plain or chats
        else {file.name: sha256(file) for file in [prompt or prompt_file(format)]},
    )
    make = partial(_make, batch, identity, out, budget=budget, concurrency=concurrency, patience_s=patience)
    counts = anyio.run(make)
    typer.echo(f"{out}: " + ", ".join(f"{number:,} {what}" for what, number in sorted(counts.items())))


async def _make(
    batch: Batch, identity: JobIdentity, out: Path, *, budget: int | None, concurrency: int, patience_s: float
) -> Counter[str]:
    """Make the attempts that are missing, then the manifest; what became of them all."""
    model, spend = batch.solver.model, within_budget(budget)
    try:
        await model.warm_up()
        settings = identity.settings | {"samples": batch.samples, **to_json(batch.solver.settings)}
        identity = replace(identity, settings=settings, model=model.name)
        begin(out, identity)
        results = ResultsFile(out)
        counts = Counter(map(_what_became, batch.finished(results)))
        with Progress(console=_stderr, disable=not _stderr.is_terminal) as progress:
            task = progress.add_task(
                "solving", total=len(batch.problems) * batch.samples, completed=counts.total()
            )

            def on_record(record: RunRecord) -> None:
                counts[_what_became(record)] += 1
                progress.advance(task)
                spend(record)

            async with Grader(workers=2) as grader:
                await run_batch(
                    batch,
                    results,
                    concurrency=concurrency,
                    grader=grader,
                    patience_s=patience_s,
                    on_record=on_record,
                    on_outage=lambda line: _stderr.print(line, style="dim", markup=False, soft_wrap=True),
                )
    finally:
        await model.aclose()
    results.sort(batch.problems, batch.samples)
    write_manifest(
        out, JobManifest(identity=identity, rows=counts.total(), counts=dict(sorted(counts.items())))
    )
    return counts


def _what_became(record: RunRecord) -> str:
    if record.trajectory.stop_reason in BROKEN:
        return "broken"
    if record.verdict is not None:
        return record.verdict.outcome.value
    return "answered, target unknown" if record.trajectory.answer else "no_answer"


def _announcement(batch: Batch) -> str:
    """What a run would ask for."""
    attempts = len(batch.problems) * batch.samples
    limits, dialect = batch.solver.limits, batch.solver.dialect
    prompts = (dialect.prompt(Transcript(question=problem.question)) for problem in batch.problems)
    prompt = max(map(_characters, prompts), default=0)
    return (
        f"{len(batch.problems):,} questions, {attempts:,} attempts, at most {attempts * limits.max_turns:,} requests "
        f"of at most {limits.max_new_tokens:,} new tokens; the longest first prompt has {prompt:,} characters"
    )


def _characters(prompt: Prompt) -> int:
    return len(prompt) if isinstance(prompt, str) else sum(len(message.text) for message in prompt.messages)
