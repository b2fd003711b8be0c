"""A run of updates for those that learn otherwise than from rows: checkpoints, log and folder are those of `train`."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

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
from finetune.training.metrics import Reporter, StepMetrics, Tracking, open_trackers
from finetune.training.optimizers import make_optimizers
from finetune.training.recipe import Recipe
from finetune.training.tokenizer import copy_tokenizer, load_tokenizer
from finetune.training.train import MANIFEST
from finetune.training.weights import Model, make_model, save_model
from mumath_agent.errors import InputError
from mumath_agent.runs.identity import require_same
from mumath_agent.runs.jsonl import replace_file
from mumath_agent.runs.locks import only_user

BEGUN = "begun.json"
"""What a folder that isn't finished depends on: it may hold attempts before there is a checkpoint."""
Manifest = dict[str, Any]
MakeStep = Callable[[int, Reporter], StepMetrics]
"""Makes the step after so many steps."""


def require_for_learning(recipe: Recipe) -> None:
    """Refuse recipes that go on from nothing, or have what only `train` knows.

    Raises:
        InputError: the message names the setting.
    """
    if recipe.model is not None:
        raise InputError(f"the recipe {recipe.name!r} makes a new model; learning by doing starts from one")
    if recipe.int4_from is not None or recipe.patience:
        raise InputError(f"the recipe {recipe.name!r} has int4_from or patience, which only `train` knows")


@contextmanager
def using(out: Path, recipe: Recipe) -> Iterator[Processes]:
    """Make the folder, keep others out of it, and set torch up as the recipe says.

    Raises:
        InputError: the folder can't be written or is in use, or there are several processes.
    """
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    with join_processes(on_cpu=recipe.threads is not None) as processes:
        if processes.count > 1:
            raise InputError("this is for one process; start it without torchrun")
        with writing(str(out)):
            out.mkdir(parents=True, exist_ok=True)
        with only_user(out):
            yield processes


def finished(out: Path, identity: dict[str, Any]) -> Manifest | None:
    """Return the manifest of a finished folder; None if it isn't finished.

    Raises:
        InputError: it belongs to another run.
    """
    if not (out / MANIFEST).is_file():
        return None
    manifest: Manifest = json.loads((out / MANIFEST).read_text("utf-8"))
    require_same(manifest["identity"], identity, str(out))
    return manifest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """A model at step 0, and what its steps need."""

    recipe: Recipe
    out: Path
    start: Path
    steps: int
    identity: dict[str, Any]
    processes: Processes
    tokenizer: PreTrainedTokenizerFast
    model: Model
    optimizers: tuple[torch.optim.Optimizer, ...]

    @property
    def pad_id(self) -> int:
        """The token that fills lines up: it is neither seen nor predicted."""
        pad = self.tokenizer.pad_token_id
        return pad if isinstance(pad, int) else 0

    @property
    def half(self) -> bool:
        """Whether products are computed in bfloat16."""
        return self.recipe.precision == "bf16"

    def another_start(self) -> Model:
        """Return a second copy of the model that the run starts from."""
        return make_model(self.recipe, self.tokenizer, self.start, self.processes)

    def make_steps(self, make: MakeStep, *, track: Sequence[Tracking] = ()) -> Progress:
        """Make the steps that the last checkpoint lacks.

        Raises:
            InputError: the folder was begun with other settings, or can't be written.
            TrainingDiverged: the loss is not finite; the last checkpoint is kept.
        """
        self._claim()
        recipe, progress = self.recipe, read_progress(self.out)
        if progress.step:
            load_checkpoint(self.out, self.model, self.optimizers, self.processes, step=progress.step)
        trackers = open_trackers(track, self.out, recipe.name, step=progress.step)
        log = self.out / "log.jsonl"
        with Reporter(recipe.name, log, total=self.steps, step=progress.step, trackers=trackers) as report:
            for step in range(progress.step, self.steps):
                began = time.perf_counter()
                metrics = make(step, report)
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
                    save_checkpoint(self.out, self.model, self.optimizers, progress, self.processes)
        return progress

    def finish(self, progress: Progress, figures: dict[str, Any]) -> Manifest:
        """Write the model, its tokenizer and the manifest with `figures`; remove the checkpoints."""
        manifest: Manifest = {
            "identity": self.identity,
            "parameters": sum(weight.numel() for weight in self.model.parameters()),
            "steps": progress.step,
            "tokens": progress.tokens,
            "seconds": round(progress.seconds, 1),
            "evaluation_loss": None,
            **figures,
            "torch": torch.__version__,
        }
        with writing(f"the model to {self.out}"):
            save_model(self.model, self.out, self.processes)
            copy_tokenizer(self.start, self.out)
            replace_file(self.out / MANIFEST, json.dumps(manifest, indent=2))
            remove_checkpoints(self.out)
            (self.out / BEGUN).unlink()
        return manifest

    def _claim(self) -> None:
        """Write down what the folder depends on, or refuse one that depends on something else."""
        begun = self.out / BEGUN
        if begun.is_file():
            require_same(json.loads(begun.read_text("utf-8")), self.identity, str(self.out))
            return
        with writing(str(self.out)):
            replace_file(begun, json.dumps(self.identity, indent=2))


def new_run(
    recipe: Recipe, out: Path, *, start: Path, steps: int, identity: dict[str, Any], processes: Processes
) -> Run:
    """Load the model and make its optimisers.

    Raises:
        InputError: `start` holds no model that can be trained.
    """
    torch.manual_seed(recipe.seed)
    tokenizer = load_tokenizer(start)
    model = make_model(recipe, tokenizer, start, processes)
    require_plain_logits(model)
    return Run(
        recipe=recipe,
        out=out,
        start=start,
        steps=steps,
        identity=identity,
        processes=processes,
        tokenizer=tokenizer,
        model=model,
        optimizers=make_optimizers(model, recipe.optimizer),
    )
