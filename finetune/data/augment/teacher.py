"""Augment by a teacher: one request a seed, perspective and sample; every reply is read strictly.

A request depends only on the seeds, the perspective and the sample's number, so a stage that was interrupted asks for
the rest and for nothing twice. Refusals and unusable replies are counted with their reasons. A teacher that is down
ends the stage with an error; what came before is on disk.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from finetune.data.augment.asks import ASKS, Asked, Seeds
from finetune.data.augment.checks import require_asking, require_other
from finetune.data.augment.perspectives import Perspective, Unusable, derived, derived_id
from finetune.data.augment.prompts import rendered
from finetune.data.augment.replies import QUESTION, SOLUTION, STOP, block, require_question
from finetune.data.jobs import JobResult
from finetune.data.records import Question
from mumath_agent.errors import ModelRefused
from mumath_agent.protocols import CompletionModel, CompletionRequest
from mumath_agent.records import Completion, Sampling

_CHARS_PER_TOKEN = 4
"""A rule of thumb for English, for estimates only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One request to make."""

    seed: Question
    perspective: Perspective
    sample: int
    id: str
    """The id of the question that comes of it."""

    @property
    def number(self) -> int:
        """The seed of all that is drawn for the request, and of the teacher's sampling."""
        return int(self.id.rpartition("-")[2][:8], 16)


def tasks(
    seeds: Sequence[Question], perspectives: Sequence[Perspective], *, samples: int, maker: str
) -> list[Task]:
    """Return all requests, seed by seed; `maker` (a model's name, a number) keeps ids of different runs apart."""
    return [
        Task(
            seed=seed,
            perspective=perspective,
            sample=sample,
            id=derived_id(seed, perspective, sample, maker),
        )
        for seed in seeds
        for perspective in perspectives
        for sample in range(samples)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """A model, and how it is asked."""

    model: CompletionModel
    seeds: Seeds
    temperature: float
    top_p: float
    max_tokens: int

    async def augment(self, task: Task) -> JobResult[Question]:
        """Make a request, unless a rule does it; return its question, or the reason for none.

        Raises:
            ModelUnreachable: the teacher is down.
        """
        try:
            asked = _asked(task, self.seeds)
            row = _made(task, asked) or _read(task, asked, await self._reply(task, asked))
        except Unusable as reason:
            return JobResult(rows=(), counts={f"{task.perspective}, {reason}": 1})
        return JobResult(rows=(row,), counts={task.perspective.value: 1})

    async def _reply(self, task: Task, asked: Asked) -> Completion:
        sampling = Sampling(
            temperature=self.temperature, top_p=self.top_p, seed=task.number if self.temperature else None
        )
        prompt = rendered(task.perspective, asked.values)
        try:
            return await self.model.complete(
                CompletionRequest(prompt=prompt, stop=STOP, max_tokens=self.max_tokens, sampling=sampling)
            )
        except ModelRefused:
            raise Unusable("refused by the server") from None


async def require_served(model: CompletionModel) -> None:
    """Ask for one token: a server that refuses this refuses everything, while later refusals are a request's own.

    Raises:
        ModelUnreachable, ModelRefused: it doesn't serve.
    """
    await model.warm_up()
    await model.complete(CompletionRequest(prompt="1 + 1 =", max_tokens=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The most a run would send."""

    requests: int
    prompt_tokens: int
    """An estimate: four characters a token."""
    most_new_tokens: int
    left_out: dict[str, int]
    """Seeds that a perspective has nothing to ask for, by reason."""


def estimated(work: Sequence[Task], seeds: Seeds, *, max_new_tokens: int) -> Estimate:
    """Return what `work` would send to a teacher; ask nothing."""
    left_out = Counter[str]()
    requests = chars = 0
    for task in work:
        try:
            asked = _asked(task, seeds)
        except Unusable as reason:
            left_out[f"{task.perspective}, {reason}"] += 1
            continue
        if asked.question is None:
            chars += len(rendered(task.perspective, asked.values))
            requests += 1
    return Estimate(
        requests=requests,
        prompt_tokens=chars // _CHARS_PER_TOKEN,
        most_new_tokens=requests * max_new_tokens,
        left_out=dict(left_out),
    )


def _asked(task: Task, seeds: Seeds) -> Asked:
    return ASKS[task.perspective](task.seed, seeds, Random(task.number))


def _made(task: Task, asked: Asked) -> Question | None:
    """Return the record of what a rule wrote; None where a teacher must write."""
    if asked.question is None:
        return None
    return derived(
        task.seed,
        task.perspective,
        id=task.id,
        question=asked.question,
        target=asked.target,
        rationale=asked.rationale,
        tags=asked.tags,
    )


def _read(task: Task, asked: Asked, completion: Completion) -> Question:
    """Return the record that a reply gives.

    Raises:
        Unusable: it gives none.
    """
    rewrites = task.perspective.rewrites_solution
    text = block(completion, SOLUTION if rewrites else QUESTION)
    if not rewrites:
        require_question(text)
        require_other(text, task.seed.problem.question)
        require_asking(text, task.seed.problem.question)
    asked.check(text)
    return derived(
        task.seed,
        task.perspective,
        id=task.id,
        question=task.seed.problem.question if rewrites else text,
        target=asked.target,
        rationale=text if rewrites else None,
        tags=asked.tags,
    )
