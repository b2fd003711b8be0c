"""Train a model to prefer its right attempts to its wrong ones (DPO, arXiv 2305.18290), off files of attempts.

    run records ─▶ pairs of a question ─▶ ids and masks ─▶ how the start sees each pair ─▶ updates ─▶ folder

The loss is that of `finetune/learning/preferences.py`. The start is the reference: its opinion of every pair is asked
once, before the first update, so that no second model is held.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from random import Random

import torch

from finetune.data.jobs import sha256
from finetune.data.select.attempts import read_attempts
from finetune.learning.preferences import (
    EncodedPair,
    encoded_pairs,
    margins,
    pair_batch,
    preference_loss,
    preferences,
)
from finetune.learning.run import Manifest, Run, finished, new_run, require_for_learning, using
from finetune.training.batches import Numbers, count_steps, endless, layout_of
from finetune.training.metrics import Reporter, StepMetrics, Tracking, require_tracking
from finetune.training.optimizers import update
from finetune.training.recipe import Recipe
from finetune.training.tokenizer import load_tokenizer
from finetune.training.train import start_sha256
from finetune.training.weights import find_start
from mumath_agent.errors import InputError

_FEW = 16
"""Pairs at a time where nothing is learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefer:
    """The settings of a run."""

    recipe: Recipe
    start: str
    """Folder of a finished stage, or of another model that was trained in the format."""
    attempts: tuple[Path, ...]
    """JSONL of graded run records: of `synthesize`, of `rft`'s rounds, of a benchmark that isn't reported."""
    per_question: int = 1
    """Pairs a question at most."""
    beta: float = 0.1
    """The price of moving away from the start: the larger, the less is learned."""

    def __post_init__(self) -> None:
        """Refuse recipes that can't be."""
        require_for_learning(self.recipe)


def prefer(plan: Prefer, out: Path, *, track: Sequence[Tracking] = ()) -> Manifest:
    """Train to the end, from the start or from the last checkpoint in `out`; return the manifest.

    A finished `out` is left alone.

    Args:
        plan: the settings.
        out: folder to write.
        track: where the curves go besides out/log.jsonl.

    Raises:
        InputError: a file can't be used or gives no pair, or `out` belongs to another run.
        TrainingDiverged: the loss is not finite; the last checkpoint is kept.
    """
    require_tracking(track)
    recipe, start = plan.recipe, find_start(plan.start)
    with using(out, recipe) as processes:
        found = preferences(read_attempts(plan.attempts), per_question=plan.per_question)
        pairs, too_long = encoded_pairs(found.pairs, load_tokenizer(start), recipe)
        if not pairs:
            raise InputError(
                f"no question has a right and a wrong attempt that are whole ({found.always_right} are always right, "
                f"{found.never_right} never, {too_long} pairs are too long); sample more attempts at temperature 1"
            )
        Random(recipe.seed).shuffle(pairs)
        identity = {
            "recipe": recipe.model_dump(mode="json"),
            "data_sha256": ",".join(sha256(path) for path in plan.attempts),
            "rows": len(pairs),
            "start_sha256": start_sha256(recipe, start),
            "per_question": plan.per_question,
            "beta": plan.beta,
        }
        if manifest := finished(out, identity):
            return manifest
        steps = count_steps(recipe, [pair.tokens for pair in pairs])
        run = new_run(recipe, out, start=start, steps=steps, identity=identity, processes=processes)
        learner = _Learner(plan, run, pairs)
        progress = run.make_steps(learner.step, track=track)
        counts = {name: count for name, count in asdict(found).items() if name != "pairs"}
        figures = {"pairs": len(pairs), "too_long": too_long, **counts, "preferred": learner.preferred()}
        return run.finish(progress, figures)


class _Learner:
    """A run over pairs."""

    def __init__(self, plan: Prefer, run: Run, pairs: Sequence[EncodedPair]) -> None:
        """Ask the start, which the run's model still is, what it thinks of the pairs."""
        self.plan, self.run, self.pairs = plan, run, pairs
        self.reference = self.margins()

    def step(self, step: int, report: Reporter) -> StepMetrics:
        recipe, run = self.run.recipe, self.run
        torch.manual_seed(Random(f"{recipe.seed}/{step}").getrandbits(63))
        layout = layout_of(recipe, seed=recipe.seed)
        lengths = [pair.tokens for pair in self.pairs]
        batches = list(islice(endless(lengths, layout, skip=step * recipe.passes), recipe.passes))
        count = sum(map(len, batches))
        loss, better = 0.0, 0
        for numbers in batches:
            seen, before = self.margins_of(numbers), self.reference[numbers]
            part = preference_loss(seen, before, beta=self.plan.beta) / count
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.item()
            better += int((seen.detach() > before).sum())
        made = update(run.model, run.optimizers, recipe.optimizer, loss=loss, step=step, steps=run.steps)
        report.figures(step + 1, {"preferred": round(better / count, 4)})
        return StepMetrics(
            loss=loss,
            tokens=sum(lengths[number] for numbers in batches for number in numbers),
            gradient_norm=made.gradient_norm,
            learning_rate=made.learning_rate,
        )

    def preferred(self) -> float:
        """Return the share of the pairs whose right attempt gained on the wrong one since the start."""
        return float((self.margins() > self.reference).double().mean())

    def margins(self) -> torch.Tensor:
        """Return the margins of all pairs, without a gradient."""
        numbers = range(len(self.pairs))
        self.run.model.train(False)
        with torch.no_grad():
            seen = [self.margins_of(numbers[first : first + _FEW]) for first in numbers[::_FEW]]
        self.run.model.train()
        return torch.cat(seen)

    def margins_of(self, numbers: Numbers | range) -> torch.Tensor:
        pairs = [self.pairs[number] for number in numbers]
        batch = pair_batch(pairs, pad_id=self.run.pad_id, packed=self.run.recipe.packing)
        return margins(self.run.model, batch.to(self.run.processes.device), half=self.run.half)
