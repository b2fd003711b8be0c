"""Augment a file of seeds: every perspective of every seed, by rules or by a teacher; the same call goes on."""

from dataclasses import dataclass, replace
from pathlib import Path

from finetune.data.augment.asks import Seeds
from finetune.data.augment.perspectives import Perspective, distinct_ids
from finetune.data.augment.prompts import digests
from finetune.data.augment.rules import augmented, with_rules
from finetune.data.augment.teacher import Estimate, Task, Teacher, estimated, require_served, tasks
from finetune.data.jobs import JobIdentity, JobManifest, JobResult, OnProgress, run_job, sha256, silent
from finetune.data.records import Question
from finetune.data.teachers import teacher_at
from mumath_agent.runs.jsonl import load_records


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherOptions:
    """The teacher to ask, and how it writes."""

    base_urls: tuple[str, ...]
    """OpenAI-compatible servers that share the work."""
    model: str | None = None
    """The teacher's name on its server, if that serves several."""
    local: str | None = None
    """A GGUF model of this machine, in the place of a server."""
    chat: bool = False
    """Ask /v1/chat/completions."""
    temperature: float = 0.7
    """MetaMath's, for rephrasing."""
    top_p: float = 1.0
    max_new_tokens: int = 1024
    concurrency: int = 16
    """Requests at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """The new questions to make, and of what."""

    questions: Path
    """Seeds, JSONL of `Question`s."""
    out: Path
    perspectives: tuple[Perspective, ...]
    teacher: TeacherOptions | None = None
    """None: by rules."""
    samples: int = 1
    """Questions a seed and perspective, at most."""
    seed: int = 0
    """Another seed gives other questions."""
    limit: int | None = None
    """Only so many seeds, the first."""

    def __post_init__(self) -> None:
        """Refuse settings that can't be."""
        if self.teacher is None:
            with_rules(self.perspectives)


async def augment(config: AugmentConfig, on_progress: OnProgress = silent) -> JobManifest:
    """Write the augmented questions.

    Raises:
        InputError: the seeds can't be used, or the output can't be written or belongs to another job.
        ModelUnreachable, ModelRefused: the teacher is down; what it has written is kept.
    """
    seeds = _read_seeds(config)
    if config.teacher is None:
        return await _by_rules(config, seeds, on_progress)
    return await _by_teacher(config, config.teacher, seeds, on_progress)


def estimate(config: AugmentConfig) -> Estimate:
    """Return what `augment` would ask a teacher for; ask nothing."""
    seeds = _read_seeds(config)
    if config.teacher is None:
        return Estimate(requests=0, prompt_tokens=0, most_new_tokens=0, left_out={})
    return estimated(
        _tasks(config, seeds, str(config.teacher.model)),
        Seeds(seeds),
        max_new_tokens=config.teacher.max_new_tokens,
    )


async def _by_rules(config: AugmentConfig, seeds: list[Question], on_progress: OnProgress) -> JobManifest:
    async def work(seed: Question) -> JobResult[Question]:
        return augmented(seed, config.perspectives, samples=config.samples, draw=config.seed)

    identity = _identity(config)
    return await run_job(
        seeds,
        work,
        out=config.out,
        identity=replace(identity, settings=identity.settings | {"by": "rules"}),
        key=lambda seed: seed.problem.id,
        on_progress=on_progress,
    )


async def _by_teacher(
    config: AugmentConfig, options: TeacherOptions, seeds: list[Question], on_progress: OnProgress
) -> JobManifest:
    model = await teacher_at(options.base_urls, options.model, chat=options.chat, local=options.local)
    try:
        await require_served(model)
        teacher = Teacher(
            model=model,
            seeds=Seeds(seeds),
            temperature=options.temperature,
            top_p=options.top_p,
            max_tokens=options.max_new_tokens,
        )
        identity = _identity(config)
        asked = {name: getattr(options, name) for name in ("temperature", "top_p", "max_new_tokens")}
        return await run_job(
            _tasks(config, seeds, model.name),
            teacher.augment,
            out=config.out,
            identity=replace(
                identity,
                settings=identity.settings | asked,
                prompts=digests(config.perspectives),
                model=model.name,
            ),
            key=lambda task: task.id,
            concurrency=options.concurrency,
            on_progress=on_progress,
        )
    finally:
        await model.aclose()


def _read_seeds(config: AugmentConfig) -> list[Question]:
    seeds = load_records(config.questions, Question, limit=config.limit)
    distinct_ids(seeds)
    return seeds


def _tasks(config: AugmentConfig, seeds: list[Question], model: str) -> list[Task]:
    return tasks(seeds, config.perspectives, samples=config.samples, maker=f"{model} {config.seed}")


def _identity(config: AugmentConfig) -> JobIdentity:
    return JobIdentity(
        stage="augment",
        inputs={config.questions.name: sha256(config.questions)},
        settings={
            "perspectives": list(config.perspectives),
            "samples": config.samples,
            "seed": config.seed,
            "limit": config.limit,
        },
    )
