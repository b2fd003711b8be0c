"""Train a model on its own right solutions, round after round: rejection sampling (RFT, arXiv 2308.01825).

    model 0 ─▶ held-out ─▶ [ synthesize ─▶ questions ─▶ select ─▶ train ─▶ export ─▶ held-out ] ─▶ … ─▶ rft.json

A round samples the newest model, drops the questions that it always or never solves, selects among its right solutions,
trains on them, and measures. The rounds end when one helped no more: when the paired interval of its gain over the
round before doesn't lie above zero. `Steps` writes down what is done, so the same call goes on after any interruption.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finetune.data.difficulty import Difficulty, keep_sometimes
from finetune.data.jobs import read_manifest, sha256
from finetune.data.records import Question, SolutionFormat
from finetune.data.select.stage import SelectConfig, select
from finetune.data.synthesize import SynthesizeConfig, synthesize
from finetune.learning.held_out import accuracy, gain
from finetune.pipeline.steps import StepFailed, StepReport, Steps
from finetune.release.export import export
from finetune.training.recipe import Recipe
from finetune.training.train import train
from finetune.training.weights import find_start
from mumath_agent import __version__
from mumath_agent.agent.solver import SolverOptions
from mumath_agent.errors import InputError
from mumath_agent.problems import load_problems
from mumath_agent.records import RunRecord, Sampling, to_json
from mumath_agent.runs.jsonl import load_records, replace_file, replace_lines
from mumath_agent.runs.locks import only_user
from mumath_agent.runs.paired import AccuracyDifference
from mumath_agent.serving import serving

RESULT = "rft.json"
"""The manifest: every round, written anew when one is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rft:
    """The settings of some rounds."""

    recipe: Recipe
    start: str
    """Folder of a finished stage, or of another model that was trained in the format."""
    questions: Path
    """JSONL of `Question`s whose answers are known."""
    held_out: Path
    """Problems with answers, to measure with and never to train on."""
    rounds: int = 3
    solver: SolverOptions
    """Limits and sampling; the sampling's seed grows with the rounds."""
    samples: int = 8
    """Attempts a question."""
    per_question: int = 4
    """Solutions a question that are learned at most, those whose programs differ most."""
    from_base: bool = True
    """Train every round from the start, on the solutions of all rounds. False: go on from the last round's model, with
    its own solutions."""
    stop: bool = True
    """End when a round helped no more."""
    concurrency: int = 4

    def __post_init__(self) -> None:
        """Refuse recipes that can't be."""
        if self.recipe.model is not None:
            raise InputError(f"the recipe {self.recipe.name!r} makes a new model; rounds start from one")
        if self.recipe.dialect != "fenced":
            raise InputError(
                f"rounds are sampled in the dialect fenced, the recipe's is {self.recipe.dialect}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A model that was measured; number 0 is the start."""

    number: int
    model: str
    """Its folder."""
    weights_sha256: str
    questions: dict[str, int]
    """How many were of which difficulty for the model before; empty for the start."""
    rows: int
    """Solutions it was trained on."""
    right: int
    problems: int
    low: float
    high: float
    """95 % Wilson interval of the share that is right."""
    gain: AccuracyDifference | None
    """Over the round before, problem by problem."""

    @property
    def helped(self) -> bool:
        """Whether it is clearly better than the round before."""
        return self.gain is not None and self.gain.low > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """The manifest."""

    rounds: tuple[Round, ...]
    best: int
    """The newest round that helped; 0 if none did."""
    ended: str
    """Why there are no more rounds; empty while there may be."""


def rft(
    plan: Rft,
    work: Path,
    *,
    vllm: Path | None = None,
    on_begin: Callable[[str], None] = lambda name: None,
    on_end: Callable[[StepReport], None] = lambda report: None,
) -> Rounds:
    """Make all rounds that aren't made.

    Args:
        plan: the settings.
        work: folder of everything that is made.
        vllm: Python of an environment with vLLM, to serve the models; else the embedded engine runs them.
        on_begin: is told the name of each step that is begun.
        on_end: is told of each step that has ended, also in an earlier call.

    Raises:
        InputError: a file can't be used, or the folder was begun with other settings.
        StepFailed: a step ended with an error; the same call goes on from there.
    """
    problems = load_problems(plan.held_out)
    if unanswered := [problem.id for problem in problems if problem.target is None]:
        raise InputError(f"{plan.held_out}: problem {unanswered[0]} has no answer to compare with")
    if not any(find_start(plan.start).glob("*.safetensors")):
        raise InputError(f"{plan.start} holds no weights to start from; give the folder of a finished stage")
    with only_user(work):
        steps = Steps(work, _identity(plan), on_begin=on_begin, on_end=on_end)
        replace_lines(work / "held-out.jsonl", (Question(problem=problem) for problem in problems))
        return _Work(plan, work, steps, vllm).run()


def _identity(plan: Rft) -> dict[str, Any]:
    start = find_start(plan.start)
    settings = {"rounds", "samples", "per_question", "from_base", "stop"}
    return {
        "version": __version__,
        "recipe": plan.recipe.model_dump(mode="json"),
        "start_sha256": {file.name: sha256(file) for file in sorted(start.glob("*.safetensors"))},
        "questions_sha256": sha256(plan.questions),
        "held_out_sha256": sha256(plan.held_out),
        "limits": to_json(plan.solver.limits),
        "sampling": to_json(plan.solver.sampling),
        **{name: getattr(plan, name) for name in sorted(settings)},
    }


class _Work:
    """The folder of the rounds: round-0, round-1 and so on."""

    def __init__(self, plan: Rft, work: Path, steps: Steps, vllm: Path | None) -> None:
        self.plan, self.work, self.steps, self.vllm = plan, work, steps, vllm

    def run(self) -> Rounds:
        found: list[Round] = []
        self.export(0)
        while True:
            number = len(found)
            with self.served(number) as solver:
                self.measure(number, solver)
                found.append(self.measured(number, found[-1] if found else None))
                ended = self.reason_to_end(found[-1])
                if not ended:
                    self.sample(number + 1, solver)
            result = self.write(found, ended or self.learn(number + 1))
            if result.ended:
                return result

    def reason_to_end(self, newest: Round) -> str:
        if self.plan.stop and newest.number and not newest.helped:
            return f"round {newest.number} helped no more"
        return "all rounds are made" if newest.number == self.plan.rounds else ""

    def measure(self, number: int, solver: SolverOptions) -> None:
        greedy = replace(solver, sampling=Sampling())
        self.solve(
            f"held-out, round {number}", self.work / "held-out.jsonl", self.attempts(number), greedy, 1
        )

    def sample(self, number: int, solver: SolverOptions) -> None:
        sampling = replace(solver.sampling, seed=(solver.sampling.seed or 0) + number)
        out = self.folder(number) / "attempts.jsonl"
        drawn = replace(solver, sampling=sampling)
        self.solve(f"synthesize, round {number}", self.plan.questions, out, drawn, self.plan.samples)

    def solve(self, step: str, questions: Path, out: Path, solver: SolverOptions, samples: int) -> None:
        config = SynthesizeConfig(
            questions=questions,
            out=out,
            solver=solver,
            knows_format=True,
            samples=samples,
            concurrency=self.plan.concurrency,
        )
        self.steps.run(step, synthesize, config)

    def learn(self, number: int) -> str:
        """Make the model of a round from its attempts; return why there can't be one, or nothing."""
        folder, base = self.folder(number), self.plan.from_base
        kept, rows = folder / "sometimes.jsonl", folder / "rows.jsonl"
        self.steps.do(f"questions, round {number}", lambda: self.keep_sometimes(folder, kept))
        if not self.difficulties(number)[Difficulty.SOMETIMES]:
            return f"in round {number} no question was solved sometimes"
        of_rounds = range(1, number + 1) if base else (number,)
        config = SelectConfig(
            attempts=tuple(self.folder(one) / "sometimes.jsonl" for one in of_rounds),
            out=rows,
            format=SolutionFormat.CODE,
            against=(self.plan.held_out,),
            per_question=self.plan.per_question,
        )
        self.steps.run(f"select, round {number}", select, config)
        if not read_manifest(rows).rows:
            return f"in round {number} no attempt was selected"
        start = self.model(0 if base else number - 1)
        self.steps.do(f"train, round {number}", lambda: self.train(number, rows, start))
        self.export(number)
        return ""

    def keep_sometimes(self, folder: Path, kept: Path) -> str:
        counts = keep_sometimes(folder / "attempts.jsonl", kept)
        replace_file(folder / "questions.json", json.dumps(counts))
        return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)

    def train(self, number: int, rows: Path, start: Path) -> str:
        train(self.plan.recipe, data=rows, start=start, out=self.model(number))
        return f"round {number}: done"

    def export(self, number: int) -> None:
        def write() -> str:
            left_out = export(self.model(number), self.exported(number))
            if left_out and not self.vllm:
                raise StepFailed(f"the embedded engine can't run this model ({left_out}); give --vllm")
            return left_out or ""

        self.steps.do(f"export, round {number}", write)

    @contextmanager
    def served(self, number: int) -> Iterator[SolverOptions]:
        """Yield how to ask a round's model; a server runs only if there is something left to ask."""
        solver, folder = self.plan.solver, self.exported(number)
        asked = (f"held-out, round {number}", f"synthesize, round {number + 1}")
        if self.vllm is None:
            yield replace(solver, weights=folder)
        elif all(map(self.steps.has, asked)):
            yield solver
        else:
            log = self.steps.log(f"vllm, round {number}")
            with serving(folder, python=self.vllm, name="mumath", log=log) as base_url:
                yield replace(solver, base_urls=(base_url,))

    def measured(self, number: int, before: Round | None) -> Round:
        records = self.records(number)
        found = accuracy(records)
        rows = self.folder(number) / "rows.jsonl"
        return Round(
            number=number,
            model=str(self.model(number)),
            weights_sha256=_weights_sha256(self.model(number)),
            questions={} if before is None else self.difficulties(number),
            rows=0 if before is None else read_manifest(rows).rows,
            right=found.right,
            problems=found.problems,
            low=found.low,
            high=found.high,
            gain=None if before is None else gain(records, self.records(number - 1)),
        )

    def write(self, found: list[Round], ended: str) -> Rounds:
        best = max((one.number for one in found if one.helped), default=0)
        result = Rounds(rounds=tuple(found), best=best, ended=ended)
        replace_file(self.work / RESULT, json.dumps(to_json(result), indent=1) + "\n")
        return result

    def records(self, number: int) -> list[RunRecord]:
        return load_records(self.attempts(number), RunRecord)

    def difficulties(self, number: int) -> dict[str, int]:
        counts: dict[str, int] = json.loads((self.folder(number) / "questions.json").read_text("utf-8"))
        return counts

    def folder(self, number: int) -> Path:
        return self.work / f"round-{number}"

    def model(self, number: int) -> Path:
        return self.folder(number) / "model" if number else find_start(self.plan.start)

    def exported(self, number: int) -> Path:
        return self.folder(number) / "exported"

    def attempts(self, number: int) -> Path:
        return self.folder(number) / "held-out.jsonl"


def _weights_sha256(model: Path) -> str:
    """Return the checksum of a model's weights, or of the checksums of their parts."""
    parts = [sha256(file) for file in sorted(model.glob("*.safetensors"))]
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()
