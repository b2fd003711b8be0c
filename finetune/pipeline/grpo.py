"""Train a model by reinforcement: attempts in groups, their rewards, an update; and again (GRPO, arXiv 2402.03300).

    weights ─▶ engine ─▶ attempts at some questions, a group each ─▶ rollouts/step-N.jsonl ─▶ advantages ─▶ update ─┐
       ▲────────────────────────────────────────────────────────────────────────────────────────────────────────────┘

The loss is that of `finetune/learning/grpo.py`; checkpoints, log and the finished folder are those of `finetune train`.
Attempts are on disk before anything is learned of them. A run that was killed makes the steps that its last checkpoint
lacks; attempts that are on disk aren't made again.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import torch

from finetune.data.jobs import sha256
from finetune.data.records import Question
from finetune.learning.advantages import Samples, fault_in, samples_of
from finetune.learning.grpo import Objective
from finetune.learning.held_out import Accuracy, accuracy, gain, greedy_records
from finetune.learning.learner import Learner
from finetune.learning.policy import policy
from finetune.training.checkpoints import (
    Progress,
    load_checkpoint,
    read_progress,
    remove_checkpoints,
    save_checkpoint,
    writing,
)
from finetune.training.distributed import Processes, join_processes
from finetune.training.loss import require_plain_logits
from finetune.training.metrics import Reporter, StepMetrics, Tracking, open_trackers, require_tracking
from finetune.training.optimizers import make_optimizers
from finetune.training.recipe import Recipe
from finetune.training.tokenizer import copy_tokenizer, load_tokenizer
from finetune.training.train import MANIFEST, start_sha256
from finetune.training.weights import find_start, make_model, save_model
from mumath_agent.agent.settings import SolverSettings
from mumath_agent.agent.solver import SolverOptions
from mumath_agent.bridge import run_sync
from mumath_agent.dialects import get_text_dialect
from mumath_agent.errors import InputError
from mumath_agent.problems import load_problems
from mumath_agent.records import Problem, RunRecord, Sampling, to_json
from mumath_agent.rollouts import Rollout, rollouts
from mumath_agent.runs.identity import require_same
from mumath_agent.runs.jsonl import load_records, replace_file, replace_lines
from mumath_agent.runs.locks import only_user
from mumath_agent.runs.paired import AccuracyDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class Grpo:
    """The settings of a run."""

    recipe: Recipe
    """A step of it is all attempts of a step, `microbatch_tokens` (or `batch_tokens`) at a time."""
    start: str
    """Folder of a finished stage, or of another model that was trained in the format."""
    questions: Path
    """JSONL of `Question`s whose answers are known."""
    held_out: Path | None = None
    """Problems with answers, to measure with before the first step, after the last, and every `recipe.solve_every`."""
    solver: SolverOptions
    """Limits, and the seed of sampling; every step has one of its own, drawn from it."""
    groups: int = 8
    """Questions of a step."""
    samples: int = 8
    """Attempts a question."""
    updates: int = 1
    """Updates of a step, on the same attempts."""
    objective: Objective = field(default_factory=Objective)
    scaled: bool = False
    """Divide advantages by their group's standard deviation."""
    concurrency: int = 8

    def __post_init__(self) -> None:
        """Refuse recipes that can't be."""
        name = self.recipe.name
        if self.recipe.model is not None:
            raise InputError(f"the recipe {name!r} makes a new model; learning by doing starts from one")
        if self.recipe.steps is None:
            raise InputError(f"the recipe {name!r} counts epochs; give it steps instead")
        if self.recipe.int4_from is not None or self.recipe.patience:
            raise InputError(f"the recipe {name!r} has int4_from or patience, which only `train` knows")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """An attempt: a line of rollouts/step-N.jsonl."""

    problem: Problem
    rollout: Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The accuracy on held-out problems after some steps."""

    step: int
    accuracy: Accuracy
    gain: AccuracyDifference | None
    """Over the start, problem by problem; None for the start."""


def grpo(
    plan: Grpo, out: Path, *, vllm: Path | None = None, track: Sequence[Tracking] = ()
) -> dict[str, Any]:
    """Train to the end, from the start or from the last checkpoint in `out`; return the manifest.

    A finished `out` is left alone.

    Args:
        plan: the settings.
        out: folder to write.
        vllm: Python of an environment with vLLM, which writes the attempts; else the embedded engine does.
        track: where the curves go besides out/log.jsonl.

    Raises:
        InputError: a file can't be used, or `out` belongs to another run.
        TrainingDiverged: the loss is not finite; the last checkpoint is kept.
    """
    require_tracking(track)
    if plan.recipe.threads is not None:
        torch.set_num_threads(plan.recipe.threads)
    with join_processes(on_cpu=plan.recipe.threads is not None) as processes:
        if processes.count > 1:
            raise InputError("grpo is one process; start it without torchrun")
        with writing(str(out)):
            out.mkdir(parents=True, exist_ok=True)
        with only_user(out):
            questions = [question.problem for question in load_records(plan.questions, Question)]
            identity = _identity(plan, len(questions))
            if (out / MANIFEST).is_file():
                finished = _manifest(out)
                require_same(finished["identity"], identity, str(out))
                return finished
            _Run(plan, out, questions, identity, processes, vllm).run(track)
            return _manifest(out)


def _manifest(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / MANIFEST).read_text("utf-8"))
    return found


def _identity(plan: Grpo, questions: int) -> dict[str, Any]:
    return {
        "recipe": plan.recipe.model_dump(mode="json"),
        "data_sha256": sha256(plan.questions),
        "rows": questions,
        "start_sha256": start_sha256(plan.recipe, find_start(plan.start)),
        "held_out_sha256": None if plan.held_out is None else sha256(plan.held_out),
        "limits": to_json(plan.solver.limits),
        "seed": plan.solver.sampling.seed,
        "objective": asdict(plan.objective),
        **{name: getattr(plan, name) for name in ("groups", "samples", "updates", "scaled")},
    }


class _Run:
    """A run: everything that its steps need."""

    def __init__(
        self,
        plan: Grpo,
        out: Path,
        questions: list[Problem],
        identity: dict[str, Any],
        processes: Processes,
        vllm: Path | None,
    ) -> None:
        """Load the model and the problems.

        Raises:
            InputError: something can't be used.
        """
        self.plan, self.out, self.questions, self.identity = plan, out, questions, identity
        self.processes, self.vllm, self.start = processes, vllm, find_start(plan.start)
        self.exam = [] if plan.held_out is None else load_problems(plan.held_out)
        for path, problems in ((plan.questions, questions), (plan.held_out, self.exam)):
            if unanswered := [problem.id for problem in problems if problem.target is None]:
                raise InputError(f"{path}: problem {unanswered[0]} has no answer to compare with")
        if len(questions) < plan.groups:
            raise InputError(f"{plan.questions} has {len(questions)} questions; a step takes {plan.groups}")
        recipe, tokenizer = plan.recipe, load_tokenizer(self.start)
        torch.manual_seed(recipe.seed)
        model = make_model(recipe, tokenizer, self.start, processes)
        require_plain_logits(model)
        pad = tokenizer.pad_token_id
        self.steps: int = recipe.steps or 0
        self.tokenizer = tokenizer.backend_tokenizer
        self.learner = Learner(
            recipe=recipe,
            steps=self.steps,
            objective=plan.objective,
            updates=plan.updates,
            model=model,
            reference=make_model(recipe, tokenizer, self.start, processes) if plan.objective.kl else None,
            optimizers=make_optimizers(model, recipe.optimizer),
            pad_id=pad if isinstance(pad, int) else 0,
            device=processes.device,
        )
        dialect, end = get_text_dialect(recipe.dialect), tokenizer.eos_token_id
        self.fault = fault_in(
            dialect, end_id=end if isinstance(end, int) else None, max_tokens=recipe.max_tokens
        )

    def run(self, track: Sequence[Tracking]) -> None:
        recipe, learner, progress = self.plan.recipe, self.learner, read_progress(self.out)
        if progress.identity is not None:
            require_same(progress.identity, self.identity, str(self.out))
            load_checkpoint(self.out, learner.model, learner.optimizers, self.processes, step=progress.step)
        trackers = open_trackers(track, self.out, recipe.name, step=progress.step)
        log = self.out / "log.jsonl"
        with Reporter(recipe.name, log, total=self.steps, step=progress.step, trackers=trackers) as report:
            for step in range(progress.step, self.steps):
                began = time.perf_counter()
                self.ask(step, report)
                metrics = self.learn(step, report)
                progress = replace(
                    progress,
                    step=step + 1,
                    tokens=progress.tokens + metrics.tokens,
                    seconds=progress.seconds + time.perf_counter() - began,
                    identity=self.identity,
                )
                report.step(step + 1, metrics)
                if (step + 1) % recipe.log_every == 0:
                    report.training(step + 1, total_tokens=progress.tokens)
                if (step + 1) % recipe.checkpoint_every == 0:
                    save_checkpoint(self.out, learner.model, learner.optimizers, progress, self.processes)
            self.ask(self.steps, report)
        self.finish(progress)

    def ask(self, step: int, report: Reporter) -> None:
        """Ask the model as it is after `step` steps for what isn't on disk: held-out attempts, and the next to learn."""
        every = self.plan.recipe.solve_every or self.steps
        is_exam = bool(self.exam) and (step % every == 0 or step == self.steps)
        examines = is_exam and not self.examined(step).is_file()
        draws = step < self.steps and not self.drawn(step).is_file()
        if not (examines or draws):
            return
        model, shared = self.learner.model, self.plan.solver
        with policy(model, start=self.start, folder=self.out / "policy", vllm=self.vllm) as engine:
            settings: SolverSettings = {
                **engine,
                "dialect": self.plan.recipe.dialect,
                "limits": shared.limits,
                "fresh_cells": shared.fresh_cells,
                "rebuild_state": shared.rebuild_state,
                "unsafe_local": shared.unsafe_local,
            }
            if examines:
                self.examine(step, settings)
                report.solve_rate(step, self.measured(step).accuracy.share)
            if draws:
                self.draw(step, settings)

    def examine(self, step: int, settings: SolverSettings) -> None:
        records = greedy_records(self.exam, settings, concurrency=self.plan.concurrency)
        self.keep(self.examined(step), run_sync(records))

    def draw(self, step: int, settings: SolverSettings) -> None:
        seed = Random(f"{self.plan.solver.sampling.seed or 0}/{step}").getrandbits(31)
        sampled: SolverSettings = {**settings, "sampling": Sampling(temperature=1.0, seed=seed)}
        problems = [problem for problem in self.asked(step) for _ in range(self.plan.samples)]
        made = rollouts(
            problems,
            tokenizer=self.tokenizer,
            concurrency=self.plan.concurrency,
            **sampled,
        )
        drawn = [Drawn(problem=p, rollout=r) for p, r in zip(problems, made, strict=True)]
        self.keep(self.drawn(step), drawn)

    def keep(self, path: Path, records: Sequence[Drawn] | Sequence[RunRecord]) -> None:
        with writing(f"the attempts to {self.out}"):
            path.parent.mkdir(exist_ok=True)
            replace_lines(path, records)

    def asked(self, step: int) -> list[Problem]:
        """Return the questions of a step: all of them in a random order, then in another one, and so on."""
        groups, seed = self.plan.groups, self.plan.recipe.seed
        epoch, place = divmod(step, len(self.questions) // groups)
        order = Random(f"{seed}/{epoch}").sample(self.questions, len(self.questions))
        return order[place * groups : (place + 1) * groups]

    def learn(self, step: int, report: Reporter) -> StepMetrics:
        found, reward = self.samples(step)
        learned = self.learner.learn(found.kept, step)
        report.attempts(
            step + 1, reward=reward, learned=len(found.kept), left_out=found.left_out, gap=learned.gap
        )
        return learned.metrics

    def samples(self, step: int) -> tuple[Samples, float]:
        """Return what is learned of a step's attempts, and the mean reward of those that have one."""
        made = [drawn.rollout for drawn in load_records(self.drawn(step), Drawn)]
        size = self.plan.samples
        groups = [made[first : first + size] for first in range(0, len(made), size)]
        rewards = [one.reward for one in made if one.reward is not None]
        return samples_of(groups, self.fault, scaled=self.plan.scaled), fmean(rewards or [0.0])

    def measured(self, step: int) -> Measured:
        records, start = (load_records(self.examined(one), RunRecord) for one in (step, 0))
        return Measured(step=step, accuracy=accuracy(records), gain=gain(records, start) if step else None)

    def finish(self, progress: Progress) -> None:
        """Write the model, its tokenizer and the manifest; remove the checkpoints."""
        found = [self.samples(step)[0] for step in range(self.steps)]
        left_out: Counter[str] = Counter()
        for one in found:
            left_out.update(one.left_out)
        exams = [step for step in range(self.steps + 1) if self.examined(step).is_file()]
        manifest = {
            "identity": self.identity,
            "parameters": sum(weight.numel() for weight in self.learner.model.parameters()),
            "steps": progress.step,
            "tokens": progress.tokens,
            "seconds": round(progress.seconds, 1),
            "evaluation_loss": None,
            "attempts": self.steps * self.plan.groups * self.plan.samples,
            "learned": sum(len(one.kept) for one in found),
            "left_out": dict(sorted(left_out.items())),
            "held_out": [to_json(self.measured(step)) for step in exams],
            "torch": torch.__version__,
        }
        with writing(f"the model to {self.out}"):
            save_model(self.learner.model, self.out, self.processes)
            copy_tokenizer(self.start, self.out)
            replace_file(self.out / MANIFEST, json.dumps(manifest, indent=2))
            remove_checkpoints(self.out)
            shutil.rmtree(self.out / "policy", ignore_errors=True)

    def drawn(self, step: int) -> Path:
        return self.out / "rollouts" / f"step-{step + 1}.jsonl"

    def examined(self, step: int) -> Path:
        return self.out / "held-out" / f"step-{step}.jsonl"
