"""Train a model by reinforcement: attempts in groups, their rewards, an update; and again (GRPO, arXiv 2402.03300).

    weights ─▶ engine ─▶ attempts at some questions, a group each ─▶ rollouts/step-N.jsonl ─▶ advantages ─▶ update ─┐
       ▲────────────────────────────────────────────────────────────────────────────────────────────────────────────┘

The loss is that of `finetune/learning/grpo.py`; checkpoints, log and the finished folder are those of `finetune train`.
Attempts are on disk before anything is learned of them. A run that was killed makes the steps that its last checkpoint
lacks; attempts that are on disk aren't made again.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from finetune.data.jobs import sha256
from finetune.data.records import Question
from finetune.learning.advantages import Samples, fault_in, samples_of
from finetune.learning.grpo import Objective
from finetune.learning.held_out import Accuracy, accuracy, gain, greedy_records
from finetune.learning.learner import Learner
from finetune.learning.policy import policy
from finetune.learning.run import Manifest, Run, finished, new_run, require_for_learning, using
from finetune.training.checkpoints import writing
from finetune.training.metrics import Reporter, StepMetrics, Tracking, require_tracking
from finetune.training.recipe import Recipe
from finetune.training.train import start_sha256
from finetune.training.weights import find_start
from mumath_agent.agent.settings import SolverSettings
from mumath_agent.agent.solver import SolverOptions
from mumath_agent.bridge import run_sync
from mumath_agent.dialects import get_text_dialect
from mumath_agent.errors import InputError
from mumath_agent.problems import load_problems
from mumath_agent.records import Problem, RunRecord, Sampling, to_json
from mumath_agent.rollouts import Rollout, rollouts
from mumath_agent.runs.jsonl import load_records, replace_lines
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
        require_for_learning(self.recipe)
        if self.recipe.steps is None:
            raise InputError(f"the recipe {self.recipe.name!r} counts epochs; give it steps instead")


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


def grpo(plan: Grpo, out: Path, *, vllm: Path | None = None, track: Sequence[Tracking] = ()) -> Manifest:
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
    with using(out, plan.recipe) as processes:
        questions = [question.problem for question in load_records(plan.questions, Question)]
        identity, start = _identity(plan, len(questions)), find_start(plan.start)
        if manifest := finished(out, identity):
            return manifest
        steps = plan.recipe.steps or 0
        run = new_run(plan.recipe, out, start=start, steps=steps, identity=identity, processes=processes)
        work = _Work(plan, run, questions, vllm)
        progress = run.make_steps(work.step, track=track)
        work.ask(steps)
        manifest = run.finish(progress, work.figures())
        shutil.rmtree(out / "policy", ignore_errors=True)
        return manifest


def _identity(plan: Grpo, questions: int) -> dict[str, Any]:
    return {
        "recipe": plan.recipe.model_dump(mode="json"),
        "data_sha256": sha256(plan.questions),
        "rows": questions,
        "start_sha256": start_sha256(plan.recipe, find_start(plan.start)),
        "held_out_sha256": None if plan.held_out is None else sha256(plan.held_out),
        "limits": to_json(plan.solver.limits),
        "fresh_cells": plan.solver.fresh_cells,
        "rebuild_state": plan.solver.rebuild_state,
        "seed": plan.solver.sampling.seed,
        "objective": asdict(plan.objective),
        **{name: getattr(plan, name) for name in ("groups", "samples", "updates", "scaled")},
    }


class _Work:
    """A run that learns from attempts at questions."""

    def __init__(self, plan: Grpo, run: Run, questions: list[Problem], vllm: Path | None) -> None:
        """Read the problems to measure with.

        Raises:
            InputError: something can't be used.
        """
        self.plan, self.run, self.questions, self.vllm = plan, run, questions, vllm
        self.exam = [] if plan.held_out is None else load_problems(plan.held_out)
        for path, problems in ((plan.questions, questions), (plan.held_out, self.exam)):
            if unanswered := [problem.id for problem in problems if problem.target is None]:
                raise InputError(f"{path}: problem {unanswered[0]} has no answer to compare with")
        if len(questions) < plan.groups:
            raise InputError(f"{plan.questions} has {len(questions)} questions; a step takes {plan.groups}")
        self.learner = Learner(
            run=run,
            objective=plan.objective,
            updates=plan.updates,
            reference=run.another_start() if plan.objective.kl else None,
        )
        end = run.tokenizer.eos_token_id
        self.fault = fault_in(
            get_text_dialect(plan.recipe.dialect),
            end_id=end if isinstance(end, int) else None,
            max_tokens=plan.recipe.max_tokens,
        )

    def step(self, step: int, report: Reporter) -> StepMetrics:
        """Make the step after `step` steps."""
        if self.ask(step):
            report.solve_rate(step, self.measured(step).accuracy.share)
        found, reward = self.samples(step)
        learned = self.learner.learn(found.kept, step)
        left_out = {str(why): count for why, count in found.left_out.items()}
        gap = float(f"{learned.gap:.3g}")
        known = {"reward": round(reward, 4), "learned": len(found.kept), **left_out, "gap": gap}
        report.figures(step + 1, known)
        return learned.metrics

    def ask(self, step: int) -> bool:
        """Ask the model as it is after `step` steps for what isn't on disk: held-out attempts, and the next to learn.

        Return whether it was asked for held-out ones.
        """
        every = self.plan.recipe.solve_every or self.run.steps
        is_exam = bool(self.exam) and (step % every == 0 or step == self.run.steps)
        examines = is_exam and not self.examined(step).is_file()
        draws = step < self.run.steps and not self.drawn(step).is_file()
        if not (examines or draws):
            return False
        run, shared = self.run, self.plan.solver
        with policy(run.model, start=run.start, folder=run.out / "policy", vllm=self.vllm) as engine:
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
            if draws:
                self.draw(step, settings)
        return examines

    def examine(self, step: int, settings: SolverSettings) -> None:
        records = greedy_records(self.exam, settings, concurrency=self.plan.concurrency)
        self.keep(self.examined(step), run_sync(records))

    def draw(self, step: int, settings: SolverSettings) -> None:
        seed = Random(f"{self.plan.solver.sampling.seed or 0}/{step}").getrandbits(31)
        sampled: SolverSettings = {**settings, "sampling": Sampling(temperature=1.0, seed=seed)}
        problems = [problem for problem in self.asked(step) for _ in range(self.plan.samples)]
        made = rollouts(
            problems,
            tokenizer=self.run.tokenizer.backend_tokenizer,
            concurrency=self.plan.concurrency,
            **sampled,
        )
        drawn = [Drawn(problem=p, rollout=r) for p, r in zip(problems, made, strict=True)]
        self.keep(self.drawn(step), drawn)

    def keep(self, path: Path, records: Sequence[Drawn] | Sequence[RunRecord]) -> None:
        with writing(f"the attempts to {self.run.out}"):
            path.parent.mkdir(exist_ok=True)
            replace_lines(path, records)

    def asked(self, step: int) -> list[Problem]:
        """Return the questions of a step: all of them in a random order, then in another one, and so on."""
        groups, seed = self.plan.groups, self.plan.recipe.seed
        epoch, place = divmod(step, len(self.questions) // groups)
        order = Random(f"{seed}/{epoch}").sample(self.questions, len(self.questions))
        return order[place * groups : (place + 1) * groups]

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

    def figures(self) -> dict[str, Any]:
        """Return what became of all attempts, and the accuracies."""
        steps = range(self.run.steps)
        found = [self.samples(step)[0] for step in steps]
        left_out: Counter[str] = Counter()
        for one in found:
            left_out.update(one.left_out)
        exams = [step for step in (*steps, self.run.steps) if self.examined(step).is_file()]
        return {
            "attempts": self.run.steps * self.plan.groups * self.plan.samples,
            "learned": sum(len(one.kept) for one in found),
            "left_out": dict(sorted(left_out.items())),
            "held_out": [to_json(self.measured(step)) for step in exams],
        }

    def drawn(self, step: int) -> Path:
        return self.run.out / "rollouts" / f"step-{step + 1}.jsonl"

    def examined(self, step: int) -> Path:
        return self.run.out / "held-out" / f"step-{step}.jsonl"
