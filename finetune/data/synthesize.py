"""Have a teacher solve questions: several samples each, through the project's own solver and graph.

    questions ─▶ batch of attempts (`mumath_agent.agent.batch`) ─▶ RunRecords, graded where the answer is known

A teacher is a model behind a server or on this machine, the embedded model, or the solutions that the questions bring
themselves (`recorded_rationales`, for stage 1). How it is asked is in `prompted`. Programs that failed, and the
correction that followed, stay in the text. `select` decides which attempts are good enough to train on.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from finetune.data.jobs import JobIdentity, JobManifest, OnProgress, begin, sha256, silent, write_manifest
from finetune.data.prompted import few_shot, prompt_file, trained
from finetune.data.records import Question, SolutionFormat
from finetune.data.teachers import teacher_at
from finetune.wordproblems.gsm8k import without_marks
from mumath_agent.agent.batch import PATIENCE_S, Batch, run_batch
from mumath_agent.agent.solver import Solver, SolverOptions
from mumath_agent.dialects import Chat
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.grading import Grader
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.problems import split_gsm8k_answer
from mumath_agent.protocols import CompletionModel, Dialect, Prompt
from mumath_agent.records import (
    BROKEN,
    Completion,
    FinishReason,
    Problem,
    RunRecord,
    Sampling,
    to_json,
)
from mumath_agent.runs.jsonl import load_records
from mumath_agent.runs.locks import only_writer
from mumath_agent.runs.results import ResultsFile
from mumath_agent.testing import Recording, ReplayModel
from mumath_agent.transcript import Transcript


class BudgetSpent(MuMathError):
    """The teacher wrote as many tokens as it was allowed to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesizeConfig:
    """The questions to solve, the teacher, and how it is asked.

    The defaults are those of MuMath-Code's synthesis: ten samples at temperature 0.8, four completions each.
    """

    questions: Path
    """JSONL of `Question`s."""
    out: Path
    """JSONL of `RunRecord`s."""
    format: SolutionFormat = SolutionFormat.CODE
    solver: SolverOptions = field(
        default_factory=lambda: SolverOptions(sampling=Sampling(temperature=0.8, seed=0))
    )
    """The teacher's servers, its GGUF file or its folder, without any the embedded model; sampling and limits."""
    own: bool = False
    """The teacher is the solutions that the questions bring."""
    chat: bool = False
    """The teacher chats."""
    prompt: Path | None = None
    """A few-shot prompt of one's own."""
    knows_format: bool = False
    """The teacher was trained in the format: it gets the bare question."""
    samples: int = 10
    """Attempts a question."""
    limit: int | None = None
    """Only so many questions, the first."""
    budget: int | None = None
    """Tokens the teacher may write."""
    concurrency: int = 16
    """Attempts at a time."""
    patience_s: float = PATIENCE_S
    """Seconds the teacher may be away."""

    def __post_init__(self) -> None:
        """Refuse settings that can't be."""
        if self.chats and (self.prompt or self.knows_format):
            raise InputError(
                "--chat has a prompt of its own for programs; leave out --prompt and --knows-format"
            )
        if self.own and self.format is not SolutionFormat.COT:
            raise InputError('the teacher "own" has solutions in words only; say --format cot')

    @property
    def chats(self) -> bool:
        """True where programs are asked for in a conversation. In words, the few-shot prompt is one message."""
        return self.chat and self.format is SolutionFormat.CODE

    @property
    def prompt_file(self) -> Path | None:
        """The file of the few-shot prompt, if one is sent."""
        if self.chats or self.knows_format or self.own or not (self.solver.base_urls or self.solver.local):
            return None
        return self.prompt or prompt_file(self.format)

    @property
    def dialect(self) -> Dialect:
        """The dialect the teacher is asked in."""
        if self.chats:
            return Chat()
        return few_shot(self.format, self.prompt_file) if self.prompt_file else trained(self.format)


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisEstimate:
    """The most a synthesis can ask for."""

    questions: int
    attempts: int
    requests: int
    max_new_tokens: int
    """The limit of each request."""
    longest_prompt: int
    """Characters of the longest first prompt."""


async def synthesize(
    config: SynthesizeConfig,
    on_progress: OnProgress = silent,
    on_outage: Callable[[str], None] = lambda _: None,
) -> JobManifest:
    """Write the teacher's attempts.

    Raises:
        InputError: the questions or options can't be used, or the output belongs to another job.
        ModelUnreachable: the teacher was away for longer than `patience_s`; what was done is kept.
        BudgetSpent: see the class.
    """
    questions = load_records(config.questions, Question, limit=config.limit)
    problems, model = await _teacher(config, questions)
    try:
        await model.warm_up()
        batch = _batch(config, problems, model)
        identity = _identity(config, batch)
        begin(config.out, identity)
        with only_writer(config.out):
            results = ResultsFile(config.out)
            counts = await _run(config, batch, results, on_progress, on_outage)
            results.sort(batch.problems, batch.samples)
            manifest = JobManifest(
                identity=identity, rows=counts.total(), counts=dict(sorted(counts.items()))
            )
            write_manifest(config.out, manifest)
            return manifest
    finally:
        await model.aclose()


def estimate(config: SynthesizeConfig) -> SynthesisEstimate:
    """Return what `synthesize` would ask for; ask nothing."""
    questions = load_records(config.questions, Question, limit=config.limit)
    if config.own:
        questions = [question for question in questions if _brings_solution(question)]
    limits, dialect = config.solver.limits, config.dialect
    prompts = (dialect.prompt(Transcript(question=question.problem.question)) for question in questions)
    attempts = len(questions) * (1 if config.own else config.samples)
    return SynthesisEstimate(
        questions=len(questions),
        attempts=attempts,
        requests=attempts * limits.max_turns,
        max_new_tokens=limits.max_new_tokens,
        longest_prompt=max(map(_characters, prompts), default=0),
    )


def recorded_rationales(questions: Iterable[Question]) -> tuple[tuple[Problem, ...], ReplayModel]:
    """Return the problems that bring a solution, and a teacher that repeats it."""
    told = [question for question in questions if _brings_solution(question)]
    recordings = [
        Recording(question=question.problem.question, turns=(_recited(question),)) for question in told
    ]
    model = ReplayModel(
        recordings=recordings, dialect=trained(SolutionFormat.COT), name="the questions' own solutions"
    )
    return tuple(question.problem for question in told), model


def within_budget(tokens: int | None) -> Callable[[RunRecord], None]:
    """Return a counter of the tokens that the teacher wrote; it raises `BudgetSpent` above `tokens`."""
    written = 0

    def count(record: RunRecord) -> None:
        nonlocal written
        written += sum(completion.completion_tokens for completion in record.trajectory.completions)
        if tokens is not None and written > tokens:
            raise BudgetSpent(
                f"the teacher wrote {written:,} tokens, allowed were {tokens:,}; "
                "the same command with a larger --budget goes on from here"
            )

    return count


async def _teacher(
    config: SynthesizeConfig, questions: Sequence[Question]
) -> tuple[tuple[Problem, ...], CompletionModel]:
    """Return the problems to solve, and the model that solves them."""
    if config.own:
        return recorded_rationales(questions)
    problems = tuple(question.problem for question in questions)
    asked = config.solver
    if not (asked.base_urls or asked.local):
        return problems, EmbeddedModel(asked.weights) if asked.weights else EmbeddedModel()
    return problems, await teacher_at(asked.base_urls, asked.model, chat=config.chat, local=asked.local)


def _batch(config: SynthesizeConfig, problems: tuple[Problem, ...], model: CompletionModel) -> Batch:
    options = config.solver
    solver = Solver(
        model=model,
        dialect=config.dialect,
        limits=options.limits,
        sampling=replace(options.sampling, temperature=0.0, seed=None) if config.own else options.sampling,
        fresh_cells=options.fresh_cells,
        rebuild_state=options.rebuild_state,
        unsafe_local=options.unsafe_local,
    )
    return Batch(problems=problems, samples=1 if config.own else config.samples, solver=solver)


def _identity(config: SynthesizeConfig, batch: Batch) -> JobIdentity:
    return JobIdentity(
        stage="synthesize",
        inputs={config.questions.name: sha256(config.questions)},
        settings={
            "format": config.format.value,
            "limit": config.limit,
            "samples": batch.samples,
            **to_json(batch.solver.settings),
        },
        prompts={file.name: sha256(file) for file in [config.prompt_file] if file},
        model=batch.solver.model.name,
    )


async def _run(
    config: SynthesizeConfig,
    batch: Batch,
    results: ResultsFile,
    on_progress: OnProgress,
    on_outage: Callable[[str], None],
) -> Counter[str]:
    """Make the attempts that are missing; count all by what became of them."""
    counts = Counter(map(_outcome, batch.finished(results)))
    total, spend = len(batch.problems) * batch.samples, within_budget(config.budget)
    on_progress(counts.total(), total)

    def on_record(record: RunRecord) -> None:
        counts[_outcome(record)] += 1
        on_progress(counts.total(), total)
        spend(record)

    async with Grader(workers=2) as grader:
        await run_batch(
            batch,
            results,
            concurrency=config.concurrency,
            grader=grader,
            patience_s=config.patience_s,
            on_record=on_record,
            on_outage=on_outage,
        )
    return counts


def _outcome(record: RunRecord) -> str:
    if record.trajectory.stop_reason in BROKEN:
        return "broken"
    if record.verdict is not None:
        return record.verdict.outcome.value
    return "answered, target unknown" if record.trajectory.answer else "no_answer"


def _brings_solution(question: Question) -> bool:
    return bool(question.rationale and question.problem.target)


def _recited(question: Question) -> Completion:
    """Return a rationale as a model would write it: without calculator marks, with its answer in a box."""
    whole = question.rationale or ""
    text = without_marks(split_gsm8k_answer(whole)[0] or whole).strip()
    if "\\boxed" not in text:
        text = f"{text}\nThe answer is $\\boxed{{{question.problem.target}}}$."
    return Completion(text=text, finish_reason=FinishReason.STOP, prompt_tokens=0, completion_tokens=0)


def _characters(prompt: Prompt) -> int:
    return len(prompt) if isinstance(prompt, str) else sum(len(message.text) for message in prompt.messages)
